from __future__ import annotations

import io

from rich.console import Console
from robench.contracts.context import Progress
from robench.run.progress import ProgressBars


def test_each_stage_has_a_bar_with_its_count_speed_and_loss() -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=True, no_color=True)
    bars = ProgressBars(console)
    with bars.bars:
        for stage in ("attack pgd, train images", "tuning"):
            for done in (0, 50, 100):
                bars.robench_run_progress(Progress(stage=stage, done=done, total=100, detail="loss 0.5" * (done == 50)))
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().rpartition("attack pgd, train images")[2]
    assert last.count("100/100") == 2 and last.count("images/s") == 2 and "loss 0.5" in last


def test_the_next_run_has_bars_of_its_own() -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=True, no_color=True)
    bars = ProgressBars(console)
    with bars.bars:
        bars.robench_run_progress(Progress(stage="tuning", done=100, total=100))
        bars.robench_run_started()
        bars.robench_run_progress(Progress(stage="evaluation", done=7, total=10))
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().rpartition("evaluation")[2]
    assert "7/10" in last and "100/100" not in last and len(bars._tasks) == 1
