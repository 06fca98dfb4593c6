"""Time and memory of the leaderboard of 100,000 made-up records in 250 tables, with its index."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from robench.bench.report import Row
from robench.bench.setting import Setting
from robench.bench.synthetic import leaderboard_cost, write_records

TABLES, ROWS, IMAGES = 250, 400, 1000
MOST_SECONDS, MOST_MB = 2.0, 500.0


def measure(setting: Setting) -> Iterator[Row]:
    """Write the records, make the index, and then measure the default table."""
    results, cache = setting.folder / "many-results", setting.folder / "many-cache"
    tables, rows = (5, 200) if setting.quick else (TABLES, ROWS)
    write_records(results, tables=tables, rows=rows, images=IMAGES)
    costs = [leaderboard_cost(results, cache) for _ in range(setting.repeats)]
    cold, warm = costs[0].cold, [cost.warm for cost in costs]
    seconds, peak = median(cost.seconds for cost in warm), max(cost.peak_bytes for cost in warm) / 1e6
    case = f"{tables * rows:,} records"
    yield Row(
        item="leaderboard",
        case=case,
        unit="s",
        robench=seconds,
        target=f"{MOST_SECONDS:g} s",
        met=seconds < MOST_SECONDS,
        note=f"{cold.seconds:.0f} s and {cold.peak_bytes / 1e6:.0f} MB the first time, without an index",
    )
    yield Row(
        item="leaderboard",
        case=f"{case}, memory",
        unit="MB at most",
        robench=peak,
        target=f"{MOST_MB:.0f} MB",
        met=peak < MOST_MB,
    )
