"""What the leaderboard of 100,000 records costs: python -m pytest benchmarks/test_leaderboard.py -s"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from robench.bench.synthetic import Cost, command_cost, leaderboard_cost, write_records

Folders = tuple[Path, Path]


@pytest.fixture(scope="module", params=[(250, 400), (1, 5000)], ids=["250 tables of 400", "1 table of 5000"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Made-up records, and a cache with their index."""
    tables, rows = request.param
    folder = tmp_path_factory.mktemp("leaderboard")
    results, cache = folder / "results", folder / "cache"
    n = write_records(results, tables=tables, rows=rows)
    cost = leaderboard_cost(results, cache)
    print(f"\n{n:,} records in {tables} tables")
    tell("reading all of them, no index yet", cost.cold)
    tell("again, with the index", cost.warm)
    return results, cache


def tell(what: str, cost: Cost) -> None:
    print(f"{what:44} {cost.seconds:6.2f} s {cost.peak_bytes / 1e6:7.0f} MB")


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ((), 2),
        (("--format", "markdown", "--top", "1"), 2.5),
        (("--sort", "clean", "--filter", "tuner=tuner-1*"), 2),
        (("--format", "csv"), 15),
        (("--format", "json"), 15),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_leaderboard_with_an_index(
    benchmark: BenchmarkFixture, folders: Folders, arguments: tuple[str, ...], seconds: float
) -> None:
    results, cache = folders
    words = ["leaderboard", "--results", str(results), "--cache-dir", str(cache), *arguments]
    costs: list[Cost] = []
    benchmark.pedantic(lambda: costs.append(command_cost(words)), rounds=3)
    best = min(costs, key=lambda cost: cost.seconds)
    tell(" ".join(arguments) or "the default", best)
    assert best.seconds < seconds and best.peak_bytes < 500e6
