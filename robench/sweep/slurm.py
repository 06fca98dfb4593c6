"""A sweep as an array job of Slurm: the same command many times; the tasks share its runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence


def slurm_script(
    command: Sequence[str], *, tasks: int, cpus: int, gpus: int, environment: Mapping[str, str] | None = None
) -> str:
    """Return a script for ``sbatch``.

    Args:
        command: The sweep, in words; folders and URLs in it are shared by all nodes.
        tasks: Number of processes; each takes runs that no other has recorded or is carrying out.
        cpus: Processors of one process.
        gpus: Devices of one process.
        environment: Variables that each process needs.
    """
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=robench",
        f"#SBATCH --array=0-{tasks - 1}",
        f"#SBATCH --cpus-per-task={cpus}",
        *([f"#SBATCH --gpus-per-task={gpus}"] if gpus else []),
        "# A task that is stopped is queued again, and its training goes on from its last checkpoint.",
        "#SBATCH --requeue",
        "#SBATCH --time=24:00:00",
        "set -euo pipefail",
        f"export OMP_NUM_THREADS={cpus}",
        *(f"export {name}={shlex.quote(value)}" for name, value in (environment or {}).items()),
        f"srun {shlex.join(command)}",
    ]
    return "\n".join(lines) + "\n"
