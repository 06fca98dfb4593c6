"""What a number was measured with: versions, device, source state and the equivalent command."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from robench.compute.precision import precision_on, tf32
from robench.compute.software import device_name, git_state, versions
from robench.records.labels import command_of
from robench.records.record import Provenance, RunSpec
from robench.registry.source_files import code_hashes

if TYPE_CHECKING:
    import torch

    from robench.run.plan import Plan


def _used(spec: RunSpec, device: torch.device) -> dict[str, str]:
    """Return what each stage of a run computed in, and whether TF32 is on."""
    found = precision_on(spec.precision, device)
    tuning = {} if spec.train_size is None else {"tuning": found.tuning}
    return {**tuning, "evaluation": found.evaluation, "attacks": found.attacks, "tf32": "on" if tf32() else "off"}


def capture(
    plan: Plan, device: torch.device, started: datetime, *, processes: int = 1, compiled: bool = False
) -> Provenance:
    """Describe the software and hardware of this process, one of so many `processes`."""
    import torch

    return Provenance(
        started=started.astimezone(UTC).isoformat(timespec="seconds"),
        command=command_of(plan.spec, plan.files()),
        versions=versions(),
        plugins=plan.plugins(),
        code=code_hashes({"robench", *plan.modules()}),
        device=device_name(device),
        threads=torch.get_num_threads(),
        processes=processes,
        compiled=compiled,
        precision=_used(plan.spec, device),
        platform=f"{platform.system()} {platform.machine()}",
        git=git_state(),
    )
