from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from robench.leaderboard.detailed import to_detailed
from robench.leaderboard.export import csv_fields, to_csv, to_json
from robench.leaderboard.flatten import measurement_table
from robench.leaderboard.ranking import SORTS, TESTED, rank
from robench.leaderboard.site.overview import overview
from robench.leaderboard.tables import Table, leaderboard, make_table
from robench.leaderboard.text import to_latex, to_markdown, to_short
from robench.records.record import CertifiedScore, RunResult

from tests.helpers.results import bits, result

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
    console.print(to_detailed(board[0]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    for expected in ("50.0", "40.4-59.6", "drop 40.0", "pgd-resnet20", "Linf 8/255", "transfer", "tecoa[x]", "n=100"):
        assert expected in text


@pytest.mark.parametrize("sort", SORTS)
def test_a_terminal_has_a_line_a_method_within_80_columns(sort: str) -> None:
    (table,) = leaderboard([result(tuner=f"lora+tecoa:lr={lr}", clean=80 + lr) for lr in range(9)], sort=sort)
    lines = printed(to_short(table))
    rows = [line for line in lines if re.match(r" ?\d+(-\d+)? .*lr \d", line)]
    assert len(rows) == 9 and all(len(line.rstrip()) <= 80 for line in lines)
    assert lines[2] == "A: pgd-resnet20, Linf 8/255 transfer, n=100"
    in_words = " ".join(lines[-2:])
    if sort in TESTED:
        assert ("may explain its lead" in in_words) != ("lead over every other method is more than chance" in in_words)
    else:
        assert lines[-1].startswith("First by ")


def test_a_terminal_says_what_a_bound_is(board: list[Table]) -> None:
    (table,) = leaderboard([result(attacks=[("pgd-resnet20", 50, 100)])])
    text = "\n".join(printed(to_short(table)))
    assert "<= 50.0" in text and "at most 50.0 % of images" in text and "(no white-box attack at 8/255)" in text
    many = leaderboard([result(attacks=[(f"a{number}", 50, 100) for number in range(9)])])
    assert "9 attacks; --runs shows each" in printed(to_short(many[0]))[2]


def test_latex_is_a_booktabs_table_whose_text_is_harmless() -> None:
    foreign = result(tuner="a&b_%", clean=88).model_copy(deep=True)
    (table,) = leaderboard([foreign, *(result(tuner="c", clean=88, seed=seed) for seed in range(2))])
    text = to_latex(table)
    assert r"\toprule" in text and text.splitlines()[-1] == r"\end{tabular}"
    assert r"a\&b\_\%" in text and "88.0 $\\pm$ 0.0" in text
    bounded = to_latex(leaderboard([result(attacks=[("pgd-resnet20", 50, 100)])])[0])
    assert r"$\leq$ 50.0" in bounded and "<" not in bounded


def printed(view: RenderableType) -> list[str]:
    console = Console(width=80, file=io.StringIO(), no_color=True)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


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
    console.print(to_detailed(board[0], classes=True))
    assert isinstance(console.file, io.StringIO)
    assert "worst 88.0" in console.file.getvalue()
    frame = pd.read_csv(io.StringIO(csv_text))
    assert frame["pgd-resnet20_worst_class"].tolist() == ["class_2"] * 3
    assert frame["clean_worst_class_n"].tolist() == [25] * 3


def test_no_tables_are_no_text() -> None:
    assert "".join(to_csv([], [])) == "" and "".join(to_json([])) == "[]"


def proving(record: RunResult, **correct: int) -> RunResult:
    """Return the record with certified accuracy of 50 images, of which so many are right, at radii in L2."""
    radii = {"zero": "0", "tenth": "1/10", "quarter": "1/4"}
    scores = (CertifiedScore.of(bits(each, 50), norm="L2", eps=radii[name]) for name, each in correct.items())
    return record.model_copy(update={"certified": tuple(scores)})


PROVING = [
    proving(result(tuner="proves", seed=0), zero=40, tenth=20, quarter=10),
    proving(result(tuner="proves", seed=1), zero=40, tenth=30, quarter=10),
    proving(result(tuner="proves-less"), zero=30, tenth=5),
    result(tuner="proves-nothing", attacks=(("pgd-resnet20", 50, 100), ("pgd", 9, 100))),
]


def test_certified_accuracy_is_a_column_of_its_own() -> None:
    (table,) = leaderboard(PROVING)
    assert table.certified == (("L2", "0"), ("L2", "1/10"), ("L2", "1/4"))
    found = {row.name: [row.proved(*radius) for radius in table.certified] for row in table.rows}
    rates = {name: [None if rate is None else (rate.percent, rate.n) for rate in each] for name, each in found.items()}
    nothing = [None, None, None]
    assert list(rates.values()) == [nothing, [(80, 50), (50, 50), (20, 50)], [(60, 50), (10, 50), None]]
    assert found["proves"][1] is not None and found["proves"][1].sd is not None
    ranked = rank(measurement_table(PROVING))
    rows = list(csv.DictReader(io.StringIO("".join(to_csv(map(make_table, ranked), csv_fields(ranked))))))
    assert [row["certified at L2 1/10_percent"] for row in rows] == ["", "50.0", "10.0"]
    assert [row["certified at L2 1/4_n"] for row in rows] == ["", "50", ""]
    written = json.loads("".join(to_json([table])))[0]["rows"]
    assert [row["rate"]["percent"] for row in written[1]["certified"]] == [80, 50, 20]
    for text in (to_markdown(table), to_latex(table)):
        assert "certified at L2 1/10" in text and "50.0" in text
    assert "n=50" in to_markdown(table)
    shown = overview([table], {record.run_id: record for record in PROVING})
    assert shown["tables"][0]["certified"] == ["L2 0", "L2 1/10", "L2 1/4"]
    assert [row["certified"][1] and row["certified"][1][0] for row in shown["rows"]] == [None, 50, 10]
    short = printed(to_short(table))
    assert "certified: right, and proved to keep its class within L2 1/10, n=50; not ranked" in short
    assert all(len(line.rstrip()) <= 80 for line in short)
    assert any(re.search(r"proves-less .* 10\.0 ", line) for line in short)


def test_nothing_is_ranked_by_what_is_proved() -> None:
    """A row's place and ranks, and its worst case, are those that it has without a proof."""
    plain = [record.model_copy(update={"certified": ()}) for record in PROVING]
    for sort in SORTS:
        (proved,), (bare,) = leaderboard(PROVING, sort=sort), leaderboard(plain, sort=sort)
        assert not bare.certified and [replace(row, certified=()) for row in proved.rows] == list(bare.rows)
