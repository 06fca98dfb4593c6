"""Compare two records of the same run: whether their figures agree, and in what settings they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from robench.evidence.compare import Difference, differences
from robench.evidence.reproduce import Agreement, Repeat, agreement, repeats
from robench.records.measurement import measurements
from robench.records.record import RunResult
from robench.records.store import measured

Standing = Agreement | Literal["other images"]


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A record that was there already, compared with an incoming record of the same run.

    Attributes:
        run_id: Its name.
        standing: Whether the accuracies agree; accuracies on other images cannot be compared.
        found: Accuracy by accuracy, first there, then incoming; empty for other images.
        differing: Settings, versions and devices that differ.
        certificates: The two verdicts, if only the certificates differ; else None.
    """

    run_id: str
    standing: Standing
    found: tuple[Repeat, ...]
    differing: tuple[Difference, ...]
    certificates: tuple[str, str] | None

    @property
    def disagrees(self) -> bool:
        """Whether figures, images or certificates contradict each other."""
        if self.certificates and "none" not in self.certificates:
            return self.certificates.count("fail") == 1
        return self.standing in ("disagrees", "other images")


def without_name(record: RunResult) -> RunResult:
    """Return a record named after its run, without the suffix of a repeat."""
    return record.model_copy(update={"run_id": record.spec.run_id()})


def _same_measurement(one: RunResult, other: RunResult) -> bool:
    """Tell whether two completed runs are equal except for certificate, labels and name."""
    return one.status == other.status == "completed" and measured(without_name(one)) == measured(without_name(other))


def extends(more: RunResult, less: RunResult) -> bool:
    """Tell whether `more` is the same as `less` plus a certificate, and has all its labels."""
    if not more.checks or less.checks or not _same_measurement(more, less):
        return False
    pairs = zip(measurements(less), measurements(more), strict=True)
    return all(few.data.labels in (None, many.data.labels) for few, many in pairs)


def rival(there: RunResult, record: RunResult) -> Rival:
    """Compare a completed run in a folder with an incoming one."""
    same = [found.data.test_fingerprint for found in measurements(there)] == [
        found.data.test_fingerprint for found in measurements(record)
    ]
    found = repeats(there, record) if same else []
    return Rival(
        run_id=there.run_id,
        standing=agreement(found) if same else "other images",
        found=tuple(found),
        differing=tuple(each for each in differences(there, record) if each.setting != "source"),
        certificates=(
            (there.verdict or "none", record.verdict or "none") if _same_measurement(there, record) else None
        ),
    )
