from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from robench.errors import SpecError
from robench.leaderboard.tables import bound, leaderboard, rank_text
from robench.leaderboard.tables import result as summary
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
    assert [(rank_text(row), row.tuner, [rate.percent for rate in row.worst]) for row in table.rows] == [
        ("1", "tecoa", [30.0]),
        ("2", "none", [1.0]),
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


def test_rows_the_sort_cannot_tell_apart_share_their_ranks() -> None:
    records = [result(tuner=name, clean=clean) for name, clean in (("a", 90), ("b", 80), ("c", 90))]
    assert [rank_text(row) for row in leaderboard(records)[0].rows] == ["1-3"] * 3
    assert [rank_text(row) for row in leaderboard(records, sort="clean")[0].rows] == ["1-2", "1-2", "3"]
    assert [rank_text(row) for row in leaderboard(records, sort="trainable")[0].rows] == ["1-3"] * 3


def test_equals_stand_in_the_order_of_their_average() -> None:
    runs = [
        result(tuner=name, attacks=[("pgd-resnet20", right, 100), ("pgd", 0, 100)])
        for name, right in (("a", 50), ("b", 70), ("c", 60))
    ]
    (table,) = leaderboard(runs)
    assert [(rank_text(row), row.tuner) for row in table.rows] == [("1-3", "b"), ("1-3", "c"), ("1-3", "a")]


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
    assert [(row.tuner, row.seeds) for row in table.rows] == [("lora-ce", (1,))]
    assert not leaderboard(runs, filters=["attack=fgsm*"])


def test_rows_whose_strongest_attacks_differ_in_n_are_ranked_on_the_images_of_both() -> None:
    a = result(tuner="a", attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 50)])
    b = result(tuner="b", attacks=[("pgd-resnet20", 0, 100), ("pgd", 20, 50)])
    (table,) = leaderboard([a, b], sort="adversarial")
    assert [rank_text(row) for row in table.rows] == ["1-2", "1-2"]


def seeded(tuner: str, *percent: int) -> list[RunResult]:
    """A method's runs, with so many of 100 images right under the white-box attack."""
    return [
        result(tuner=tuner, attacks=[("pgd-resnet20", 90, 100), ("pgd", right, 100)], seed=seed)
        for seed, right in enumerate(percent)
    ]


def test_the_seeds_of_a_method_are_one_row_whose_runs_are_kept() -> None:
    records = [*seeded("a", 60, 64, 68), *seeded("b", 20, 20, 20)]
    (table,) = leaderboard(records[::-1])
    best, other = table.rows
    assert (best.tuner, best.seeds, [run.worst[0] for run in best.runs]) == ("a", (0, 1, 2), [60.0, 64.0, 68.0])
    assert best.worst[0].percent == best.attacks[1].percent == 64.0 and best.worst[0].sd == pytest.approx(4.0)
    assert best.drops == (0.0, pytest.approx(26.0)) and other.worst[0].sd == 0.0
    assert (rank_text(best), rank_text(other)) == ("1", "2")
    assert "over images and seeds" in table.reading
    assert "--seed" not in best.settings and best.settings == records[0].provenance.command.replace(" --seed 0", "")
    (single,) = leaderboard(records, runs=True)
    assert len(single.rows) == 6 and {len(row.runs) for row in single.rows} == {1}
    assert single.rows[0].worst[0].sd is None and "but not over seeds" in single.reading


def test_seeds_that_differ_much_leave_more_ranks_open() -> None:
    (steady,) = leaderboard([*seeded("a", 60, 60, 60), *seeded("b", 30, 30, 30)])
    (shaky,) = leaderboard([*seeded("a", 85, 35, 60), *seeded("b", 5, 55, 30)])
    assert [row.worst[0].percent for row in steady.rows] == [row.worst[0].percent for row in shaky.rows]
    assert [rank_text(row) for row in steady.rows] == ["1", "2"]
    assert [rank_text(row) for row in shaky.rows] == ["1-2", "1-2"]


WEAK = ("pgd:eps=2/255", 60, 100)


def test_each_radius_has_its_own_worst_case() -> None:
    """The transfer attack at 8/255 says nothing of 2/255, and the white-box attack there bounds what holds at 8/255."""
    (table,) = leaderboard([result(clean=90, attacks=[("pgd-resnet20", 50, 100), WEAK])])
    assert [(ball.eps, ball.measured) for ball in table.balls] == [("2/255", True), ("8/255", False)]
    small, large = table.rows[0].worst
    assert (small.percent, large.percent) == (60.0, 50.0)
    assert (bound(table.balls[0], small), bound(table.balls[1], large)) == ("60.0", "<= 50.0")
    assert table.ball == 0 and table.ranked_by == "accuracy in the worst case at Linf 2/255"


@pytest.mark.parametrize(
    ("attacks", "expected"),
    [
        ([("pgd", 30, 100), WEAK], "8/255"),  # the larger radius tells methods apart
        ([("pgd", 0, 100), WEAK], "2/255"),  # it does not: nothing is left there
        ([("pgd", 0, 100), ("pgd:eps=2/255", 0, 100)], "2/255"),  # nothing is left anywhere
        ([("pgd-resnet20", 50, 100)], "8/255"),  # no white-box attack at all: a bound
    ],
)
def test_the_radius_that_ranks_is_the_largest_that_tells_methods_apart(
    attacks: list[tuple[str, int, int]], expected: str
) -> None:
    (table,) = leaderboard([result(attacks=attacks)])
    assert table.ball is not None and table.balls[table.ball].eps == expected
    bounded = attacks[0][0] == "pgd-resnet20"
    assert ("at most 50.0 %" in summary(table)) == ("no white-box attack at 8/255" in summary(table)) == bounded


def test_controls_bound_nothing_and_runs_without_attacks_are_ranked_by_clean_accuracy() -> None:
    (table,) = leaderboard([result(clean=80, attacks=[], tuner="a"), result(clean=20, attacks=[], tuner="b")])
    assert table.balls == () and table.ball is None and [rank_text(row) for row in table.rows] == ["1", "2"]
    (table,) = leaderboard([result(attacks=[("pgd", 30, 100), ("noise", 1, 100)])])
    assert [rate.percent for rate in table.rows[0].worst] == [30.0]


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
