"""Two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from robench import cli
from robench.evidence.compare import contests, differences
from robench.records.store import Store
from robench.statistics.paired import holm, paired

from tests.helpers.results import bits, result


def test_what_differs_is_named_and_nothing_else() -> None:
    first, second = result(tuner="none"), result(tuner="tecoa", seed=1)
    found = {each.setting: (each.first, each.second) for each in differences(first, second)}
    assert found == {"tuner.name": ("none", "tecoa"), "tuner.params.tuner": ("none", "tecoa"), "seed": (0, 1)}
    assert differences(first, result(tuner="none")) == []
    fewer = result(tuner="none", attacks=[("pgd-resnet20", 50, 100)])
    settings = {each.setting: (each.first, each.second) for each in differences(first, fewer)}
    assert settings["attack pgd.name"] == ("pgd", None)


def test_accuracies_are_compared_image_by_image_and_adjusted_together() -> None:
    first = result(tuner="none", clean=90, attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 100)])
    second = result(tuner="tecoa", clean=80, attacks=[("pgd-resnet20", 70, 100), ("pgd", 3, 100)])
    found = contests(first, second)
    assert [each.name for each in found] == ["clean", "pgd-resnet20", "pgd", "worst case Linf 8/255"]
    assert [each.found.difference for each in found] == [-10, 20, 3, 3]
    assert found[1].found == paired(bits(50, 100), bits(70, 100)) and found[1].accuracies == (50, 70)
    assert [each.p for each in found] == holm([each.found.p for each in found]).tolist()


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"test_images": "ffff" * 4}, []),
        ({"surrogate_weights": "v" * 16}, ["clean", "pgd"]),
        ({"attacks": [("pgd-resnet20", 50, 100)]}, ["clean", "pgd-resnet20"]),
        ({"attacks": [("pgd-resnet20", 50, 100), ("pgd", 0, 50)]}, ["clean", "pgd-resnet20"]),
    ],
)
def test_only_like_is_compared_with_like(other: dict[str, object], names: list[str]) -> None:
    found = contests(result(tuner="a"), result(tuner="b", **other))  # type: ignore[arg-type]
    assert [each.name for each in found] == names


def test_each_radius_has_its_own_worst_case() -> None:
    small = [("pgd:eps=2/255", 40, 100), ("fgsm:eps=2/255", 60, 100)]
    first, second = (result(tuner=tuner, attacks=[*small, ("pgd", 10, 100)]) for tuner in "ab")
    found = {each.name: each.accuracies for each in contests(first, second)}
    assert found["worst case Linf 2/255"] == (40, 40) and found["worst case Linf 8/255"] == (10, 10)


def test_a_worst_case_without_a_white_box_attack_at_its_radius_is_an_upper_bound() -> None:
    attacks = [("pgd:eps=2/255", 40, 100), ("pgd-resnet20", 30, 100)]
    first, second = (result(tuner=tuner, attacks=attacks) for tuner in "ab")
    bound = "worst case Linf 8/255 <="
    names = [each.name for each in contests(first, second)]
    assert names == ["clean", "pgd:eps=2/255", "pgd-resnet20", bound], "one attack alone is no worst case of its own"


def test_the_command_says_it_in_words_and_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def compare(*words: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main(["compare", *words, "--results", str(tmp_path)])
        captured = capsys.readouterr()
        assert (exit_.value.code or 0) == code, captured.err
        return captured.out, captured.err

    store = Store(tmp_path)
    store.prepare()
    first, second = (store.write(result(tuner=tuner, clean=clean))[0] for tuner, clean in (("none", 90), ("vpt", 80)))
    out, _ = compare(first.run_id, second.run_id[:8])
    assert "tuner.name" in out and "-10.0 [-16.0, -5.0]" in out and "only A right" in out
    loaded = json.loads(compare(first.run_id, second.run_id, "--json")[0])
    assert loaded["contests"][0]["found"]["only_first"] == 10 and loaded["differences"][0]["setting"] == "tuner.name"
    assert "are the same run" in compare(first.run_id, first.run_id, code=2)[1]
    assert "no run 'zz'" in compare(first.run_id, "zz", code=2)[1]
