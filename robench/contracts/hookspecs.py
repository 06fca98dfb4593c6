"""The hooks of robench: one noun each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from robench.contracts.types import Component

if TYPE_CHECKING:
    from robench.contracts.context import Progress
    from robench.records.record import RunResult, RunSpec

hookspec = pluggy.HookspecMarker("robench")
hookimpl = pluggy.HookimplMarker("robench")


@hookspec
def robench_components() -> list[Component]:  # type: ignore[empty-body]
    """Return the components this plugin contributes."""


@hookspec
def robench_run_started(spec: RunSpec, run_id: str) -> None:
    """Hear that a run begins."""


@hookspec
def robench_run_progress(progress: Progress) -> None:
    """Hear how far a stage of the run has come."""


@hookspec
def robench_run_finished(result: RunResult) -> None:
    """Hear that a run ended: completed, failed or interrupted."""
