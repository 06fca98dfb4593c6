"""Kills two hundred processes at random moments: how long that takes, and that nothing saved is lost."""

from __future__ import annotations

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture
from robench.evidence.verify import verify_cache, verify_records
from tests.run.test_kills import found, runs

KILLS = 200


def test_two_hundred_kills(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    records = benchmark.pedantic(runs, (tmp_path, KILLS), rounds=1)
    assert {found(record) for record in records} == {found(record) for record in runs(tmp_path / "calm", 0)}
    assert verify_records(tmp_path / "results") == (len(records), [])
    assert not verify_cache(tmp_path / "cache")[1]
