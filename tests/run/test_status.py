"""The files that tell which runs are under way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from robench import hookimpl
from robench.cli import main
from robench.contracts.context import Progress
from robench.records.record import RunSpec
from robench.registry.registry import Registry
from robench.run import status
from robench.run.status import StatusFile, running, status_kept
from robench.storage.location import local_folder
from robench.storage.shared_folder import SharedFolder

from tests.helpers.results import result


@pytest.fixture
def spec() -> RunSpec:
    return result(tuner="tecoa").spec


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that stands until it is set."""
    now = [100.0]
    monkeypatch.setattr(status.time, "monotonic", lambda: now[0])
    yield now


def left_behind(results: Path, pid: int, born: float, **more: Any) -> Path:
    content = {"run_id": "0" * 12, "name": "x", "host": status.platform.node(), "pid": pid, "born": born}
    path = results / ".running" / f"{'0' * 12}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content | {"started": time.time(), "updated": time.time()} | more))
    return path


def test_a_run_under_way_says_where_it_stands(tmp_path: Path, spec: RunSpec, clock: list[float]) -> None:
    file = StatusFile(tmp_path)
    file.robench_run_started(spec, spec.run_id())
    (started,) = running(tmp_path)
    assert started.pid == os.getpid() and started.stage == "" and started.seconds_left is None
    assert started.name == "clip-tiny, tecoa on leaf-synth, seed 0"
    for done, seconds in ((0, 1), (50, 10)):
        clock[0] += seconds
        file.robench_run_progress(Progress(stage="tuning", done=done, total=200, detail="loss 0.5"))
    (found,) = running(tmp_path)
    assert (found.stage, found.done, found.total, found.detail) == ("tuning", 50, 200, "loss 0.5")
    assert found.seconds_left == pytest.approx(30)
    clock[0] += 10
    file.robench_run_progress(Progress(stage="evaluation, clean", done=10, total=20))
    assert running(tmp_path)[0].seconds_left is None, "a new stage has a speed of its own"
    assert running(tmp_path)[0].finished == (("tuning", 20.0),)
    file.robench_run_finished()
    assert running(tmp_path) == [] and not (tmp_path / ".running").exists()


def test_a_slow_start_does_not_make_the_remaining_time_too_long(
    tmp_path: Path, spec: RunSpec, clock: list[float]
) -> None:
    file = StatusFile(tmp_path)
    file.robench_run_started(spec, spec.run_id())
    for done, seconds in ((0, 1), (10, 60), *((done, 1) for done in range(20, 420, 10))):
        clock[0] += seconds
        file.robench_run_progress(Progress(stage="attack", done=done, total=1000))
    assert running(tmp_path)[0].seconds_left == pytest.approx(59, rel=0.05), "10 images a second, and 590 are left"


def test_the_file_is_written_at_most_once_a_second(
    tmp_path: Path, spec: RunSpec, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, *a, **k: written.append(str(self)) or write(self, *a, **k))
    file = StatusFile(tmp_path)
    file.robench_run_started(spec, spec.run_id())
    for done in range(30):
        clock[0] += 0.1
        file.robench_run_progress(Progress(stage="tuning", done=done, total=30))
    assert 3 <= len(written) <= 4


def test_the_next_run_of_a_process_takes_the_place_of_the_one_before(tmp_path: Path, spec: RunSpec) -> None:
    file = StatusFile(tmp_path)
    for run_id in ("a" * 12, "b" * 12):  # no word of the end of the first: its record could not be saved
        file.robench_run_started(spec, run_id)
    assert [found.run_id for found in running(tmp_path)] == ["b" * 12]


def test_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path = left_behind(tmp_path, dead.pid, time.time())
    assert running(tmp_path) == [] and not path.exists()


def test_another_process_of_the_same_number_is_not_the_run(tmp_path: Path) -> None:
    path = left_behind(tmp_path, os.getpid(), born=1.0)
    assert running(tmp_path) == [] and not path.exists()


def test_a_run_of_another_machine_counts_until_it_is_silent_for_long(tmp_path: Path) -> None:
    path = left_behind(tmp_path, 1, 1.0, host="elsewhere")
    assert len(running(tmp_path)) == 1
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"updated": time.time() - 2 * status.SILENT}))
    assert running(tmp_path) == [] and path.exists(), "it is not ours to remove"


def test_what_is_no_status_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".running").mkdir()
    (tmp_path / ".running" / "x.json").write_text("{half a fi")
    assert running(tmp_path) == [] and running(tmp_path / "nowhere") == []


def test_a_folder_that_cannot_be_written_harms_no_run(tmp_path: Path, registry: Registry, spec: RunSpec) -> None:
    (tmp_path / ".running").write_text("a file where the folder should be")
    hooks = registry.manager.hook
    with status_kept(registry.manager, tmp_path):
        hooks.robench_run_started(spec=spec, run_id=spec.run_id())
        hooks.robench_run_progress(progress=Progress(stage="tuning", done=1, total=2))
        hooks.robench_run_finished(result=result())
    assert running(tmp_path) == []


def test_an_exception_takes_the_file_and_the_subscriber_away(tmp_path: Path, registry: Registry, spec: RunSpec) -> None:
    with pytest.raises(KeyboardInterrupt), status_kept(registry.manager, tmp_path):
        registry.manager.hook.robench_run_started(spec=spec, run_id=spec.run_id())
        assert len(running(tmp_path)) == 1
        raise KeyboardInterrupt
    assert running(tmp_path) == []
    registry.manager.hook.robench_run_started(spec=spec, run_id=spec.run_id())
    assert running(tmp_path) == []


def test_robench_run_keeps_a_status(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[str]] = []

    class Reader:
        @hookimpl
        def robench_run_progress(self) -> None:
            seen.append([found.name for found in running(tmp_path)])

    monkeypatch.setattr("robench.cli.run.discover", lambda: registry)
    registry.manager.register(Reader())
    command = ["run", "--dataset", "dots", "--tuner", "bias", "--attack", "sign", "--train-size", "20"]
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--test-size", "40", "--results", str(tmp_path)])
    assert not exit_.value.code, capsys.readouterr().err
    assert seen and all(names == ["linear, bias:lr=0.5 on dots, seed 0"] for names in seen)
    assert running(tmp_path) == []


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedFolder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "copies"))
    return SharedFolder(f"file://{tmp_path}/there")


def test_one_process_claims_a_run_at_a_url(shared: SharedFolder, spec: RunSpec) -> None:
    first, second = StatusFile(shared), StatusFile(shared)
    assert first.claim(spec) and not second.claim(spec)
    second.remove()
    first.robench_run_started(spec, spec.run_id())
    assert list(shared.entries(".running")) == [f"{spec.run_id()}.json"] and not second.claim(spec)
    first.robench_run_finished()
    assert second.claim(spec)
    second.remove()
    assert not shared.entries(".running")
    assert (local_folder(shared) / ".running").is_dir(), "others may be about to lock the folder of copies"


@pytest.mark.parametrize(
    ("more", "free"),
    [
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "updated": -0.9 * status.STALE}, False),
        ({"host": "elsewhere", "updated": -1.1 * status.STALE}, True),
        ({"host": "elsewhere", "updated": 1.1 * status.STALE}, True),  # by a clock that is wrong
        ({"pid": os.getpid(), "born": 1.0}, True),  # the process of that number is another one
        ({"pid": "?"}, True),
    ],
)
def test_a_status_file_blocks_while_it_is_renewed(
    shared: SharedFolder, spec: RunSpec, more: dict[str, Any], free: bool
) -> None:
    file = StatusFile(shared)
    assert file.claim(spec)
    name = f".running/{spec.run_id()}.json"
    left = json.loads(shared.read(name))
    if "updated" in more:
        more = more | {"updated": time.time() + more["updated"]}
    file.remove()
    shared.create(name, json.dumps(left | more).encode())
    assert StatusFile(shared).claim(spec) == free
    assert (json.loads(shared.read(name)) != left | more) == free
