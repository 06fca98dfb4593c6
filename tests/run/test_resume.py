"""A training that was interrupted goes on to the weights it would have had."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench import Progress, TuningTask
from robench.attack.adversary import Adversaries
from robench.attack.perturbation import seeded
from robench.registry.registry import Registry, discover
from robench.storage.adversarial_cache import AdversarialCache
from robench.storage.checkpoint import Checkpoint
from robench.train.product import Product, product
from torch import Tensor, nn

from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, Likely, LinearNetwork, Shift


class Noisy(Likely):
    """An objective that draws random numbers."""

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        return super().loss(network, clean, adversarial + 0.02 * torch.randn_like(adversarial), labels)


TUNER = product("shift+noisy", Shift, Noisy)
SETTINGS: list[dict[str, Any]] = [
    {"lr": 0.5, "epochs": 3, "batch_size": 7},
    {"lr": 0.5, "epochs": 2, "batch_size": 4, "accumulate": 3, "schedule": "cosine", "warmup": 0.2},
    {"lr": 0.5, "epochs": 4, "batch_size": 16, "validate_on": 10, "keep": "best", "patience": 2},
    {"lr": 0.5, "epochs": 8, "batch_size": 20, "validate_on": 10, "schedule": "plateau", "optimizer": "sgd"},
    {"lr": 0.5, "epochs": 2, "batch_size": 6, "balance": 9, "augment": "study-cnn", "adversary": "white-box"},
]


class Interruption(Exception):  # noqa: N818
    """As Ctrl-C or a kill, at a moment of the test's choice."""


def trained(given: dict[str, Any], checkpoint: Checkpoint | None, stop_at: int | None = None) -> tuple[Any, ...]:
    """Train on live adversarial images; return the weights and the history."""
    tuner: Product = TUNER(TUNER.Params.read(given, "shift+noisy"))  # type: ignore[arg-type]
    network = LinearNetwork(50.0, False)
    network.bias.data.fill_(3.0)
    tuner.adapt(network, {})
    seen = 0

    def report(progress: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at:
            raise Interruption

    context = make_context(Path("unused"), Dots())
    context = type(context)(**{**vars(context), "report": report, "warn": checkpoint.warn if checkpoint else print})
    data = Dots().split("train", 40)
    attack = discover().resolve_attack("pgd:steps=2")
    adversaries = Adversaries(context, AdversarialCache(Path("unused"), print))
    task = TuningTask(
        network=network,
        train=data,
        adversary=adversaries.for_training(attack, network, data),
        context=context,
        white_box=True,
        # What a validation set would say of the bias, without one.
        validate=lambda n: {"validation_clean": 1 - abs(network.bias.item()), "validation_loss": network.bias.item()},
        checkpoint=checkpoint,
    )
    with seeded(0, torch.device("cpu")):
        history = tuner.fit(task)
    return network.bias.item(), history


def fresh(folder: Path, warnings: list[str], **identity: str) -> Checkpoint:
    return Checkpoint(folder / "run.pt", identity, warnings.append, seconds=0)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.sampled_from(SETTINGS), st.lists(st.integers(1, 25), min_size=1, max_size=3))
def test_interrupted_anywhere_any_number_of_times(given: dict[str, Any], stops: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for stop in stops:
            with contextlib.suppress(Interruption):
                trained(given, fresh(Path(folder), []), stop)
        assert trained(given, fresh(Path(folder), [])) == trained(given, None)


def test_it_does_go_on_and_says_so(tmp_path: Path) -> None:
    warnings: list[str] = []
    with pytest.raises(Interruption):
        trained(SETTINGS[0], fresh(tmp_path, warnings), 10)
    whole = trained(SETTINGS[0], None)
    assert trained(SETTINGS[0], fresh(tmp_path, warnings)) == whole
    assert any("went on from 54 of 120 images" in warning for warning in warnings), warnings


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", b"half"])
def test_a_damaged_checkpoint_is_put_aside_and_named(tmp_path: Path, damage: bytes) -> None:
    with pytest.raises(Interruption):
        trained(SETTINGS[0], fresh(tmp_path, []), 10)
    path = tmp_path / "run.pt"
    path.write_bytes(path.read_bytes()[:500] if damage == b"half" else damage)
    warnings: list[str] = []
    assert trained(SETTINGS[0], fresh(tmp_path, warnings)) == trained(SETTINGS[0], None)
    assert "damaged checkpoint put aside" in warnings[0] and (tmp_path / "run.damaged").exists()


def test_a_checkpoint_of_other_software_is_not_taken_up(tmp_path: Path) -> None:
    with pytest.raises(Interruption):
        trained(SETTINGS[0], fresh(tmp_path, [], torch="1", model="a"), 10)
    warnings: list[str] = []
    assert trained(SETTINGS[0], fresh(tmp_path, warnings, torch="2", model="a")) == trained(SETTINGS[0], None)
    assert warnings[0].endswith("was made with another torch; training starts anew")


def test_a_checkpoint_that_executes_code_is_refused(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"identity": {}, "weights": Malicious()}, tmp_path / "run.pt")
    warnings: list[str] = []
    assert fresh(tmp_path, warnings).load() is None
    assert "damaged checkpoint" in warnings[0] and not (tmp_path / "executed").exists()


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    checkpoint = Checkpoint(tmp_path / "file" / "run.pt", {}, warnings.append, seconds=0)
    assert trained(SETTINGS[0], checkpoint) == trained(SETTINGS[0], None)
    assert "cannot keep a checkpoint" in warnings[0]


def test_a_run_leaves_no_checkpoint_behind_once_it_is_recorded(registry: Registry, tmp_path: Path) -> None:
    from robench.records.store import Store
    from robench.run.plan import Request, plan
    from robench.run.runner import run

    store = Store(tmp_path / "results")
    store.prepare()
    request = Request(
        dataset="dots",
        model="linear",
        tuner="shift+likely:adversary=sign-linear",
        attacks=("sign",),
        train_size=40,
        test_size=40,
        batch_size=5,
    )
    planned = plan(registry, request)
    where = {"device": torch.device("cpu"), "cache_dir": tmp_path / "cache", "save": lambda r: store.write(r)[0]}
    run(registry, planned, **where)  # type: ignore[arg-type]
    assert list((tmp_path / "cache" / "checkpoints").iterdir()) == []
