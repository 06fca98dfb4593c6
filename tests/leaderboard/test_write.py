from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest
from rich.console import Console
from robench.leaderboard.export import csv_fields, to_csv, to_json
from robench.leaderboard.flatten import measurement_table
from robench.leaderboard.ranking import rank
from robench.leaderboard.tables import Table, leaderboard, make_table
from robench.leaderboard.text import to_markdown, to_rich

from tests.helpers.results import result

RECORDS = [result(tuner="tecoa[x]", clean=88), result(tuner="none"), result(tuner="b", test_images="x")]


@pytest.fixture
def board() -> list[Table]:
    return leaderboard(RECORDS)


@pytest.fixture
def csv_text() -> str:
    ranked = rank(measurement_table(RECORDS))
    return "".join(to_csv(map(make_table, ranked), csv_fields(ranked)))


def test_the_terminal_table_fits_80_columns_with_two_attacks(board: list[Table]) -> None:
    console = Console(width=80, file=io.StringIO(), no_color=True)
    console.print(to_rich(board[0]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    for expected in ("50.0", "40.4-59.6", "drop 40.0", "pgd-resnet20", "Linf 8/255", "transfer", "tecoa[x]", "n=100"):
        assert expected in text


def test_markdown_has_a_line_a_run_and_says_what_rows_share(board: list[Table]) -> None:
    text = "\n\n".join(map(to_markdown, board))
    assert text.count("**leaf-synth, 100 test images") == 2
    rows = [line for line in text.splitlines() if line.startswith("|") and "clip-tiny" in line]
    assert len(rows) == 3
    assert "90.0 [82.6, 94.5]" in text and "50.0 [40.4, 59.6], drop 40.0" in text


def test_csv_holds_numbers_that_read_back(csv_text: str) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text)))
    assert len(rows) == 3
    frame = pd.read_csv(io.StringIO(csv_text))
    assert frame["pgd-resnet20_percent"].tolist() == [50.0] * 3
    assert frame["pgd-resnet20_n"].tolist() == [100] * 3


def test_json_holds_every_figure(board: list[Table]) -> None:
    first = json.loads("".join(to_json(board)))[0]
    row = first["rows"][0]
    assert row["clean"]["n"] == 100 and 0 < row["clean"]["low"] < row["clean"]["percent"]
    assert first["columns"][0] == {"label": "pgd-resnet20", "threat": "Linf 8/255 transfer", "n": 100}


def test_classes_stand_in_every_format_when_asked_for(board: list[Table], csv_text: str) -> None:
    assert "macro 90.0, worst class class_2 88.0" in to_markdown(board[0], classes=True)
    assert "macro" not in to_markdown(board[0])
    console = Console(width=80, file=io.StringIO(), no_color=True)
    console.print(to_rich(board[0], classes=True))
    assert isinstance(console.file, io.StringIO)
    assert "worst 88.0" in console.file.getvalue()
    frame = pd.read_csv(io.StringIO(csv_text))
    assert frame["pgd-resnet20_worst_class"].tolist() == ["class_2"] * 3
    assert frame["clean_worst_class_n"].tolist() == [25] * 3


def test_no_tables_are_no_text() -> None:
    assert "".join(to_csv([], [])) == "" and "".join(to_json([])) == "[]"
