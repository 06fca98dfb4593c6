"""What a run was measured with: versions, device, precision, source state and the command that repeats it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime

import torch

from robench.compute.precision import precision_on, tf32
from robench.compute.software import device_name, git_state, versions
from robench.networks.fast_functions import way
from robench.records.labels import command_of
from robench.records.record import Provenance
from robench.registry.source_files import code_hashes
from robench.run.plan import Plan


def capture(
    plan: Plan,
    device: torch.device,
    started: datetime,
    *,
    processes: int = 1,
    compiled: bool = False,
    contents: Mapping[str, str] | None = None,
) -> Provenance:
    """Describe the software and hardware of this process.

    Args:
        processes: How many processes share the run.
        compiled: Whether networks are compiled while they are attacked.
        contents: Hashes of the files that the run reads.
    """
    used = precision_on(plan.spec.precision, device)
    tuning = {} if plan.spec.train_size is None else {"tuning": used.tuning}
    return Provenance(
        started=started.astimezone(UTC).isoformat(timespec="seconds"),
        command=command_of(plan.spec, plan.files()),
        suite=plan.suite,
        versions=versions(),
        plugins=plan.plugins(),
        code=code_hashes({"robench", *plan.modules()}),
        contents=None if contents is None else dict(contents),
        device=device_name(device),
        threads=torch.get_num_threads(),
        processes=processes,
        compiled=compiled,
        precision={
            **tuning,
            "evaluation": used.evaluation,
            "attacks": used.attacks,
            "tf32": "on" if tf32() else "off",
        },
        linear_layers=way() if device.type == "cpu" else "",
        platform=f"{platform.system()} {platform.machine()}",
        git=git_state(),
    )
