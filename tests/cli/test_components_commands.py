"""robench list, describe, plugins and --help: what a newcomer reads first, in 80 columns."""

from __future__ import annotations

import json
import logging

import pytest
from click.testing import CliRunner
from robench.cli import cli
from robench.cli.output import hear_retries_once
from robench.registry.registry import discover


def read(*words: str, columns: str = "80") -> str:
    ended = CliRunner().invoke(cli, words, env={"COLUMNS": columns})
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize("words", [["--help"], ["list", "--all"], ["describe", "tecoa"], ["describe", "pgd"]])
def test_lines_fit_80_columns_and_no_word_is_lost(words: list[str]) -> None:
    narrow, wide = read(*words), read(*words, columns="400")
    assert max(map(len, narrow.splitlines())) <= 80
    narrow = narrow.replace("[ARGS]...", "")
    assert "..." not in narrow and sorted(narrow.split()) == sorted(wide.replace("[ARGS]...", "").split())


def test_help_is_grouped_by_what_a_reader_wants() -> None:
    headings = [line.rstrip(":") for line in read("--help").splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Options", "Run", "Read", "Share", "Extend"]


def test_large_groups_are_one_line_unless_all_are_asked_for() -> None:
    short, whole = read("list", "attacks"), read("list", "attacks", "--all")
    names = [row["name"] for row in json.loads(read("list", "attacks", "--json"))["attacks"]]
    hidden = [name for name in names if name.startswith("torchattacks-")]
    assert len(hidden) == 37 and not any(f" {name} " in short for name in hidden)
    assert "torchattacks-*" in short and "37 of them" in short
    assert all(f" {name} " in whole for name in names)


def test_adaptations_stand_under_the_headings_of_their_families() -> None:
    lines = read("list", "adaptations").splitlines()
    at = {line.split()[0]: number for number, line in enumerate(lines) if line.strip()}
    assert lines.index("  prompts:") < at["vpt-deep"] and lines.index("  adapters in layers:") < at["lora"]


def test_describe_has_an_example_that_is_read_and_tells_nothing_twice() -> None:
    text = read("describe", "tecoa")
    paragraphs = [part for part in text.split("\n\n") if part.strip()]
    assert len(paragraphs) == len(set(paragraphs)) and text.count("Mao et al.") == 1
    example = next(line for line in text.splitlines() if line.startswith("  robench run"))
    planned = CliRunner().invoke(cli, [*example.split()[1:], "--dry-run"])
    assert planned.exit_code == 0, planned.output


def test_plugins_are_counted_and_not_listed_again() -> None:
    text, count = read("plugins"), len(discover().components("attacker"))
    assert f"{count} attacks" in text and "torchattacks-" not in text and len(text.splitlines()) < 6


def test_retries_of_the_hub_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    hear_retries_once()
    logger = logging.getLogger("huggingface_hub.utils._http")
    for tries in range(1, 6):
        logger.warning("'[Errno -2] Name or service not known' thrown while requesting HEAD https://hub")
        logger.warning("Retrying in %ds [Retry %d/5].", tries, tries)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "Name or service not known" in said[0]
