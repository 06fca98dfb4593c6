"""The mean over seeds: against numpy, with rows missing, and as text."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from robench.present.grid import Grid
from robench.records.record import RunResult
from robench.sweep.plan import Published, Row, Sweep, latest_completed
from robench.sweep.summary import Summary, summarise, summary_json
from robench.sweep.summary_table import summary_grid

from tests.helpers.results import result

CLEAN = {0: 90, 1: 94, 2: 89}
ATTACKED = {0: 50, 1: 61, 2: 47}
SWEEP = Sweep(
    path=Path("sweep.toml"),
    title="Three rows",
    note="By hand.",
    seeds=(0, 1, 2),
    rows=(
        Row(name="none [zero-shot]", settings={}, published=Published(clean=87.83, adversarial=54.67)),
        Row(name="tecoa", settings={}, published=Published()),
        Row(name="never run", settings={}, published=Published()),
    ),
)


def record(tuner: str, seed: int, **more: Any) -> RunResult:
    attacks = (("pgd-resnet20", ATTACKED[seed], 100), ("pgd", seed, 50))
    return result(**{"tuner": tuner, "seed": seed, "clean": CLEAN[seed], "attacks": attacks, **more})


def summary_of(*records: RunResult) -> Summary:
    tuners = {"none [zero-shot]": "none", "tecoa": "tecoa", "never run": "vpt"}
    jobs: Any = [
        SimpleNamespace(row=row, seed=seed, run_id=record(tuner, seed).spec.run_id())
        for row, tuner in tuners.items()
        for seed in SWEEP.seeds
    ]
    return summarise(SWEEP, jobs, latest_completed(records))


@pytest.fixture
def summary() -> Summary:
    slow = record("none", 2).model_copy(update={"seconds": {"total": 25.0}})
    return summary_of(record("none", 0), record("none", 1), slow, record("tecoa", 1, trainable=36_864))


def printed(grid: Grid, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), no_color=True)
    console.print(grid.to_rich())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_mean_and_deviation_are_those_of_numpy(summary: Summary) -> None:
    zero_shot = summary.lines[0]
    expected = [list(CLEAN.values()), list(ATTACKED.values()), [100 * seed / 50 for seed in SWEEP.seeds]]
    for figure, values in zip(zero_shot.figures, expected, strict=True):
        assert figure is not None and figure.deviation is not None
        assert figure.mean == pytest.approx(np.mean(values))
        assert figure.deviation == pytest.approx(np.std(values, ddof=1))
        assert list(figure.values) == [0, 1, 2]
    assert zero_shot.seconds == pytest.approx((10 + 10 + 25) / 3)


def test_chance_over_seeds_and_over_images_are_kept_apart(summary: Summary) -> None:
    clean, _, rare = summary.lines[0].figures
    assert clean is not None and clean.over_seeds is not None and rare is not None
    margin = 4.302653 * np.std(list(CLEAN.values()), ddof=1) / np.sqrt(3)  # Student's t, 2 degrees of freedom
    assert clean.over_seeds == (pytest.approx(91 - margin), pytest.approx(91 + margin))
    assert 83 < clean.over_images[0] < 91 < clean.over_images[1] < 96  # Wilson's, n=100
    assert rare.over_images[0] > 0  # 1 of 50 on average, where a normal interval would begin below 0
    rows = summary_grid(summary, intervals=True).rows
    assert rows[0][1].startswith("91.0, seeds 84.4 to 97.6, images 83.8 to 95.2")
    assert rows[1][1] == "94.0, images 87.5 to 97.2"
    assert "Student" in "".join(summary_grid(summary, intervals=True).notes)
    assert json.loads(summary_json(summary))["lines"][0]["figures"][0]["over_seeds"] == list(clean.over_seeds)


def test_one_seed_has_no_deviation_and_a_row_without_records_is_missing(summary: Summary) -> None:
    _, tecoa, never = summary.lines
    assert [figure and figure.deviation for figure in tecoa.figures] == [None, None, None]
    assert [figure and figure.mean for figure in tecoa.figures] == [94.0, 61.0, 2.0]
    assert tecoa.recorded == (1,) and tecoa.trainable_parameters == 36_864
    assert never.figures == (None, None, None) and never.recorded == () and never.seconds is None
    rows = summary_grid(summary).rows
    assert rows[1][-1] == "1 of 3" and "±" not in "".join(rows[1])
    assert rows[2] == ("never run", "missing", "missing", "missing", "-", "-", "-", "-", "0 of 3")


def test_each_column_says_its_threat_and_n(summary: Summary) -> None:
    assert [str(heading) for heading in summary_grid(summary).headings] == [
        "row",
        "clean (n=100)",
        "pgd-resnet20 (Linf 8/255, transfer, n=100)",
        "pgd:n=50 (Linf 8/255, white-box, n=50)",
        "clean (published)",
        "attacked (published)",
        "trained",
        "seconds",
        "seeds",
    ]


def test_published_figures_have_columns_only_where_a_row_has_them(summary: Summary) -> None:
    assert summary_grid(summary).rows[0][4:6] == ("87.83", "54.67")
    without = Summary(**{**vars(summary), "lines": summary.lines[1:]})
    assert "published" not in summary_grid(without).to_markdown()


def test_other_images_or_surrogate_weights_are_never_averaged_together() -> None:
    summary = summary_of(
        record("none", 0), record("none", 1, surrogate_weights="v" * 16), record("none", 2, test_images="ef" * 8)
    )
    line = summary.lines[0]
    assert len(summary.columns) == 2 + 3 + 2  # clean and white-box on two sets of images, transfer three times
    seeds = [list(figure.values) for figure in line.figures if figure]
    assert sorted(seeds) == [[0], [0, 1], [0, 1], [1], [2], [2], [2]]
    headings = [str(heading) for heading in summary_grid(summary).headings]
    assert len(set(headings)) == len(headings)
    assert "clean (n=100, images abcdabcd)" in headings and "clean (n=100, images efefefef)" in headings
    assert f"{(90 + 94) / 2:.1f} ± {np.std([90, 94], ddof=1):.1f} (2 seeds)" in summary_grid(summary).rows[0]


def test_the_latest_of_two_records_of_a_run_counts_and_failures_do_not() -> None:
    older, newer = (record("none", 0, clean=c, started=f"2026-01-0{d}T00:00:00+00:00") for c, d in ((10, 1), (20, 2)))
    failed = record("none", 0, status="failed", started="2026-01-03T00:00:00+00:00")
    figure = summary_of(newer, failed, older).lines[0].figures[0]
    assert figure is not None and figure.values == {0: 20.0}


def test_markdown_has_one_line_a_row_and_labels_the_deviation(summary: Summary) -> None:
    text = summary_grid(summary).to_markdown()
    assert text.startswith("**Three rows**\n\nBy hand.\n")
    assert "mean over seeds ± sample standard deviation" in text
    assert f"{np.mean([90, 94, 89]):.1f} ± {np.std([90, 94, 89], ddof=1):.1f}" in text
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 3


def test_the_terminal_table_fits_80_columns_and_loses_nothing(summary: Summary) -> None:
    text = printed(summary_grid(summary), 80)
    assert all(len(line) <= 80 for line in text.splitlines()) and "…" not in text
    three = tuple(replace(summary.columns[2], attack=f"pgd:steps={steps}") for steps in (1, 2))
    figures = [(*line.figures[:2], *line.figures[2:] * 2) for line in summary.lines]
    lines = tuple(replace(line, figures=more) for line, more in zip(summary.lines, figures, strict=True))
    wide = replace(summary, columns=(*summary.columns[:2], *three), lines=lines)
    assert "54.67" in printed(summary_grid(wide), 80) and "…" not in printed(summary_grid(wide), 80)
    for expected in ("91.0", "± 2.6", "white-box", "Linf 8/255", "n=50", "87.83", "zero-shot]", "3 of 3"):
        assert expected in text


def test_json_holds_everything(summary: Summary) -> None:
    content = json.loads(summary_json(summary))
    first = content["lines"][0]
    assert first["published"] == {"clean": 87.83, "adversarial": 54.67}
    assert first["figures"][0]["values"] == {"0": 90.0, "1": 94.0, "2": 89.0}
    assert content["columns"][1]["surrogate"] == "w" * 16 and content["columns"][1]["n"] == 100
    assert len(first["run_ids"]) == 3 and content["lines"][2]["recorded"] == []


def test_nothing_recorded_is_a_table_of_missing_rows() -> None:
    grid = summary_grid(summary_of())
    assert [row[-1] for row in grid.rows] == ["0 of 3"] * 3 and len(grid.headings) == 6


def test_several_datasets_have_an_average_over_them(summary: Summary) -> None:
    others = tuple(replace(column, dataset="leaf:path=/data/of/leaves", images="ef" * 8) for column in summary.columns)
    both = replace(
        summary,
        columns=summary.columns + others,
        lines=tuple(replace(line, figures=line.figures * 2) for line in summary.lines[:2]),
    )
    grid = summary_grid(both)
    names = [str(heading) for heading in grid.headings]
    place = names.index("average clean (datasets)")
    assert [row[place] for row in grid.rows] == ["91.0", "94.0"]
    assert not any("/data/of" in name for name in names) and any("leaf:path=leaves test" in name for name in names)
    assert not any("average" in str(heading) for heading in summary_grid(summary).headings)
    partial = replace(both.lines[0], figures=(*summary.lines[0].figures, None, None, None))
    assert summary_grid(replace(both, lines=(partial,))).rows[0][place] == "-"
