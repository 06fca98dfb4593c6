"""What a run has found out so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from robench.records.record import AttackScore, Check, DataRecord, Evaluation, Score, TuningRecord, WorstCase
from robench.records.samples import Samples


@dataclass
class Findings:
    """What a run has measured so far, so that a failed or interrupted run keeps it."""

    data: DataRecord | None = None
    tuning: TuningRecord | None = None
    clean: Score | None = None
    attacks: list[AttackScore] = field(default_factory=list)
    worst_case: tuple[WorstCase, ...] = ()
    elsewhere: list[Evaluation] = field(default_factory=list)
    checks: tuple[Check, ...] = ()
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    samples: Samples | None = None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of what is done within to that of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 2)

    def warn(self, message: str) -> None:
        """Keep a line that the user and the record should see, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def fields(self) -> dict[str, Any]:
        """Return what the record keeps of it, by the names of its fields."""
        return {
            "data": self.data,
            "tuning": self.tuning,
            "clean": self.clean,
            "attacks": tuple(self.attacks),
            "worst_case": self.worst_case,
            "elsewhere": tuple(self.elsewhere),
            "checks": self.checks,
            "warnings": tuple(self.warnings),
            "seconds": self.seconds,
        }
