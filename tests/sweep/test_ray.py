"""A sweep on a real Ray cluster of several worker processes, of which some are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from robench import cli, hookimpl
from robench.contracts.context import Progress
from robench.errors import PluginError
from robench.records.record import RunResult
from robench.records.shared_store import SharedStore
from robench.records.store import Store
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.storage.adversarial_cache import AdversarialCache
from robench.storage.shared_folder import SharedFolder
from robench.sweep import ray_engine
from robench.sweep.adversarial_sets import make_set
from robench.sweep.local import Bench, carry_out, run_sweep
from robench.sweep.plan import Job, plan_sweep, read_sweep
from robench.sweep.ray_engine import on_ray

from tests.conftest import entry_point, registry_of
from tests.helpers import toy

TOY = """
title = "Dots"
seeds = [0, 1]
[common]
dataset = "dots"
attacks = ["sign-linear", "sign:n=10"]
train_size = 30
test_size = 40
[[rows]]
name = "bias"
tuner = "bias"
[[rows]]
name = "steep"
tuner = "bias"
model = "steep"
"""


@pytest.fixture(scope="module")
def cluster(root: Path) -> Iterator[None]:
    """Two worker processes on this machine."""
    import ray

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


WRITE = AdversarialCache._write


def toy_components(folder: Path, deadly: bool = False) -> Registry:
    """The toy components, in a process that notes in `folder` which sets it makes.

    Args:
        deadly: The first process that makes a set dies of it.
    """

    def write(self: AdversarialCache, path: Path, *more: object) -> str:
        if deadly and not (folder / "killed-maker").exists():
            (folder / "killed-maker").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "made").open("a") as file:
            file.write(f"{path.name}\n")
        return WRITE(self, path, *more)  # type: ignore[arg-type]

    AdversarialCache._write = write  # type: ignore[method-assign, assignment]
    return registry_of(entry_point("toy", toy.__name__, "toy-dist"))


def far_apart(folder: Path, deadly: bool = False) -> Registry:
    """The same on a machine of its own, as far as files go."""
    os.environ["XDG_CACHE_HOME"] = str(folder / f"machine-{os.getpid()}")
    return toy_components(folder, deadly)


def toy_set(
    request: Request, bench: Bench, threads: int, key: str, folder: Path, far: bool = False, deadly: bool = False
) -> None:
    registry = (far_apart if far else toy_components)(folder, deadly)
    make_set(plan(registry, request), key, device=torch.device("cpu"), cache_dir=bench.cache_dir)


def no_set(request: Request, bench: Bench, threads: int, key: str) -> None:
    raise PluginError("no set here")


def toy_work(request: Request, bench: Bench, threads: int, folder: Path, far: bool = False) -> RunResult:
    """Toy runs, of which one kills its worker the first time, half-way."""
    registry = (far_apart if far else toy_components)(folder)
    marker = folder / "killed-run"

    class Killer:
        @hookimpl
        def robench_run_progress(self, progress: Progress) -> None:
            if (request.model, request.seed) == ("steep", 1) and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    registry.manager.register(Killer())
    return carry_out(registry, request, bench)


def always_dies(request: Request, bench: Bench, threads: int) -> RunResult:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def planned(registry: Registry, folder: Path, text: str = TOY) -> list[Job]:
    (folder / "sweep.toml").write_text(text)
    return plan_sweep(registry, read_sweep(folder / "sweep.toml"))


def made(folder: Path) -> list[str]:
    """Return each set that was made, as often as it was."""
    return sorted((folder / "made").read_text().split())


@pytest.mark.slow
def test_every_run_is_recorded_once_and_every_set_made_once_although_workers_are_killed(
    cluster: None, registry: Registry, tmp_path: Path
) -> None:
    jobs = planned(registry, tmp_path)
    bench = Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu")
    work, prepare = partial(toy_work, folder=tmp_path), partial(toy_set, folder=tmp_path, deadly=True)
    engine = partial(on_ray, cpus=1, gpus=0, work=work, prepare=prepare)
    lines: list[str] = []
    outcomes = run_sweep(jobs, bench, registry=registry, report=lines.append, engine=engine)
    assert len(outcomes) == len(lines) == len(jobs) == 4 and all(outcome.result for outcome in outcomes)
    assert len(list(tmp_path.glob("killed-*"))) == 2
    recorded = sorted(path.stem for path in (tmp_path / "results").glob("*.json"))
    assert recorded == sorted(job.run_id for job in jobs)
    # For each of two seeds, the test images and the training images on the surrogate, which both rows need.
    assert made(tmp_path) == sorted(
        path.name for path in (tmp_path / "cache" / "adversarial").iterdir() if path.is_dir()
    )
    assert len(made(tmp_path)) == 4
    records = Store(tmp_path / "results").read(pytest.fail)
    assert all(record.attacks[0].cached for record in records)
    # The same figures as in this process, which makes its own sets.
    here = Bench(results=tmp_path / "here", cache_dir=tmp_path / "cache-here", device="cpu")
    alone = {
        outcome.result.run_id: outcome.result
        for outcome in run_sweep(jobs, here, registry=registry, report=lambda line: None)
        if outcome.result
    }
    for record in records:
        other = alone[record.run_id]
        assert record.clean == other.clean
        assert [score.bits for score in record.attacks] == [score.bits for score in other.attacks]
        assert [score.images for score in record.attacks] == [score.images for score in other.attacks]


@pytest.mark.slow
def test_machines_that_share_nothing_but_a_url_make_each_set_once(
    cluster: None, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "driver"))
    jobs = planned(registry, tmp_path)
    results, cache = SharedFolder(f"file://{tmp_path}/there/results"), SharedFolder(f"file://{tmp_path}/there/cache")
    bench = Bench(results=results, cache_dir=cache, device="cpu")
    work, prepare = (partial(each, folder=tmp_path, far=True) for each in (toy_work, toy_set))
    engine = partial(on_ray, cpus=1, gpus=0, work=work, prepare=prepare)
    outcomes = run_sweep(jobs, bench, registry=registry, report=lambda line: None, engine=engine)
    assert len(outcomes) == len(jobs) == 4 and all(outcome.result for outcome in outcomes)
    assert (tmp_path / "killed-run").exists() and len(list(tmp_path.glob("machine-*"))) > 1
    recorded = sorted(path.stem for path in (tmp_path / "there" / "results").glob("*.json"))
    assert recorded == sorted(job.run_id for job in jobs)
    assert made(tmp_path) == sorted(path.name for path in (tmp_path / "there" / "cache" / "adversarial").iterdir())
    records = SharedStore(results).read(pytest.fail)
    assert {record.status for record in records} == {"completed"}
    assert all(record.attacks[0].cached for record in records)
    assert all(len({r.attacks[0].images for r in records if r.spec.seed == seed}) == 1 for seed in (0, 1))
    assert not results.entries(".running") and not cache.entries("checkpoints")


def test_a_set_that_cannot_be_made_is_left_to_the_runs(cluster: None, registry: Registry, tmp_path: Path) -> None:
    broken = '[[rows]]\nname = "broken"\nmodel = "linear:broken=true"\n'
    jobs = planned(registry, tmp_path, TOY.replace("[0, 1]", "[0]") + broken)
    bench = Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu")
    (tmp_path / "killed-run").touch()
    engine = partial(on_ray, cpus=1, gpus=0, work=partial(toy_work, folder=tmp_path), prepare=no_set)
    outcomes = run_sweep(jobs, bench, registry=registry, report=lambda line: None, engine=engine)
    ended = {outcome.row: outcome for outcome in outcomes}
    assert ended["bias"].result and ended["steep"].result and len(made(tmp_path)) == 2
    assert ended["broken"].error.startswith("PluginError: ") and "no set" not in ended["broken"].error


def test_a_run_whose_every_worker_dies_is_an_error_and_the_rest_goes_on(
    cluster: None, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "RETRIES", 1)
    jobs = planned(registry, tmp_path)
    bench = Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu")
    engine = partial(on_ray, cpus=1, gpus=0, work=always_dies)
    outcomes = run_sweep(jobs[:1], bench, registry=registry, report=lambda line: None, engine=engine)
    assert [outcome.error.split(":")[0] for outcome in outcomes] == ["its worker died 2 times"]


@pytest.mark.slow
def test_the_command_line_runs_a_sweep_on_ray(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.toml").write_text(
        'title = "Leaves"\nseeds = [0]\n[[rows]]\nname = "zero-shot"\n'
        '[common]\nmodel = "resnet20"\ntest_size = 16\nattacks = ["fgsm"]\n'
    )
    monkeypatch.chdir(tmp_path)
    words = ["sweep", "sweep.toml", "--engine", "ray", "--cache-dir", "cache", "--checks", "off"]
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    captured = capsys.readouterr()
    assert not exit_.value.code, captured.err
    assert "zero-shot" in captured.out and "[1/1]" in captured.err and len(list(Path("results").glob("*.json"))) == 1
    with pytest.raises(SystemExit) as exit_:
        cli.main([*words, "--jobs", "2"])
    assert exit_.value.code == 2 and "--jobs 2 is for this machine" in capsys.readouterr().err


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PluginError, match=r"pip install 'robench\[ray\]'"):
        next(on_ray([], Bench(results=tmp_path, cache_dir=tmp_path), cpus=1, gpus=0))


@pytest.mark.slow
def test_slurm_gets_the_same_sweep_many_times(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROBENCH_CACHE")
    file = str(root / "benchmarks" / "leaf-synth.toml")
    words = ["sweep", file, "--engine", "slurm", "--jobs", "8", "--cpus", "4", "--gpus", "1"]
    words += ["--device", "cuda", "--compile"]
    with pytest.raises(SystemExit) as exit_:
        cli.main([*words, "--results", "sftp://me:secret@host/results", "--cache-dir", "shared folder/cache"])
    script = capsys.readouterr().out
    assert not exit_.value.code and script.startswith("#!/bin/bash\n")
    for line in ("#SBATCH --array=0-7", "#SBATCH --cpus-per-task=4", "#SBATCH --gpus-per-task=1", "#SBATCH --requeue"):
        assert line in script.splitlines()
    assert "--results sftp://me:secret@host/results --cache-dir 'shared folder/cache' --device cuda" in script
    assert " --compile" in script
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    assert exit_.value.code == 2 and "needs --cache-dir" in capsys.readouterr().err
