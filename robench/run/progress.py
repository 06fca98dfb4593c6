"""Show a run's progress in a terminal; one subscriber of the progress hook among others."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from robench.contracts.context import Progress
from robench.contracts.hookspecs import hookimpl


class _Speed(ProgressColumn):
    """Images a second since the stage began."""

    def render(self, task: Task) -> Text:
        if not (task.completed and task.elapsed):
            return Text()
        return Text(f"{task.completed / task.elapsed:,.0f} images/s", style="dim")


class ProgressBars:
    """One bar a stage: images done, images a second, time left."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    @hookimpl
    def robench_run_started(self) -> None:
        """Clear the bars of the run before."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Move the bar of a stage."""
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=progress.total, detail="")
        task = self._tasks[progress.stage]
        self._bars.update(task, completed=progress.done, total=progress.total)
        if progress.detail:
            self._bars.update(task, detail=progress.detail)
