"""Several processes share a run, and it comes out as in one process: tried with two, which a launcher starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from robench import SpecError
from robench.compute.launch import joined, own_device
from robench.compute.world import ALONE, World
from robench.records.record import RunResult
from robench.records.samples import samples_path
from robench.records.store import Store
from robench.train.adapters import read_adapter
from robench.train.batch_norms import has_batch_norm
from torch import nn

from tests.conftest import command
from tests.helpers.many_images import ASKED

TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]

PLUGIN = Path("tests", "helpers", "many_images.py")
NAMES = ("two", "one")


def launch(launcher: list[str], root: Path, *words: object, **more: object) -> subprocess.CompletedProcess[str]:
    """Start a module as two processes, with `more` in their environment."""
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'plugins'}", "OMP_NUM_THREADS": "1"}
    environment |= {name: str(value) for name, value in more.items()}
    command = [sys.executable, "-m", *launcher, "-m", *(str(word) for word in words)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, timeout=300)


# What is dealt out


@given(st.integers(0, 2000), st.integers(1, 300), st.integers(1, 9))
def test_every_image_is_somebodys_and_nobody_elses(n: int, batch: int, size: int) -> None:
    shares = [World(size=size, rank=rank).share(n, batch) for rank in range(size)]
    assert [i for share in shares for i in range(share.start, share.stop)] == list(range(n))
    assert all(share.start % batch == 0 for share in shares if share.start < share.stop)
    batches = [-(-(share.stop - share.start) // batch) for share in shares]
    assert max(batches) - min(batches) <= 1 and batches[0] == max(batches)
    whole = [World(size=size, rank=rank).whole(n) for rank in range(size)]
    assert [i for share in whole for i in range(share.start, share.stop)] == list(range(n))


def test_a_process_alone_keeps_all_it_has() -> None:
    array = np.arange(3)
    assert ALONE.concatenate(array) is array
    assert ALONE.gather("a") == ["a"] and ALONE.from_main("a") == "a"
    with pytest.raises(KeyError), ALONE.together():
        raise KeyError


def test_batch_norms_count_where_they_are_trained() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert has_batch_norm(network)
    network[1].requires_grad_(False)
    assert not has_batch_norm(network)
    assert not has_batch_norm(nn.Linear(2, 2))


# Two processes


@pytest.fixture(scope="module")
def two_processes(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of a run of two processes and of the same run of one, after all other checks."""
    folder = tmp_path_factory.mktemp("world")
    done = launch(ACCELERATE, root, "tests.helpers.world_program", folder, ROBENCH_PLUGINS=root / PLUGIN)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all as in one process\n"
    return folder


@pytest.mark.slow
def test_two_processes_compute_what_one_computes(two_processes: Path) -> None:
    results = {name: RunResult.model_validate_json((two_processes / f"{name}.json").read_text()) for name in NAMES}
    two, one = results["two"], results["one"]
    assert (two.provenance.processes, one.provenance.processes) == (2, 1)
    assert two.run_id == one.run_id and two.clean == one.clean and two.worst_case == one.worst_case
    plain = {"seconds": 0.0}
    for ours, theirs in zip(two.attacks, one.attacks, strict=True):
        assert ours.model_copy(update=plain) == theirs.model_copy(update=plain)
    assert two.tuning is not None and one.tuning is not None
    assert two.tuning.model_fingerprint == one.tuning.model_fingerprint
    for row, other in zip(two.tuning.history, one.tuning.history, strict=True):
        assert row == pytest.approx(other, rel=1e-5)
    weights, others = (read_adapter(two_processes / f"{name}.safetensors")[0] for name in NAMES)
    assert weights.keys() == others.keys()
    assert all(torch.allclose(weight, others[name], rtol=1e-5) for name, weight in weights.items())
    assert [check.verdict for check in two.checks] == [check.verdict for check in one.checks]


@pytest.mark.slow
def test_a_run_of_two_processes_is_recorded_once(two_processes: Path) -> None:
    assert set((two_processes / "two-heard").read_text().split()) == {"0"}
    run_id = RunResult.model_validate_json((two_processes / "two.json").read_text()).run_id
    files = [path for path in (two_processes / "two").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(two_processes).as_posix() for path in files) == [
        f"two/{run_id}.json",
        f"two/samples/{run_id}.safetensors",
    ]
    assert samples_path(two_processes / "two", run_id).is_file()
    cache = two_processes / "two-cache"
    assert not list((cache / "checkpoints").glob("*"))
    assert len(list((cache / "adversarial").glob("*/meta.json"))) == 3  # to train, validate and test


@pytest.mark.slow
def test_what_one_process_raises_ends_all_with_one_line_and_a_record(root: Path, tmp_path: Path) -> None:
    words = ["--plugin", root / PLUGIN, *ASKED, "--attack", "spoilt", "--results", tmp_path / "results"]
    done = launch(TORCHRUN, root, "robench", "run", *words, HEARD=tmp_path / "heard")
    lines = done.stderr.splitlines()
    said = [line for line in lines if line.startswith("robench:") and "still loading" not in line]  # on a busy machine
    assert said == ["robench: unexpected RuntimeError: OddError: one and two; add --debug for the traceback"]
    assert done.returncode == 1 and not done.stdout
    (record,) = Store(tmp_path / "results").read(print)
    assert record.status == "failed" and record.error is not None and record.error.message == "OddError: one and two"


# The launcher


def launched(monkeypatch: pytest.MonkeyPatch, rank: int = 0) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}.items():
        monkeypatch.setenv(name, value)


def test_without_a_launcher_nothing_is_joined() -> None:
    with joined("auto") as (world, device):
        assert world is ALONE and device == "auto"


@pytest.mark.parametrize(
    ("device", "message"),
    [("cuda:1", "--device cuda:1 is one device for 2 processes"), ("mps", "need CUDA devices, or cpu")],
)
def test_one_device_for_all_is_refused(monkeypatch: pytest.MonkeyPatch, device: str, message: str) -> None:
    launched(monkeypatch)
    with pytest.raises(SpecError, match=message), joined(device):
        pass


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda", 2) == "cuda:1" and own_device("cpu", 2) == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SpecError, match="this machine has 1 CUDA devices"):
        own_device("cuda", 2)


def test_other_commands_are_refused_and_only_one_process_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched(monkeypatch)
    _, error = command(capsys, "sweep", "benchmarks/leaf-synth.toml", code=2)
    assert "2 processes can share `robench run`, not `robench sweep`" in error and "--jobs" in error
    launched(monkeypatch, 1)
    monkeypatch.setattr("robench.cli.PATIENCE", 0.0)
    assert command(capsys, "sweep", "benchmarks/leaf-synth.toml", code=2) == ("", "")
    assert command(capsys, "run", "--dry-run") == ("", "")
