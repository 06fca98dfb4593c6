"""What TensorBoard, Weights & Biases and MLflow, the real ones, hold of a run."""

from __future__ import annotations

import json
import struct
import sys
import urllib.request
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

from tests.conftest import entry_point, registry_of

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


def test_mlflow_has_the_run_on_its_server(tmp_path: Path, mlflow_server: str) -> None:
    result = logged(f"mlflow:uri={mlflow_server},experiment=leaves", tmp_path)
    logged(f"mlflow:uri={mlflow_server},experiment=leaves", tmp_path)  # into the experiment that is there now

    def ask(path: str, **content: Any) -> Any:
        request = urllib.request.Request(
            f"{mlflow_server}/api/2.0/mlflow/{path}",
            data=json.dumps(content).encode() if content else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    experiment = ask("experiments/get-by-name?experiment_name=leaves")["experiment"]["experiment_id"]
    runs = ask("runs/search", experiment_ids=[experiment])["runs"]
    assert [found["info"]["status"] for found in runs] == ["FINISHED", "FINISHED"]
    found = runs[0]
    assert found["info"]["run_name"] == result.run_id
    metrics = {metric["key"]: metric["value"] for metric in found["data"]["metrics"]}
    lasting = {name: value for name, value in Logger.figures(result).items() if not name.startswith("seconds/")}
    assert lasting and lasting.items() <= metrics.items()
    assert {"key": "tuner", "value": result.spec.tuner.label} in found["data"]["params"]
    assert any(tag["key"] == "command" and tag["value"].startswith("robench run") for tag in found["data"]["tags"])


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
