"""Measure items one after the other and return a report."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from robench.bench import Item
from robench.bench.report import Report, Row, machine
from robench.bench.setting import Setting
from robench.compute.device import resolve_device
from robench.registry.registry import Registry

QUICK_SIZES = (16, 8)
"""Training and test images of the study with ``--quick``."""


def measure(
    registry: Registry,
    items: Sequence[Item],
    *,
    command: str,
    device: str,
    repeats: int | None,
    quick: bool,
    sizes: tuple[int, int],
    whole: bool,
    say: Callable[[str], None],
) -> Report:
    """Measure `items`.

    Args:
        command: What the user typed.
        repeats: Turns of each side; None for the default of each item.
        quick: Only test that the items work.
        sizes: Training and test images of the study.
        whole: Run the study's slowest script to its end.
        say: Takes one line for each item and each row.

    Raises:
        RobenchError: No such device, or a measured process failed.
    """
    start, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="robench-bench-") as folder:
        setting = Setting(
            registry=registry,
            device=resolve_device(device),
            folder=Path(folder),
            quick=quick,
            train_size=QUICK_SIZES[0] if quick else sizes[0],
            test_size=QUICK_SIZES[1] if quick else sizes[1],
            whole=whole,
        )
        for item in items:
            say(f"{item.name}: {item.summary}")
            turns = repeats or (1 if quick else item.repeats)
            for row in item.measure(replace(setting, repeats=turns)):
                rows.append(row)
                say(_line(row))
        return Report(
            command=command,
            started=started,
            seconds=round(time.perf_counter() - start, 1),
            quick=quick,
            machine=machine(setting.device),
            rows=tuple(rows),
        )


def _line(row: Row) -> str:
    beside = "" if row.ratio is None else f", {row.ratio:.2f} times as good as {row.rival}"
    return f"  {row.case}: {row.robench:.4g} {row.unit}{beside}"
