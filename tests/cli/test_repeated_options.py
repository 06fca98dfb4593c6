"""An option that is not repeatable is an error when given twice."""

from __future__ import annotations

import pytest

from tests.conftest import command


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--tuner", "none", "--tuner", "lora"),
        ("run", "--tuner=none", "--model", "clip-tiny", "--tuner", "none"),
        ("run", "--seed", "1", "--seed", "2"),
        ("leaderboard", "--results", "a", "--results", "b"),
    ],
)
def test_an_option_given_twice_is_an_error(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    _, said = command(capsys, *words, code=2)
    assert "is given twice; give it once" in said and len(said.splitlines()) == 1


def test_repeatable_options_and_flags_stay_repeatable(capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, "run", "--attack", "pgd", "--attack", "fgsm", "--quiet", "--quiet", "--dry-run")
