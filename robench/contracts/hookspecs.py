"""The hooks that a plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from robench.contracts.types import Component

if TYPE_CHECKING:
    from pathlib import Path

    from robench.contracts.context import Progress
    from robench.records.record import RunResult, RunSpec

hookspec = pluggy.HookspecMarker("robench")
hookimpl = pluggy.HookimplMarker("robench")


@hookspec
def robench_components() -> list[Component]:  # type: ignore[empty-body]
    """Return the components this plugin contributes."""


@hookspec
def robench_suites() -> list[Path]:  # type: ignore[empty-body]
    """Return the TOML files of the suites this plugin contributes."""


@hookspec
def robench_run_started(spec: RunSpec, run_id: str) -> None:
    """Is called when a run begins."""


@hookspec
def robench_run_progress(progress: Progress) -> None:
    """Is called when a stage of the run advances, for every batch."""


@hookspec
def robench_run_finished(result: RunResult) -> None:
    """Is called when a run has ended: completed, failed or interrupted."""
