"""Surrogates and targets: a tidy table, matrices of success rates, and tables as CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console
from robench.leaderboard.detailed import to_detailed
from robench.leaderboard.tables import leaderboard
from robench.present.grid import Grid, headings
from robench.present.transfer import matrices, pairs
from robench.records.labels import short_label
from robench.records.store import Store

from tests.conftest import command
from tests.helpers.results import result


def test_a_pair_counts_what_was_right_and_was_fooled() -> None:
    record = result(clean=90, attacks=[("pgd-resnet20", 50, 100), ("pgd:eps=4/255", 9, 50)])
    transferred, own = pairs([record])
    assert (transferred.attack, transferred.surrogate, transferred.target) == ("pgd", "resnet20", "clip-tiny")
    assert (transferred.n, transferred.right, transferred.fooled) == (100, 90, 40)
    assert transferred.success == pytest.approx(44.44) and transferred.low < 44.44 < transferred.high
    assert (own.attack, own.surrogate, own.right, own.fooled) == ("pgd:eps=4/255", "itself", 50, 41)


def test_a_matrix_has_surrogates_as_rows_and_averages_seeds() -> None:
    records = [
        result(tuner="none", attacks=[("pgd-resnet20", 45, 100), ("pgd", 0, 100)]),
        result(tuner="none", seed=1, attacks=[("pgd-resnet20", 27, 100), ("pgd", 0, 100)]),
        result(tuner="tecoa", attacks=[("pgd-resnet20", 90, 100)]),
    ]
    (grid,) = matrices(pairs(records))
    assert [str(heading) for heading in grid.headings] == ["made on", "clip-tiny (none)", "clip-tiny (tecoa)"]
    assert grid.rows == (("resnet20", "60.0", "0.0"), ("itself", "100.0", "-"))
    assert "pgd (Linf 8/255)" in grid.title


def test_nothing_to_fool_is_no_row() -> None:
    assert pairs([result(clean=0, attacks=[("pgd", 0, 100)])]) == []


@pytest.mark.parametrize(
    ("label", "short"),
    [
        ("pgd:eps=8/255,steps=5", "pgd:eps=8/255,steps=5"),
        ("leaf:path=/data/of/leaves,size=64", "leaf:path=leaves,size=64"),
        ("pgd-timm:eps=1/255,surrogate.weights=a/b.pt", "pgd-timm:eps=1/255,surrogate.weights=b.pt"),
        ("clip:path=models/ours/", "clip:path=ours"),
    ],
)
def test_headings_have_no_full_paths(label: str, short: str) -> None:
    assert short_label(label) == short


def test_a_table_is_written_for_programs_and_for_papers() -> None:
    grid = Grid(title="A & B", headings=headings("row", "50 %", "x_1"), rows=(("=1+1", "1.0 ± 0.1", "-"),))
    assert list(csv.reader(io.StringIO(grid.to_csv()))) == [["row", "50 %", "x_1"], ["'=1+1", "1.0 ± 0.1", "'-"]]
    lines = grid.to_latex().splitlines()
    assert lines[0] == "% A & B" and lines[1] == r"\begin{tabular}{lrr}"
    assert lines[3] == r"row & 50 \% & x\_1 \\" and lines[5] == r"=1+1 & 1.0 $\pm$ 0.1 & - \\"


def shown(table: object) -> list[str]:
    console = Console(width=100, file=io.StringIO(), no_color=True)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_many_attacks_stay_readable() -> None:
    attacks = [(f"pgd:steps={steps}", 100 - steps, 100) for steps in range(1, 45)]
    records = [result(tuner=tuner, attacks=attacks) for tuner in ("none", "tecoa")]
    (table,) = leaderboard(records)
    lines = shown(to_detailed(table))
    assert len(lines) < 110 and sum("pgd:steps=44," in line for line in lines) == 2
    wide = Grid(
        title="wide",
        headings=headings("row", *(label for label, _, _ in attacks)),
        rows=tuple((name, *("1.0" for _ in attacks)) for name in "abcde"),
    )
    lines = shown(wide.to_rich())
    assert len(lines) < 60 and any(line.split() == ["pgd:steps=44", *["1.0"] * 5] for line in lines)


def test_the_command_prints_matrices_and_a_tidy_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.prepare()
    record, _ = store.write(result(attacks=[("pgd-resnet20", 45, 100), ("pgd", 0, 100)]))
    out, _ = command(capsys, "transfer", "--results", tmp_path)
    assert "resnet20" in out and "50.0" in out and "100.0" in out
    out, _ = command(capsys, "transfer", record.run_id[:6], "--results", tmp_path, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["surrogate"], row["success"]) for row in rows] == [("resnet20", "50.0"), ("itself", "100.0")]
    out, _ = command(capsys, "transfer", "--results", tmp_path, "--format", "latex")
    assert r"\begin{tabular}{lr}" in out and "resnet20 & 50.0" in out
    (tmp_path / "empty").mkdir()
    _, errors = command(capsys, "transfer", "--results", tmp_path / "empty", code=2)
    assert "no completed run" in errors
