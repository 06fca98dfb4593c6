"""Real processes are killed at random moments of real runs; what they had saved stays whole and true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from robench.evidence.verify import verify_cache, verify_records
from robench.records.record import RunResult
from robench.records.store import Store

KILLS = 36
# One interpreter forks all processes, because a new one would spend its life importing.
PROGRAM = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from robench.run.runner import run
from robench.run.plan import Request, plan
from robench.records.store import Store
from tests.helpers import toy
from tests.conftest import entry_point, registry_of

torch.set_num_threads(1)
folder, kills = Path(sys.argv[1]), int(sys.argv[2])
registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"))
store = Store(folder / "results")
store.prepare()

def work(seed):
    request = Request(dataset="dots", model="linear", tuner="bias", attacks=("sign-linear", "sign"),
                      train_size=40, test_size=40, seed=seed)
    run(registry, plan(registry, request), device=torch.device("cpu"), cache_dir=folder / "cache",
        save=lambda result: store.write(result)[0])

# How long a run takes here, so that kills fall before, into and after runs on any machine.
start = time.perf_counter()
child = os.fork()
if child == 0:
    work(0)
    os._exit(0)
os.waitpid(child, 0)
length = time.perf_counter() - start
moments = random.Random(0)
for kill in range(kills):
    child = os.fork()
    if child == 0:
        seed = 0
        while True:
            work(seed % 5)
            seed += 1
    time.sleep(moments.uniform(0.0, 3 * length))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
for seed in range(5):
    work(seed)
"""


def runs(folder: Path, kills: int) -> list[RunResult]:
    """Return all records after one run in peace, so many kills, and five runs in peace."""
    subprocess.run([sys.executable, "-c", PROGRAM, str(folder), str(kills)], check=True, cwd=Path(__file__).parents[2])
    return Store(folder / "results").read(lambda warning: pytest.fail(warning))


def found(record: RunResult) -> tuple[object, ...]:
    assert record.clean is not None and record.tuning is not None
    attacked = tuple((score.bits, score.images) for score in record.attacks)
    return record.spec.seed, record.clean.bits, record.tuning.tuned_fingerprint, attacked


@pytest.mark.slow
def test_whatever_is_saved_when_a_run_is_killed_is_whole_and_true(tmp_path: Path) -> None:
    undisturbed = {found(record) for record in runs(tmp_path / "calm", 0)}
    assert len(undisturbed) == 5
    at_peace = 1 + 5
    records = runs(tmp_path / "killed", KILLS)
    assert len(records) > at_peace, "no process lived long enough to save anything"
    assert {record.status for record in records} == {"completed"}
    assert {found(record) for record in records} == undisturbed
    assert verify_records(tmp_path / "killed" / "results") == (len(records), [])
    n_sets, faults = verify_cache(tmp_path / "killed" / "cache")
    assert n_sets > 0 and not faults
