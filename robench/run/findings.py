"""What a run has measured so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from robench.contracts.types import as_utf8
from robench.records.confidences import AnsweredScore
from robench.records.corrupted import CorruptionRecord
from robench.records.record import (
    AttackScore,
    CertifiedScore,
    Check,
    DataRecord,
    Evaluation,
    TuningRecord,
    WorstCase,
)
from robench.records.samples import Samples


@dataclass
class Findings:
    """Filled stage by stage, so that a failed or interrupted run keeps what it measured.

    All fields but ``samples`` are those of :class:`robench.records.record.RunResult`.
    """

    data: DataRecord | None = None
    tuning: TuningRecord | None = None
    clean: AnsweredScore | None = None
    attacks: list[AttackScore] = field(default_factory=list)
    worst_case: tuple[WorstCase, ...] = ()
    certified: tuple[CertifiedScore, ...] = ()
    corruptions: list[CorruptionRecord] = field(default_factory=list)
    elsewhere: list[Evaluation] = field(default_factory=list)
    checks: tuple[Check, ...] = ()
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    samples: Samples | None = None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent in the block to those of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0) + time.perf_counter() - start, 2)

    def warn(self, message: str) -> None:
        """Keep a line for the user and the record; a repeated line is kept once."""
        message = as_utf8(message)
        if message not in self.warnings:
            self.warnings.append(message)

    def fields(self) -> dict[str, Any]:
        """Return the fields of the record by name."""
        return {name: value for name, value in vars(self).items() if name != "samples"}
