"""What ``robench leaderboard`` shows of few rows and of many."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from robench.cli import leaderboard as command
from robench.cli import main
from robench.leaderboard.tables import rows_to_show

from tests.helpers.results import result
from tests.helpers.site_fixtures import add


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three tables, of 6, 3 and 1 rows."""
    for images, rows in (("a" * 16, 6), ("b" * 16, 3), ("c" * 16, 1)):
        for place in range(rows):
            tuner = f"on-{images[0]}:lr={place}"
            add(tmp_path / "results", result(tuner=tuner, clean=90 - place, test_images=images))
    return tmp_path / "results"


def shown(results: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["leaderboard", "--results", str(results), "--cache-dir", str(results.parent / "cache"), *arguments])
    captured = capsys.readouterr()
    assert (exit_.value.code or 0) == code, captured.err
    return captured.out, captured.err


def rows_of(text: str, name: str = "on-") -> int:
    """The number of lines of tables that tell of methods on `name`."""
    return sum(bool(re.match(rf"[| ]*\d\S* .*{name}", line)) for line in text.splitlines())


@pytest.mark.parametrize(
    ("sizes", "limit", "fewest", "kept"),
    [
        ([], 10, 2, []),
        ([3, 1, 6], 10, 2, [3, 1, 6]),
        ([3, 1, 6], 9, 2, [3, 1, 5]),
        ([100, 100], 10, 2, [5, 5]),
        ([100] * 4, 7, 2, [2, 2, 2, 2]),
        ([100] * 6, 7, 2, [2, 2, 2, 2, 0, 0]),
        ([1] * 4, 2, 2, [1, 1, 0, 0]),
        ([100], 10, 20, [20]),
    ],
)
def test_what_fits_is_shared_among_tables(sizes: list[int], limit: int, fewest: int, kept: list[int]) -> None:
    assert rows_to_show(sizes, limit, fewest) == kept


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_markdown_shows_small_leaderboards_whole_and_a_terminal_the_best_five(
    results: Path, capsys: pytest.CaptureFixture[str], style: str
) -> None:
    text, errors = shown(results, capsys, "--format", style)
    assert (rows_of(text), errors == "") == ((9, False) if style == "table" else (10, True))
    assert rows_of(shown(results, capsys, "--format", style, "--top", "all")[0]) == 10


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_of_many_rows_the_best_are_shown_and_the_rest_is_counted(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setattr(command, "SHOWN", 4)
    monkeypatch.setattr(command, "FEWEST", 2)
    text, errors = shown(results, capsys, "--format", style)
    assert (rows_of(text, "on-a"), rows_of(text, "on-b"), rows_of(text, "on-c")) == (2, 2, 0)
    assert "the first 2 of 6 rows" in text and "the first 2 of 3 rows" in text
    assert "6 of 10 rows and 1 of 3 tables are not shown" in errors and "--top all" in errors
    text, errors = shown(results, capsys, "--format", style, "--top", "all")
    assert rows_of(text) == 10 and errors == ""


def test_top_is_of_each_table_and_leaves_ranks_as_they_are(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(shown(results, capsys, "--json", "--sort", "clean")[0])
    first = json.loads(shown(results, capsys, "--json", "--sort", "clean", "--top", "2")[0])
    assert [len(table["rows"]) for table in first] == [2, 2, 1]
    assert [table["more"] for table in first] == [4, 1, 0] and {table["more"] for table in whole} == {0}
    assert [table["rows"] for table in first] == [table["rows"][:2] for table in whole]
    text = shown(results, capsys, "--format", "csv", "--top", "2")[0]
    assert len(list(csv.DictReader(io.StringIO(text)))) == 5


def test_csv_and_json_are_never_cut(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SHOWN", 1)
    text, errors = shown(results, capsys, "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(text)))) == 10 and errors == ""
    assert sum(len(table["rows"]) for table in json.loads(shown(results, capsys, "--json")[0])) == 10
    assert shown(results, capsys, "--json", "--filter", "tuner=nothing")[0] == "[]\n"


def test_the_page_has_the_records_of_its_rows_alone(
    results: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for top, n in ((("--top", "2"), 5), ((), 10)):
        shown(results, capsys, "--format", "html", "--output", str(tmp_path / "site"), *top)
        assert len(list((tmp_path / "site" / "records").iterdir())) == n


@pytest.mark.parametrize("top", ["0", "-1", "some", "1.5", ""])
def test_a_wrong_number_of_rows_is_refused(results: Path, capsys: pytest.CaptureFixture[str], top: str) -> None:
    text, errors = shown(results, capsys, "--top", top, code=2)
    assert text == "" and errors.count("\n") == 1
    assert f"{top!r} is not a number of rows; expected one such as 10, or all" in errors


def test_an_index_in_the_cache_folder_changes_nothing_shown(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = ("table", "markdown", "csv", "json")
    plain = [shown(results, capsys, "--format", style, "--classes") for style in styles]
    assert not (results.parent / "cache").exists()
    monkeypatch.setattr("robench.leaderboard.index.INDEXED_FROM", 2)
    monkeypatch.setattr("robench.leaderboard.read.SETTLED", 0)
    assert [shown(results, capsys, "--format", style, "--classes") for style in styles] == plain
    assert len(list((results.parent / "cache" / "index").iterdir())) == 1
