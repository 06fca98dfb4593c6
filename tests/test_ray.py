"""A sweep on a real Ray cluster of several worker processes, of which some are killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from robench import cli, ray_engine
from robench.errors import PluginError
from robench.ray_engine import on_ray
from robench.records import RunResult
from robench.registry import Registry
from robench.spec import Request
from robench.store import Store
from robench.sweep import plan_sweep, read_sweep
from robench.sweep_run import Bench, carry_out, run_sweep

from tests import toy
from tests.conftest import entry_point, registry_of

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
    recorded = sorted(path.stem for path in bench.results.glob("*.json"))
    assert recorded == sorted(job.run_id for job in jobs)
    # The same figures as in this process.
    here = Bench(results=tmp_path / "here", cache_dir=tmp_path / "cache", device="cpu")
    alone = {
        outcome.result.run_id: outcome.result
        for outcome in run_sweep(jobs, here, registry=registry, report=lambda line: None)
        if outcome.result
    }
    for record in Store(bench.results).read(pytest.fail):
        other = alone[record.run_id]
        assert record.clean == other.clean
        assert [score.bits for score in record.attacks] == [score.bits for score in other.attacks]


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
    words = ["sweep", file, "--engine", "slurm", "--jobs", "8", "--cpus", "4", "--gpus", "1", "--device", "cuda"]
    with pytest.raises(SystemExit) as exit_:
        cli.main([*words, "--cache-dir", "shared folder/cache"])
    script = capsys.readouterr().out
    assert not exit_.value.code and script.startswith("#!/bin/bash\n")
    for line in ("#SBATCH --array=0-7", "#SBATCH --cpus-per-task=4", "#SBATCH --gpus-per-task=1", "#SBATCH --requeue"):
        assert line in script.splitlines()
    assert "--cache-dir 'shared folder/cache' --device cuda" in script
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    assert exit_.value.code == 2 and "needs --cache-dir" in capsys.readouterr().err
