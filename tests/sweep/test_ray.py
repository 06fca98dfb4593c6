"""A sweep on a real Ray cluster of several worker processes, of which some are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from robench import cli
from robench.contracts.context import Progress
from robench.errors import PluginError
from robench.records.record import RunResult
from robench.records.shared_store import SharedStore
from robench.records.store import Store
from robench.registry.registry import Registry
from robench.run.plan import Request
from robench.storage import lease
from robench.storage.adversarial_cache import AdversarialCache
from robench.storage.shared_folder import SharedFolder
from robench.sweep import local as sweep_run
from robench.sweep import ray_engine
from robench.sweep.local import Bench, carry_out, run_sweep
from robench.sweep.plan import plan_sweep, read_sweep
from robench.sweep.ray_engine import on_ray

from tests.conftest import entry_point, registry_of
from tests.helpers import toy

TOY = """
title = "Dots"
seeds = [0, 1, 2, 3]
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


LOST = 3.0
"""Seconds after which the lease of a worker that was killed is lost."""


@pytest.fixture(scope="module")
def cluster(root: Path) -> Iterator[None]:
    """Three worker processes on this machine."""
    import ray

    ray.init(
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


def toy_work(request: Request, bench: Bench, threads: int) -> RunResult:
    """What a worker does: toy runs, of which that with seed 1 kills its worker the first time, half-way."""
    registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"))
    assert isinstance(bench.results, Path)
    marker = bench.results.parent / f"killed-{request.model}-{request.seed}"
    if request.seed == 1 and not marker.exists():

        def die(progress: object) -> None:
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

        registry.manager.register(type("Killer", (), {"robench_run_progress": hook(die)})())
    return carry_out(registry, request, bench)


def hook(function: object) -> object:
    from robench import hookimpl

    @hookimpl
    def robench_run_progress(self: object, progress: object) -> None:
        function(progress)  # type: ignore[operator]

    return robench_run_progress


def always_dies(request: Request, bench: Bench, threads: int) -> RunResult:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_every_run_is_recorded_once_although_workers_are_killed(
    cluster: None, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "sweep.toml").write_text(TOY)
    jobs = plan_sweep(registry, read_sweep(tmp_path / "sweep.toml"))
    bench = Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu")
    engine = partial(on_ray, cpus=1, gpus=0, work=toy_work)
    lines: list[str] = []
    outcomes = run_sweep(jobs, bench, registry=registry, report=lines.append, engine=engine)
    assert len(outcomes) == len(lines) == len(jobs) == 8 and all(outcome.result for outcome in outcomes)
    assert len(list(tmp_path.glob("killed-*"))) == 2
    recorded = sorted(path.stem for path in (tmp_path / "results").glob("*.json"))
    assert recorded == sorted(job.run_id for job in jobs)
    # The same figures as in this process.
    here = Bench(results=tmp_path / "here", cache_dir=tmp_path / "cache", device="cpu")
    alone = {
        outcome.result.run_id: outcome.result
        for outcome in run_sweep(jobs, here, registry=registry, report=lambda line: None)
        if outcome.result
    }
    for record in Store(tmp_path / "results").read(pytest.fail):
        other = alone[record.run_id]
        assert record.clean == other.clean
        assert [score.bits for score in record.attacks] == [score.bits for score in other.attacks]


def work_far_apart(request: Request, bench: Bench, threads: int) -> RunResult:
    """The same on a machine of its own, as far as files go; one with seed 1 dies while it makes images for all."""
    assert isinstance(bench.results, SharedFolder)
    folder = Path(bench.results.url.removeprefix("file://")).parent
    os.environ["XDG_CACHE_HOME"] = str(folder / f"machine-{os.getpid()}")
    lease.BEAT, lease.LOST, lease.POLL = 0.2, LOST, 0.05
    write = AdversarialCache._write

    def noted(self: AdversarialCache, path: Path, *arguments: Any) -> str:
        with (folder / "made").open("a") as file:
            file.write(f"{path.name}\n")
        return write(self, path, *arguments)

    def die(progress: Progress) -> None:
        if request.seed == 1 and progress.stage.startswith("attack sign-linear") and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdversarialCache, "_write", noted)
        registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"))
        registry.manager.register(type("Killer", (), {"robench_run_progress": hook(die)})())
        return carry_out(registry, request, bench)


def test_machines_that_share_nothing_but_a_url_make_everything_once(
    cluster: None, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "driver"))
    monkeypatch.setattr(lease, "LOST", LOST)
    monkeypatch.setattr(sweep_run, "PAUSE", 0.2)
    (tmp_path / "sweep.toml").write_text(TOY.replace("[0, 1, 2, 3]", "[0, 1]"))
    jobs = plan_sweep(registry, read_sweep(tmp_path / "sweep.toml"))
    results, cache = SharedFolder(f"file://{tmp_path}/there/results"), SharedFolder(f"file://{tmp_path}/there/cache")
    bench = Bench(results=results, cache_dir=cache, device="cpu")
    engine = partial(on_ray, cpus=1, gpus=0, work=work_far_apart)
    outcomes = run_sweep(jobs, bench, registry=registry, report=lambda line: None, engine=engine)
    assert len(outcomes) == len(jobs) == 4 and all(outcome.result for outcome in outcomes)
    there = tmp_path / "there"
    assert (there / "killed").exists() and len(list(there.glob("machine-*"))) > 1
    recorded = sorted(path.stem for path in (there / "results").glob("*.json"))
    assert recorded == sorted(job.run_id for job in jobs)
    made = (there / "made").read_text().split()
    assert sorted(made) == sorted(path.name for path in (there / "cache" / "adversarial").iterdir())
    records = SharedStore(results).read(pytest.fail)
    assert {record.status for record in records} == {"completed"}
    # Both rows attack the same images of a seed on the same network.
    assert all(len({r.attacks[0].images for r in records if r.spec.seed == seed}) == 1 for seed in (0, 1))
    assert not results.entries(".running") and not cache.entries("making") and not cache.entries("checkpoints")


def test_a_run_whose_every_worker_dies_is_an_error_and_the_rest_goes_on(
    cluster: None, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "RETRIES", 1)
    (tmp_path / "sweep.toml").write_text(TOY.replace("[0, 1, 2, 3]", "[0]"))
    jobs = plan_sweep(registry, read_sweep(tmp_path / "sweep.toml"))
    bench = Bench(results=tmp_path / "results", cache_dir=tmp_path / "cache", device="cpu")
    engine = partial(on_ray, cpus=1, gpus=0, work=always_dies)
    outcomes = run_sweep(jobs[:1], bench, registry=registry, report=lambda line: None, engine=engine)
    assert [outcome.error.split(":")[0] for outcome in outcomes] == ["its worker died 2 times"]


def test_the_command_line_runs_a_sweep_on_ray(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.toml").write_text(
        'title = "Leaves"\nseeds = [0]\n[common]\ntest_size = 16\nattacks = ["fgsm"]\n[[rows]]\nname = "zero-shot"\n'
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
    assert exit_.value.code == 2 and "--jobs 2 is for processes here" in capsys.readouterr().err


def test_without_ray_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PluginError, match=r"pip install 'robench\[ray\]'"):
        next(on_ray([], Bench(results=tmp_path, cache_dir=tmp_path), cpus=1, gpus=0))


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
