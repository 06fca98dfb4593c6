"""Progress bars in a terminal; they listen to the same hooks as plugins do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pluggy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from robench.contracts.context import Progress
from robench.contracts.hookspecs import hookimpl


class _Speed(ProgressColumn):
    """Images per second since the stage began."""

    def render(self, task: Task) -> Text:
        if not (task.completed and task.elapsed):
            return Text()
        return Text(f"{task.completed / task.elapsed:,.0f} images/s", style="dim")


class ProgressBars:
    """One bar for each stage: images done, images per second, time left."""

    def __init__(self, console: Console) -> None:
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    @hookimpl
    def robench_run_started(self) -> None:
        """Remove the bars of the previous run."""
        for task in self._tasks.values():
            self.bars.remove_task(task)
        self._tasks.clear()

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Move the bar of a stage."""
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self.bars.add_task(progress.stage, total=progress.total, detail="")
        task = self._tasks[progress.stage]
        self.bars.update(task, completed=progress.done, total=progress.total)
        if progress.detail:
            self.bars.update(task, detail=progress.detail)


@contextmanager
def progress_bars(manager: pluggy.PluginManager, console: Console) -> Iterator[None]:
    """Show the progress of every run that reports to `manager` within the block."""
    shown = ProgressBars(console)
    manager.register(shown)
    try:
        with shown.bars:
            yield
    finally:
        manager.unregister(shown)
