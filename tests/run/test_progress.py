from __future__ import annotations

import io

from rich.console import Console
from robench.contracts.context import Progress
from robench.run.progress import ProgressBars, ProgressLines, _Speed


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


def test_the_speed_of_a_finished_stage_stays() -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=True, no_color=True)
    bars = ProgressBars(console)
    now = [0.0]
    bars.bars.get_time = lambda: now[0]
    bars.robench_run_progress(Progress(stage="tuning", done=0, total=100))
    now[0] = 10.0
    bars.robench_run_progress(Progress(stage="tuning", done=100, total=100))
    (task,) = bars.bars.tasks
    now[0] = 1000.0
    assert str(_Speed().render(task)) == "10 images/s"
    bars.robench_run_progress(Progress(stage="checks", done=3, total=3))
    assert str(_Speed().render(bars.bars.tasks[1])) == ""


def test_elsewhere_than_in_a_terminal_each_stage_is_told_once_and_a_long_one_now_and_then() -> None:
    told: list[str] = []
    seconds = iter([0, 10, 31, 40, 62, 70, 70])
    lines = ProgressLines(told.append, lambda: float(next(seconds)))
    for done in (0, 10, 40, 50, 90, 100, 100):
        lines.robench_run_progress(Progress(stage="tuning", done=done, total=100, detail="loss 0.5"))
    assert told == [
        "tuning: 40 of 100 after 31 s, loss 0.5",
        "tuning: 90 of 100 after 62 s, loss 0.5",
        "tuning: 100 done in 70 s, loss 0.5",
    ]


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
