"""Several processes share a run, and it comes out as in one: tried with two, which a launcher starts."""

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
from robench.train.loop import has_batch_norm
from torch import nn

from tests.conftest import command

TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]

MANY = """
import os
import numpy as np
from robench import Attacker, Component, ImageSet, hookimpl
from tests.helpers import toy


class Many(toy.Dots):
    # More images than a batch of any kind holds, and no multiple of one.
    def split(self, name, limit=None):
        random, n = np.random.RandomState(len(name)), 253
        labels = np.arange(n) % 2
        images = random.randint(108, 128, (n, 3, 8, 8)) + 20 * labels[:, None, None, None]
        return ImageSet(images=images.astype(np.uint8)[:limit], labels=labels.astype(np.int64)[:limit])


class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Spoilt(Attacker):
    def perturb(self, network, images, labels):
        if os.environ.get("RANK") == "1":
            raise OddError("one", "two")
        return images


def component(kind, name, target):
    return Component(kind=kind, name=name, target=target, summary="for tests")


@hookimpl
def robench_components():
    return [
        *(each for each in toy.robench_components() if each.name in ("linear", "shift", "likely")),
        component("dataset", "many", f"{__name__}:Many"),
        component("attacker", "sign", "tests.helpers.toy:Sign"),
        component("attacker", "liar", "tests.helpers.toy:Liar"),
        component("attacker", "spoilt", f"{__name__}:Spoilt"),
    ]


@hookimpl
def robench_run_progress(progress):
    with open(os.environ["HEARD"], "a") as file:
        print(os.environ.get("RANK"), file=file)
"""
ASKED = ["--dataset", "many", "--model", "linear", "--device", "cpu", "--train-size", "101", "--test-size", "253"]
TUNED = ["--tuner", "shift+likely:adversary=liar-linear,batch_size=16,epochs=2,validate_on=9"]
ATTACKS = ["--attack", "liar-linear", "--attack", "sign:n=130", "--no-white-box"]


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that load the plugin with many images."""
    (tmp_path / "plugins").mkdir()
    plugin = tmp_path / "plugins" / "many_images.py"
    plugin.write_text(MANY)
    monkeypatch.setenv("HEARD", str(tmp_path / "heard"))
    return ["--plugin", str(plugin)]


def launch(launcher: list[str], root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Start a module as two processes."""
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'plugins'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, "-m", *(str(word) for word in words)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, timeout=120)


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


def test_two_processes_compute_what_one_computes(root: Path, tmp_path: Path) -> None:
    done = launch(TORCHRUN, root, "tests.helpers.world_program", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all as in one process\n"


def test_a_run_of_two_processes_is_recorded_once_and_as_that_of_one(
    root: Path, tmp_path: Path, many: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*many, *ASKED, *TUNED, *ATTACKS]

    def words(name: str) -> list[str]:
        folder = tmp_path / name
        kept = ["--results", str(folder), "--cache-dir", f"{folder}-cache", "--save-adapter", f"{folder}.safetensors"]
        return ["run", *asked, *kept, "--json"]

    done = launch(ACCELERATE, root, "robench", *words("two"))
    assert done.returncode == 0, done.stderr
    assert set((tmp_path / "heard").read_text().split()) == {"0"}
    two = RunResult.model_validate_json(done.stdout)
    one = RunResult.model_validate_json(command(capsys, *words("one"))[0])
    assert (two.provenance.processes, one.provenance.processes) == (2, 1)
    assert two.run_id == one.run_id and two.clean == one.clean and two.worst_case == one.worst_case
    plain = {"seconds": 0.0}
    for ours, theirs in zip(two.attacks, one.attacks, strict=True):
        assert ours.model_copy(update=plain) == theirs.model_copy(update=plain)
    assert two.tuning is not None and one.tuning is not None
    assert two.tuning.model_fingerprint == one.tuning.model_fingerprint
    for row, other in zip(two.tuning.history, one.tuning.history, strict=True):
        assert row == pytest.approx(other, rel=1e-5)
    weights, others = (read_adapter(tmp_path / f"{name}.safetensors")[0] for name in ("two", "one"))
    assert weights.keys() == others.keys()
    assert all(torch.allclose(weight, others[name], rtol=1e-5) for name, weight in weights.items())
    assert [check.verdict for check in two.checks] == [check.verdict for check in one.checks]
    written = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "two").rglob("*") if path.is_file())
    assert written == [f"two/{two.run_id}.json", f"two/samples/{two.run_id}.safetensors"]
    assert samples_path(tmp_path / "two", two.run_id).is_file()
    assert not list((tmp_path / "two-cache" / "checkpoints").glob("*"))
    assert len(list((tmp_path / "two-cache" / "adversarial").glob("*/meta.json"))) == 3  # to train, validate and test


def test_what_one_process_raises_ends_all_with_one_line_and_a_record(
    root: Path, tmp_path: Path, many: list[str]
) -> None:
    results = tmp_path / "results"
    done = launch(TORCHRUN, root, "robench", "run", *many, *ASKED, "--attack", "spoilt", "--results", results)
    said = [line for line in done.stderr.splitlines() if line.startswith("robench:")]
    assert said == ["robench: unexpected RuntimeError: OddError: one and two; add --debug for the traceback"]
    assert done.returncode == 1 and not done.stdout
    (record,) = Store(results).read(print)
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
