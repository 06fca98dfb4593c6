"""What TensorBoard, Weights & Biases and MLflow hold of a run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
import uuid
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from robench import Component, Logger, PluginError, RunResult, RunSpec, hookimpl
from robench.registry.registry import Registry, discover
from robench.run.loggers import listening
from robench.run.plan import Request, plan
from robench.run.runner import run

from robench_plugins.loggers.mlflow import MLflow
from tests.conftest import entry_point, registry_of
from tests.helpers.mlflow_rest import RefusedError, StandIn, stand_in

ASKED = Request(
    dataset="leaf-synth", tuner="vpt:adversary=none,batch_size=8", attacks=("fgsm",), train_size=32, test_size=20
)


def logged(text: str, folder: Path, registry: Registry | None = None, asked: Request = ASKED) -> RunResult:
    registry = registry or discover()
    with listening(registry, [text]):
        return run(
            registry,
            plan(registry, asked),
            device=torch.device("cpu"),
            cache_dir=folder / "cache",
            save=lambda made: made,
        )


def test_tensorboard_reads_the_events(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = logged(f"tensorboard:dir={tmp_path / 'runs'}", tmp_path)
    events = EventAccumulator(str(tmp_path / "runs" / result.run_id)).Reload()
    assert result.tuning is not None
    losses = [event.value for event in events.Scalars("tuning/loss")]
    assert losses == pytest.approx([epoch["loss"] for epoch in result.tuning.history])
    steps = events.Scalars("tuning/loss by step")
    assert [event.step for event in steps] == sorted({event.step for event in steps}) and steps
    for name, value in Logger.figures(result).items():
        assert events.Scalars(name)[0].value == pytest.approx(value), name
    (record,) = (event.tensor_proto.string_val[0] for event in events.Tensors("record/text_summary"))
    text = record.decode().removeprefix("```json\n").removesuffix("\n```")
    assert RunResult.model_validate_json(text) == result


def leveldb_log(content: bytes) -> Iterator[bytes]:
    """Yield the records of a LevelDB log, the format of offline runs: blocks of 32 KiB, after a header of 7 bytes."""
    position, parts = 7, b""
    while position + 7 <= len(content):
        left = 2**15 - position % 2**15
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_weights_and_biases_keeps_an_offline_run(tmp_path: Path) -> None:
    import wandb
    from wandb.proto import wandb_internal_pb2

    result = logged(f"wandb:dir={tmp_path}", tmp_path)
    wandb.teardown()  # the run's end does not wait for the file to be written; the end of wandb's service does
    (path,) = tmp_path.rglob("run-*.wandb")
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    logged_losses = []
    for data in leveldb_log(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        summary |= {
            item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update
        }
        logged_losses += [
            json.loads(item.value_json)
            for item in record.history.item
            if (item.key or "/".join(item.nested_key)) == "tuning/loss"
        ]
    assert config["tuner"] == result.spec.tuner.label and config["seed"] == 0
    assert summary["accuracy/clean"] == pytest.approx(result.clean.accuracy if result.clean else None)
    assert summary["status"] == "completed"
    assert result.tuning is not None
    assert logged_losses == pytest.approx([epoch["loss"] for epoch in result.tuning.history])


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as made:
        yield made


def assert_holds(address: str, experiment: str, result: RunResult, runs: int) -> None:
    """Ask a server, this process's or a real one, for the `runs` of an experiment, each of which is `result`."""

    def ask(path: str, **content: Any) -> Any:
        request = urllib.request.Request(
            f"{address}/api/2.0/mlflow/{path}",
            data=json.dumps(content).encode() if content else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    about = ask(f"experiments/get-by-name?experiment_name={experiment}")["experiment"]
    found = ask("runs/search", experiment_ids=[about["experiment_id"]])["runs"]
    assert [kept["info"]["status"] for kept in found] == ["FINISHED"] * runs
    for kept in found:
        assert kept["info"]["run_name"] == result.run_id
        metrics = {metric["key"]: metric["value"] for metric in kept["data"]["metrics"]}
        lasting = {name: value for name, value in Logger.figures(result).items() if not name.startswith("seconds/")}
        assert lasting and lasting.items() <= metrics.items()
        assert {"key": "tuner", "value": result.spec.tuner.label} in kept["data"]["params"]
        tags = {tag["key"]: tag["value"] for tag in kept["data"]["tags"]}
        assert tags["command"].startswith("robench run")


def test_mlflow_has_the_run_in_the_fields_that_its_interface_documents(tmp_path: Path, server: StandIn) -> None:
    toy = registry_of(
        entry_point("toy", "tests.helpers.toy", "toy"), entry_point("builtin", "robench_plugins", "robench")
    )
    asked = Request(
        dataset="dots", model="linear", tuner="shift+ce:adversary=none", attacks=("sign",), train_size=40, test_size=40
    )
    result = logged(f"mlflow:uri={server.address},experiment=leaves", tmp_path, toy, asked)
    assert not [line for line in result.warnings if "MLflow" in line]
    assert_holds(server.address, "leaves", result, 1)
    paths = [path for path, _ in server.requests]
    assert paths[:3] == ["experiments/create", "runs/create", "runs/log-batch"]
    assert paths[-5:-2] == ["runs/set-tag", "runs/set-tag", "runs/update"]  # before what was asked here
    assert set(paths[3:-5]) == {"runs/log-batch"}
    (kept,) = server.runs.values()
    params = {param["key"]: param["value"] for param in kept["data"]["params"]}
    assert params == {name: str(value) for name, value in Logger.settings(result.spec).items()}
    losses = [metric for metric in kept["data"]["metrics"] if metric["key"] == "tuning/loss"]
    assert result.tuning is not None
    assert [metric["value"] for metric in losses] == [epoch["loss"] for epoch in result.tuning.history]
    steps = [metric["step"] for metric in kept["data"]["metrics"] if metric["key"] == "tuning by step/loss"]
    assert steps and steps == sorted(set(steps))
    assert kept["info"]["start_time"] <= kept["info"]["end_time"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    registry = registry_of(entry_point("toy", "tests.helpers.toy", "toy"))
    asked = Request(dataset="dots", model="linear", tuner="bias", attacks=("sign",), train_size=40, test_size=40)
    folder = tmp_path_factory.mktemp("made")
    return run(
        registry, plan(registry, asked), device=torch.device("cpu"), cache_dir=folder, save=lambda result: result
    )


@pytest.mark.parametrize(
    ("status", "told"), [("completed", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED")]
)
def test_mlflow_uses_the_experiment_that_is_there_and_tells_how_a_run_ended(
    server: StandIn, made: RunResult, status: str, told: str
) -> None:
    server.experiments["robench"] = "7"
    logger = MLflow(MLflow.Params.read({"uri": server.address + "/"}, "mlflow"))
    logger.open()
    logger.started(made.spec, made.run_id)
    logger.finished(made.model_copy(update={"status": status}))
    assert [path for path, _ in server.requests[:3]] == ["experiments/create", "experiments/get-by-name", "runs/create"]
    (kept,) = server.runs.values()
    assert (kept["info"]["experiment_id"], kept["info"]["status"]) == ("7", told)


def test_mlflow_gets_long_histories_and_odd_names_in_requests_that_it_takes(server: StandIn, made: RunResult) -> None:
    assert made.tuning is not None
    history = tuple({"epoch": epoch, "loss": 1.0, "odd [name]": 2.0} for epoch in range(1, 701))
    logger = MLflow(MLflow.Params.read({"uri": server.address}, "mlflow"))
    logger.open()
    logger.started(made.spec, made.run_id)
    logger.finished(made.model_copy(update={"tuning": made.tuning.model_copy(update={"history": history})}))
    (kept,) = server.runs.values()
    keys = [metric["key"] for metric in kept["data"]["metrics"]]
    assert keys.count("tuning/loss") == keys.count("tuning/odd _name_") == 700


def test_the_server_of_these_tests_refuses_what_is_not_documented(server: StandIn) -> None:
    now = 1_700_000_000_000
    for path, body in {
        "runs/made-up": {},
        "experiments/create": {"name": "x", "color": "red"},
        "runs/create": {"experiment_id": 0, "start_time": now},
        "runs/log-batch": {"run_id": "0", "params": [{"key": "x", "value": 6001 * "x"}]},
        "runs/set-tag": {"run_id": "0", "key": "[x]", "value": ""},
        "runs/update": {"run_id": "0", "status": "DONE", "end_time": now},
    }.items():
        with pytest.raises(RefusedError):
            server.answer("POST", path, body)
    assert not server.requests


def test_the_refusal_of_an_mlflow_server_is_one_line(server: StandIn, made: RunResult) -> None:
    logger = MLflow(MLflow.Params.read({"uri": server.address}, "mlflow"))
    logger.open()
    server.experiments.clear()
    with pytest.raises(PluginError, match=r"^MLflow server http://.*RESOURCE_DOES_NOT_EXIST") as caught:
        logger.started(made.spec, made.run_id)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def real_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server: the one that runs there, or one in an environment made for it."""
    asked = os.environ.get("ROBENCH_TEST_MLFLOW")
    if not asked:
        pytest.skip("ROBENCH_TEST_MLFLOW is neither the address of an MLflow server nor 'install'")
    if asked != "install":
        yield asked.rstrip("/")
        return
    folder = tmp_path_factory.mktemp("mlflow")
    venv.create(folder / "env", with_pip=True)
    subprocess.run([folder / "env" / "bin" / "pip", "install", "--quiet", "mlflow>=3"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [folder / "env" / "bin" / "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'runs.db'}"]
    command += ["--artifacts-destination", folder / "artifacts"]
    # Its queues of jobs would only take processor time.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health"):
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.slow
def test_a_real_mlflow_server_has_the_run(tmp_path: Path, real_mlflow: str) -> None:
    """Log two runs to a real server. It runs only where the environment variable ROBENCH_TEST_MLFLOW says how:

    - ``ROBENCH_TEST_MLFLOW=http://127.0.0.1:5000``: to the server that runs there, into an experiment of its own;
    - ``ROBENCH_TEST_MLFLOW=install``: MLflow is installed into a new environment, which takes minutes, and started.

    MLflow cannot be installed beside torchattacks, hence the second environment.
    """
    experiment = f"robench-test-{uuid.uuid4().hex}"
    for _ in range(2):  # the second into the experiment that is there by then
        result = logged(f"mlflow:uri={real_mlflow},experiment={experiment}", tmp_path)
    assert_holds(real_mlflow, experiment, result, 2)


def test_a_server_that_does_not_answer_or_a_missing_library_is_one_line_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError, match=r"MLflow server http://127\.0\.0\.1:9 does not answer"):
        logged("mlflow:uri=http://127.0.0.1:9", tmp_path)
    with pytest.raises(PluginError, match="is no address; expected http"):
        logged("mlflow:uri=file:///etc/passwd", tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for name in ("wandb", "tensorboard"):
        with pytest.raises(PluginError, match=rf"pip install 'robench\[{name}\]'"):
            logged(name, tmp_path)
    assert not any(tmp_path.iterdir())


class Clumsy(Logger):
    """Fails at every turn."""

    def started(self, spec: RunSpec, run_id: str) -> None:
        raise RuntimeError("no start")

    def progress(self, progress: object) -> None:
        raise RuntimeError("no progress")

    def finished(self, result: RunResult) -> None:
        raise RuntimeError("no end")


def test_a_logger_that_raises_harms_no_run(tmp_path: Path, module: Any) -> None:
    @hookimpl
    def robench_components() -> list[Component]:
        return [Component(kind="logger", name="clumsy", target="clumsy:Clumsy", summary="")]

    name = module("clumsy", Clumsy=Clumsy, robench_components=robench_components)
    registry = registry_of(entry_point("toy", "tests.helpers.toy", "toy"), entry_point("clumsy", name, "clumsy"))
    asked = Request(dataset="dots", model="linear", tuner="bias", attacks=("sign",), train_size=40, test_size=40)
    with pytest.warns(UserWarning, match="Clumsy could not be told of run_finished: RuntimeError: no end"):
        result = logged("clumsy", tmp_path, registry, asked)
    assert result.status == "completed"
    assert [line for line in result.warnings if "Clumsy" in line] == [
        "Clumsy could not be told of run_started: RuntimeError: no start",
        "Clumsy could not be told of run_progress: RuntimeError: no progress",
    ]
