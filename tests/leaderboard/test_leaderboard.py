from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from robench.errors import SpecError
from robench.leaderboard.tables import leaderboard
from robench.records.record import RunResult, Score
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.runner import run
from robench.statistics.intervals import wilson

from tests.helpers.results import bits, result


def test_rows_are_ranked_by_the_worst_case() -> None:
    weak = result(tuner="none", attacks=[("pgd-resnet20", 80, 100), ("pgd", 1, 100)])
    strong = result(tuner="tecoa", clean=70, attacks=[("pgd-resnet20", 60, 100), ("pgd", 30, 100)])
    (table,) = leaderboard([weak, strong])
    assert [(row.rank, row.tuner, row.worst.percent) for row in table.rows if row.worst] == [
        (1, "tecoa", 30.0),
        (2, "none", 1.0),
    ]
    assert [column.label for column in table.columns] == ["pgd-resnet20", "pgd"]


@pytest.mark.parametrize(
    "other",
    [
        {"test_images": "ffff" * 4},
        {"attacks": [("pgd-resnet20", 50, 100)]},
        {"attacks": [("pgd-resnet20", 50, 100), ("pgd", 0, 50)]},
        {"surrogate_weights": "v" * 16},
        {"n": 99, "attacks": [("pgd-resnet20", 50, 99), ("pgd", 0, 99)]},
    ],
)
def test_rows_that_are_not_comparable_never_share_a_table(other: dict[str, object]) -> None:
    tables = leaderboard([result(tuner="a"), result(tuner="b", **other)])  # type: ignore[arg-type]
    assert [len(table.rows) for table in tables] == [1, 1]
    assert tables[0].n_clean >= tables[1].n_clean


def test_the_order_of_records_and_of_attacks_does_not_matter() -> None:
    runs = [
        result(tuner="a", attacks=[("pgd-resnet20", 50, 100), ("pgd", 1, 100)]),
        result(tuner="b", attacks=[("pgd", 2, 100), ("pgd-resnet20", 40, 100)]),
        result(tuner="c", attacks=[("pgd", 3, 100), ("pgd-resnet20", 30, 100)]),
    ]
    boards = [leaderboard(order) for order in itertools.permutations(runs)]
    assert all(board == boards[0] for board in boards)
    assert [[round(rate.percent) for rate in row.attacks] for row in boards[0][0].rows] == [[30, 3], [40, 2], [50, 1]]


def test_rows_the_sort_cannot_tell_apart_share_a_rank() -> None:
    (table,) = leaderboard([result(tuner=name, clean=clean) for name, clean in (("a", 90), ("b", 80), ("c", 90))])
    assert [row.rank for row in table.rows] == [1, 1, 1]
    (table,) = leaderboard([result(tuner=n, clean=c) for n, c in (("a", 90), ("b", 80), ("c", 90))], sort="clean")
    assert [row.rank for row in table.rows] == [1, 1, 3]


def test_equals_stand_in_the_order_of_their_average() -> None:
    runs = [
        result(tuner=name, attacks=[("pgd-resnet20", right, 100), ("pgd", 0, 100)])
        for name, right in (("a", 50), ("b", 70), ("c", 60))
    ]
    (table,) = leaderboard(runs)
    assert [(row.rank, row.tuner) for row in table.rows] == [(1, "b"), (1, "c"), (1, "a")]


def test_drops_compare_the_same_images() -> None:
    (table,) = leaderboard([result(clean=50, attacks=[("pgd-resnet20", 20, 40)])])
    # The first 40 of the 50 right ones are all right, so clean accuracy on the attacked images is 100 %.
    assert table.rows[0].drops == (50.0,)
    assert table.rows[0].clean.percent == 50.0


def test_failed_runs_are_left_out_and_the_latest_repeat_counts() -> None:
    old = result(clean=90, started="2026-01-01T00:00:00+00:00")
    new = result(clean=91, started="2026-01-02T00:00:00+00:00")
    failed = result(clean=92, started="2026-01-03T00:00:00+00:00", status="failed")
    (table,) = leaderboard([new, failed, old])
    assert [row.clean.percent for row in table.rows] == [91.0]


@pytest.mark.parametrize(
    ("sort", "expected"), [("clean", "b"), ("adversarial", "a"), ("drop", "a"), ("trainable", "a"), ("worst", "a")]
)
def test_every_sort_puts_the_better_first(sort: str, expected: str) -> None:
    a = result(tuner="a", clean=80, attacks=[("pgd-resnet20", 70, 100)], trainable=10)
    b = result(tuner="b", clean=90, attacks=[("pgd-resnet20", 60, 100)], trainable=20)
    (table,) = leaderboard([a, b], sort=sort)
    assert table.rows[0].tuner == expected


def test_filters_keep_what_matches_all_of_them() -> None:
    runs = [result(tuner=tuner, seed=seed) for tuner in ("lora-ce", "tecoa") for seed in (0, 1)]
    (table,) = leaderboard(runs, filters=["tuner=lora*", "seed=1"])
    assert [(row.tuner, row.seed) for row in table.rows] == [("lora-ce", 1)]
    assert not leaderboard(runs, filters=["attack=fgsm*"])


def test_rows_whose_strongest_attacks_differ_in_n_are_ranked_on_the_images_of_both() -> None:
    a = result(tuner="a", attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 50)])
    b = result(tuner="b", attacks=[("pgd-resnet20", 0, 100), ("pgd", 20, 50)])
    (table,) = leaderboard([a, b], sort="adversarial")
    assert [row.rank for row in table.rows] == [1, 1]


def test_unknown_sorts_and_filters_are_named() -> None:
    with pytest.raises(SpecError, match="cannot sort by 'clea'; did you mean 'clean'"):
        leaderboard([], sort="clea")
    with pytest.raises(SpecError, match="cannot filter by 'tunr'; did you mean 'tuner'"):
        leaderboard([], filters=["tunr=x"])
    with pytest.raises(SpecError, match="not FIELD=PATTERN"):
        leaderboard([], filters=["tuner"])


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_intervals_are_wilson_s(correct: int, n: int, low: float, high: float) -> None:
    rate = wilson(Score.of(bits(correct, n)))
    assert (round(rate.low, 2), round(rate.high, 2)) == (low, high)


def test_a_run_stands_in_the_table_of_every_dataset_it_was_scored_on(registry: Registry, tmp_path: Path) -> None:
    asked = Request(dataset="dots", attacks=("sign-linear",), train_size=60, test_size=40, white_box=False)
    tuned = replace(asked, tuner="bias", eval_datasets=("stripes",))
    records = [carry_out(registry, tmp_path, request) for request in (tuned, replace(asked, dataset="stripes"))]
    dots, stripes = leaderboard(records)
    assert [row.tuner for row in dots.rows] == ["bias:lr=0.5"]
    assert sorted(row.tuner for row in stripes.rows) == ["bias:lr=0.5 (tuned on dots)", "none"]
    (only,) = leaderboard(records, filters=["dataset=stripes"])
    assert only == stripes


def test_an_untuned_model_is_the_same_wherever_it_is_scored_from(registry: Registry, tmp_path: Path) -> None:
    asked = Request(dataset="dots", attacks=("sign-linear",), test_size=40, white_box=False)
    record = carry_out(registry, tmp_path, replace(asked, eval_datasets=("stripes",)))
    assert [row.tuner for table in leaderboard([record]) for row in table.rows] == ["none", "none"]


def carry_out(registry: Registry, folder: Path, request: Request) -> RunResult:
    return run(
        registry, plan(registry, request), device=torch.device("cpu"), cache_dir=folder, save=lambda result: result
    )
