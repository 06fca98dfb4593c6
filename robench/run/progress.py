"""Progress of a run: bars in a terminal, plain lines elsewhere; they listen to the same hooks as plugins do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pluggy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from robench.contracts.context import Progress
from robench.contracts.hookspecs import hookimpl

EVERY = 30.0
"""Seconds between two plain lines about one stage."""
SHORT = 1.0
"""Seconds below which a finished stage is not worth a plain line."""
NOT_IMAGES = ("checks",)
"""Stages that do not count images."""


class _Speed(ProgressColumn):
    """Images per second since the stage began, until it ended."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed if task.finished_time is None else task.finished_time
        if not (task.completed and seconds) or task.description in NOT_IMAGES:
            return Text()
        return Text(f"{task.completed / seconds:,.0f} images/s", style="dim")


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


class ProgressLines:
    """One line for each finished stage, and one now and then for a stage that takes long."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._began: dict[str, float] = {}
        self._said: dict[str, float] = {}

    @hookimpl
    def robench_run_started(self) -> None:
        """Forget the stages of the previous run."""
        self._began.clear()
        self._said.clear()

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Say that a stage is done, or how far it is."""
        now, stage = self._clock(), progress.stage
        begun = self._began.setdefault(stage, now)
        last = self._said.setdefault(stage, begun)
        detail = f", {progress.detail}" if progress.detail else ""
        if progress.done >= progress.total:
            self._said[stage] = float("inf")  # a finished stage is told once
            if last != float("inf") and now - begun >= SHORT:
                self._say(f"{stage}: {progress.total:,} done in {now - begun:.0f} s{detail}")
        elif now - last >= EVERY:
            self._said[stage] = now
            self._say(f"{stage}: {progress.done:,} of {progress.total:,} after {now - begun:.0f} s{detail}")


@contextmanager
def progress_bars(manager: pluggy.PluginManager, console: Console) -> Iterator[None]:
    """Show the progress of every run that reports to `manager` within the block as bars."""
    shown = ProgressBars(console)
    manager.register(shown)
    try:
        with shown.bars:
            yield
    finally:
        manager.unregister(shown)


@contextmanager
def progress_lines(manager: pluggy.PluginManager, say: Callable[[str], None]) -> Iterator[None]:
    """Tell the progress of every run that reports to `manager` within the block line by line."""
    shown = ProgressLines(say)
    manager.register(shown)
    try:
        yield
    finally:
        manager.unregister(shown)
