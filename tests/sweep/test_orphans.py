"""A sweep that is killed leaves no process behind, neither one at work nor one that waits for work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PROGRAM = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

from robench.compute.orphans import end_with_parent
from robench.registry.registry import Registry
from robench.run.plan import Request
from robench.sweep.local import Bench, run_sweep

folder = Path(sys.argv[1])

def note(name):
    (folder / name).touch()
    return os.getpid()

def work(request, bench, threads):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as nested:
        note(f"{nested.submit(note, f'{request.seed}-began').result()}.pid")
        note(f"{os.getpid()}.pid")
        time.sleep(0.01 if request.seed == 0 else 600)
    note(f"{request.seed}-ended")
    if request.seed == 0:
        time.sleep(600)  # in place of a process that has finished and waits for its next task

if __name__ == "__main__":
    jobs = [SimpleNamespace(row="row", seed=seed, run_id=str(seed), request=Request(seed=seed)) for seed in (0, 1)]
    bench = Bench(results=folder / "results", cache_dir=folder / "cache", device="cpu")
    run_sweep(jobs, bench, registry=None, processes=2, report=print, work=work)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_no_worker_outlives_a_killed_sweep(tmp_path: Path, name: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    parent = subprocess.Popen([sys.executable, str(program), str(tmp_path)])
    workers: list[psutil.Process] = []
    try:
        until(lambda: (tmp_path / "0-ended").exists() and len(list(tmp_path.glob("*.pid"))) == 4, 120)
        workers = psutil.Process(parent.pid).children(recursive=True)
        assert {int(path.stem) for path in tmp_path.glob("*.pid")} & {each.pid for each in workers}
        parent.send_signal(getattr(signal, name))
        parent.wait()
        _, left = psutil.wait_procs(workers, timeout=20)
        assert not left
    finally:
        for process in (parent, *workers):
            if psutil.pid_exists(process.pid):
                process.kill()
        parent.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_worker_that_waits_for_its_first_task_ends_with_its_parent(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time\nfrom multiprocessing import get_context\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from robench.compute.orphans import end_with_parent\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, mp_context=get_context('spawn'), initializer=end_with_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        try:
            assert not psutil.wait_procs([worker], timeout=20)[1]
        finally:
            if worker.is_running():
                worker.kill()


def until(reached, seconds: float) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
