"""The Python interface of runs: ``robench.run`` and ``robench.evaluate``."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import robench
import torch
from robench.records.record import RunResult
from robench.records.store import Store
from robench.registry.registry import Registry
from robench.suite import python
from torch import Tensor, nn

from tests.conftest import command
from tests.helpers.toy import Dots, LinearNetwork


@pytest.fixture(autouse=True)
def toys(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "discover", lambda **more: registry)


@pytest.fixture
def where(tmp_path: Path) -> dict[str, Any]:
    return {"results": tmp_path / "results", "cache_dir": tmp_path / "cache", "checks": "off", "test_size": 40}


def evaluate(network: nn.Module, **more: Any) -> RunResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return robench.evaluate(network, dataset="dots", **{"attacks": "sign:eps=16/255", **more})


def test_the_rooms_are_functions_and_still_packages() -> None:
    import robench.run.plan

    assert robench.run.plan.SPLITS == ("test", "validation")
    for function, first in ((robench.run, "dataset"), (robench.attack, "network"), (robench.leaderboard, "results")):
        assert next(iter(inspect.signature(function).parameters)) == first
        assert "Args:" in (inspect.getdoc(function) or "")


def test_a_run_is_what_the_command_does(where: dict[str, Any]) -> None:
    made = robench.run(dataset="dots", attacks=["sign"], **where)
    assert made.spec.run_id() == made.run_id and made.clean is not None and made.clean.correct == 40
    again = robench.run(dataset="dots", attacks="sign", **where)
    assert again == made and len(list(where["results"].glob("*.json"))) == 1
    assert "sign: " in str(made) and "of 40 right" in str(made)
    forced = robench.run(dataset="dots", attacks="sign", force=True, **where)
    assert forced.run_id == f"{made.run_id}-2"


def test_what_the_command_says_is_a_warning(where: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="liar: 40 of 40 images came back far outside"):
        robench.run(dataset="dots", attacks="liar", **where)


def test_no_attack_is_an_empty_list_and_the_default_is_none(where: dict[str, Any]) -> None:
    made = robench.run(dataset="dots", model="linear", attacks=[], **where)
    assert made.attacks == () and made.clean is not None and made.worst_case == ()
    assert robench.leaderboard([made])["clean_percent"].tolist() == [100.0]
    for function in (robench.run, robench.evaluate):
        assert inspect.signature(function).parameters["attacks"].default is None


def test_a_warning_names_the_line_of_the_user(where: dict[str, Any]) -> None:
    for call in (
        lambda: robench.run(dataset="dots", attacks="liar", **where),
        lambda: robench.evaluate(LinearNetwork(50.0, False), dataset="dots", attacks="liar", **where),
    ):
        with pytest.warns(UserWarning, match="far outside") as seen:
            call()
        assert {Path(each.filename).name for each in seen} == {"test_python.py"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"attacks": "sgn"}, "did you mean 'sign'"),
        ({"test_size": "40"}, "at least 1, or all"),
        ({"checks": "fats"}, "did you mean 'fast'"),
        ({"precision": "float16"}, "cannot compute"),
        ({"model": "given-in-python:name=Net"}, "robench.evaluate"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    where: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(robench.SpecError, match=message):
        robench.run(**{"dataset": "dots", "attacks": "sign", **where, **asked})
    assert not where["results"].exists()


def test_any_network_is_measured_and_given_back_as_it_was(where: dict[str, Any]) -> None:
    network = LinearNetwork(50.0, False).train()
    network.gain.requires_grad_(False)
    made = evaluate(network, **where)
    reference = robench.run(dataset="dots", attacks="sign:eps=16/255", **where)
    assert [each.bits for each in made.attacks] == [each.bits for each in reference.attacks]
    assert made.clean == reference.clean and made.run_id != reference.run_id
    assert network.training and network.dropout.training
    assert not network.gain.requires_grad and network.bias.requires_grad
    assert Store(where["results"]).completed(made.run_id) == made
    assert made.spec.model.label.startswith("given-in-python:name=LinearNetwork,weights=")
    assert made.provenance.plugins["model given-in-python"] == "given-in-python tests.helpers.toy.LinearNetwork"


def test_content_identifies_a_network(where: dict[str, Any]) -> None:
    class Shifted(LinearNetwork):
        def __init__(self, by: float) -> None:
            super().__init__(50.0, False)
            self.by = by

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images + self.by)

    nowhere = {**where, "results": None}
    ids = [evaluate(network, **nowhere).run_id for network in (Shifted(0.0), Shifted(0.0), Shifted(0.1))]
    assert ids[0] == ids[1] != ids[2]
    other = Shifted(0.0)
    nn.init.constant_(other.bias, 1.0)
    assert evaluate(other, **nowhere).run_id not in ids
    assert not where["results"].exists()


def test_what_is_no_network_of_these_classes_is_refused(where: dict[str, Any]) -> None:
    with pytest.raises(robench.SpecError, match="of type function"):
        robench.evaluate(lambda images: images, dataset="dots", **where)  # type: ignore[arg-type]
    with pytest.raises(robench.SpecError, match="cannot be called 'a,b'"):
        robench.evaluate(nn.Identity(), dataset="dots", name="a,b", **where)
    with pytest.raises(robench.PluginError, match=r"expected floating-point logits of shape \(2, 2\)"):
        evaluate(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), **where)


def test_a_record_of_a_network_cannot_be_reproduced_and_says_so(
    where: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    made = evaluate(LinearNetwork(50.0, False), **where)
    monkeypatch.setattr("robench.cli.evidence.discover", lambda: registry)
    _, errors = command(capsys, "reproduce", made.run_id, "--results", where["results"], code=2)
    assert "given in Python" in errors and "robench.evaluate(network, ...)" in errors
    assert len(errors.splitlines()) == 1


def test_the_leaderboard_is_a_frame(where: dict[str, Any]) -> None:
    made = evaluate(LinearNetwork(50.0, False), name="mine", **where)
    for frame in (robench.leaderboard(where["results"]), robench.leaderboard(made)):
        assert frame["run_id"].tolist() == [made.run_id] and frame["clean_percent"].tolist() == [100.0]
        assert frame["model"].tolist()[0].startswith("given-in-python:name=mine")
    with pytest.raises(robench.DataError, match="no results at"):
        robench.leaderboard(where["results"] / "nowhere")


def test_an_attack_gives_the_bytes_of_a_run(where: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from robench.storage.adversarial_cache import hash_images

    network, data = LinearNetwork(50.0, False), Dots().split("test", 40)
    monkeypatch.setattr("robench.attack.python.discover", python.discover)
    record = evaluate(network, attacks="liar", **where)
    with pytest.warns(UserWarning, match="far outside"):
        made = robench.attack(network, data.images, data.labels, "liar")
    assert hash_images(made)[:16] == record.attacks[0].images
    assert any("liar: 40 of 40 images came back far outside" in line for line in record.warnings)


def _refused() -> list[tuple[Any, Any, str, str]]:
    images, labels = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
    return [
        (images.permute(0, 2, 3, 1), labels, "sign", "channels second"),
        (images + 2, labels, "sign", "normalises itself"),
        (images + 0.001, labels, "sign", "round them first"),
        (images, labels[:1], "sign", "need labels"),
        (images, labels + 1, "sign", "label 2"),
        (images, labels.float(), "sign", "whole numbers"),
        (images, labels, "sign-linear", "give the surrogate as the network"),
        (images, labels, "sign:n=1", "give that many images"),
        (images.to(torch.int32), labels, "sign", "expected uint8"),
    ]


@pytest.mark.parametrize(("images", "labels", "attack", "message"), _refused())
def test_an_attack_refuses_what_it_cannot_judge(
    images: Any, labels: Any, attack: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench.attack.python.discover", python.discover)
    with pytest.raises(robench.RobenchError, match=message):
        robench.attack(LinearNetwork(50.0, False), images, labels, attack)


def test_a_tensor_gives_a_tensor_and_all_stays_within_the_ball(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robench.attack.python.discover", python.discover)
    data = Dots().split("test", 5)
    pixels = torch.from_numpy(data.images).float() / 255
    made = robench.attack(LinearNetwork(50.0, False), pixels, data.labels, "sign:eps=4/255")
    assert isinstance(made, Tensor) and made.dtype == torch.uint8
    assert np.abs(made.numpy().astype(int) - data.images).max() == 4


@pytest.mark.slow
def test_the_notebook_runs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real components
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROBENCH_CACHE", str(tmp_path / "cache"))
    notebook = json.loads((root / "docs" / "examples" / "robench.ipynb").read_text())
    scope: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                assert not cell["outputs"]
                exec("".join(cell["source"]), scope)
    scores = scope["scores"]
    assert scores.clean.accuracy > 0.13 and scores.attacks[1].correct < scores.clean.correct
    assert int(scope["largest"]) <= 4


def test_no_records_are_an_empty_table() -> None:
    assert robench.leaderboard([]).empty
