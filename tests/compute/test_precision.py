"""What runs compute in: asked for, held against whatever holds around it, recorded, and never ranked together."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robench import Attacker, Tuner, TuningTask
from robench.attack.adversary import Adversaries
from robench.attack.perturbation import perturb, perturb_set
from robench.compute.precision import LEVELS, Float, Level, Precision, ieee, judging, precision_on, tf32
from robench.contracts.types import ThreatModel
from robench.errors import PluginError, SpecError
from robench.leaderboard.tables import leaderboard
from robench.leaderboard.text import to_markdown
from robench.networks.evaluate import logits_of, predict
from robench.present.show import describe_run
from robench.records.labels import command_of
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.runner import run
from robench.storage.adversarial_cache import AdversarialCache
from robench.sweep.plan import plan_sweep, read_sweep
from torch import Tensor, nn

from tests.helpers import toy
from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, LinearNetwork, Sign

CPU = torch.device("cpu")
ASKED = Request(dataset="dots", tuner="bias", attacks=("sign-linear", "sign"), train_size=60, test_size=40)


class Listening(nn.Module):
    """A convolution and a product, which autocast computes in bfloat16, noting in what it was asked for them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)
        self.heard: list[torch.dtype] = []

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(images).relu().mean(dim=(2, 3)))
        self.heard.append(logits.dtype)
        return logits


@pytest.fixture
def images() -> Any:
    return np.random.RandomState(0).randint(0, 256, (6, 3, 8, 8)).astype(np.uint8)


def carry_out(registry: Registry, folder: Path, request: Request) -> RunResult:
    planned = plan(registry, request)
    return run(registry, planned, device=CPU, cache_dir=folder / "cache", save=lambda result: result)


# The policy


@pytest.mark.parametrize(
    ("level", "hardware", "expected"),
    [
        ("mixed", True, ("bfloat16", "float32", "float32")),
        ("mixed", False, ("float32", "float32", "float32")),
        ("float32", True, ("float32", "float32", "float32")),
        ("bfloat16", False, ("bfloat16", "bfloat16", "float32")),
        ("bfloat16-attacks", True, ("bfloat16", "bfloat16", "bfloat16")),
    ],
)
def test_levels_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, level: Level, hardware: bool, expected: tuple[Float, ...]
) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or hardware
    )
    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    found = precision_on(level, torch.device("cuda"))
    assert (found.tuning, found.evaluation, found.attacks) == expected
    assert judging(level) == expected[1:]


def test_levels_on_a_cpu() -> None:
    assert precision_on("mixed", CPU) == precision_on("float32", CPU) == Precision()
    assert precision_on("bfloat16", CPU) == Precision(tuning="bfloat16", evaluation="bfloat16")


def settings() -> list[str]:
    backends = torch.backends
    cuda = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]  # type: ignore[attr-defined]
    mkldnn = [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]  # type: ignore[attr-defined]
    return [place.fp32_precision for place in (*cuda, *mkldnn)]


def test_within_a_run_float32_is_float32_and_afterwards_all_is_as_it_was() -> None:
    before = settings()
    assert "tf32" in before and tf32(), "torch's default has changed, so that docs/gpu.md is out of date"
    with pytest.raises(RuntimeError, match="plugin"), ieee():
        assert set(settings()) == {"ieee"} and not tf32()
        # The legacy readers that libraries call for matrix products still answer.
        assert torch.get_float32_matmul_precision() == "highest" and not torch.backends.cuda.matmul.allow_tf32
        raise RuntimeError("plugin")
    assert settings() == before
    assert torch.backends.cudnn.allow_tf32


def test_what_somebody_asked_of_torch_does_not_reach_a_run(registry: Registry, tmp_path: Path) -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        before = settings()
        result = carry_out(registry, tmp_path, ASKED)
        assert settings() == before
    finally:
        torch.set_float32_matmul_precision("highest")
    assert result.provenance.precision["tf32"] == "off"


# Evaluation and attacks


@pytest.mark.parametrize("around", [False, True], ids=["plain", "within autocast"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_evaluation_computes_in_what_was_asked_whatever_holds_around_it(
    images: Any, precision: Float, around: bool
) -> None:
    network = Listening()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around):
        predict(network, images, n_classes=2, device=CPU, precision=precision)
        logits = logits_of(network, images, CPU, precision)
    assert set(network.heard) == {getattr(torch, precision)}
    assert logits.dtype == np.float32


@pytest.mark.parametrize("around", [False, True], ids=["plain", "within autocast"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_attacks_compute_in_what_was_asked_whatever_holds_around_them(
    images: Any, precision: Float, around: bool
) -> None:
    network = Listening()
    threat = ThreatModel(norm="Linf", eps=Sign().params.eps, knowledge="white-box")
    given: dict[str, Any] = {"threat": threat, "device": CPU, "seed": 0, "precision": precision}
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=around):
        perturb(Sign(), network, images, np.zeros(6, np.int64), **given)
        perturb_set(Sign(), network, Dots().split("test", 6), **given)
    assert set(network.heard) == {getattr(torch, precision)}


class Hasty(Attacker):
    """Notes the gradients that it sees."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        pixels = images.clone().requires_grad_()
        (self.gradient,) = torch.autograd.grad(nn.functional.cross_entropy(network(pixels), labels), pixels)
        return images


class Careless(Tuner):
    """Runs its whole loop under autocast, the adversary included."""

    trains = True

    def adversary(self) -> str:
        return "hasty"

    def adapt(self, network: nn.Module, parts: Any) -> None:
        network.requires_grad_(False)
        network.bias.requires_grad_(True)

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        assert task.adversary is not None
        indices = np.arange(len(task.train))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            labels = torch.from_numpy(task.train.labels)
            task.adversary(indices, torch.from_numpy(task.train.images).float() / 255, labels)
        return []


def test_a_tuner_that_attacks_within_autocast_gets_float32_gradients(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its network's product is bfloat16 under autocast, and the gradient would show it."""

    class Product(LinearNetwork):
        def __init__(self) -> None:
            super().__init__(50.0, False)
            torch.manual_seed(1)
            self.head = nn.Linear(3 * 8 * 8, 2)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.head(images.flatten(1))
            return logits

    network, seen = Product(), []
    monkeypatch.setattr(toy.Sign, "perturb", lambda self, *given: seen.append(hasty.perturb(*given)) or seen[-1])
    hasty = Hasty()
    planned = plan(registry, replace(ASKED, tuner="bias:adversary=sign"))
    context = make_context(tmp_path, Dots())
    train = Dots().split("train")
    adversary = Adversaries(context, AdversarialCache(tmp_path, context.warn)).for_training(
        planned.adversary, network, train
    )
    Careless().fit(TuningTask(network=network, train=train, adversary=adversary, context=context))
    exact = Hasty()
    pixels = torch.from_numpy(train.images).float().div(255)
    exact.perturb(network, pixels, torch.from_numpy(train.labels))
    assert len(seen) == 1 and torch.equal(hasty.gradient, exact.gradient)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact.perturb(network, pixels, torch.from_numpy(train.labels))
    assert not torch.equal(hasty.gradient, exact.gradient), "this network would not show the difference"


def test_pixels_that_a_live_adversary_spoils_spoil_the_loss_and_are_named(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy.Sign, "perturb", lambda self, network, images, labels: images / 0)
    with pytest.raises(PluginError, match=r"loss became nan in epoch 1; .*adversary, which returned NaN"):
        carry_out(registry, tmp_path, replace(ASKED, tuner="shift+likely:adversary=sign"))


# Identity and record


def test_the_default_leaves_identities_alone_and_any_other_has_its_own(registry: Registry, root: Path) -> None:
    specs = {level: plan(registry, replace(ASKED, precision=level)).spec for level in LEVELS}
    bare = specs["mixed"].model_dump()
    del bare["precision"]
    assert type(specs["mixed"]).model_validate(bare).run_id() == specs["mixed"].run_id()
    assert len({spec.run_id() for spec in specs.values()}) == len(LEVELS)
    # A committed record is itself with the field and, as those from before it are, without.
    for path in (root / "results").glob("*.json"):
        record = json.loads(path.read_text())
        assert record["spec"].pop("precision", "mixed") == "mixed"
        assert RunResult.model_validate(record).spec.run_id() == path.stem


def test_a_precision_that_there_is_not_is_refused_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(SpecError, match="cannot compute in precision 'bfloat'; did you mean 'bfloat16'"):
        plan(registry, replace(ASKED, precision="bfloat"))


def test_the_command_and_the_plan_name_it(registry: Registry) -> None:
    planned = plan(registry, replace(ASKED, precision="bfloat16"))
    assert "--precision bfloat16" in command_of(planned.spec)
    assert ("precision", "bfloat16") in planned.rows()
    default = plan(registry, ASKED)
    assert "--precision" not in shlex.join([command_of(default.spec)])
    assert "precision" not in dict(default.rows())


def test_a_sweep_may_ask_for_it(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(
        'title = "both"\n[common]\ndataset = "dots"\nattacks = ["sign"]\ntest_size = 9\n[[rows]]\nname = "plain"\n'
        '[[rows]]\nname = "fast"\nprecision = "bfloat16"\n'
    )
    jobs = plan_sweep(registry, read_sweep(path))
    assert [job.plan.spec.precision for job in jobs] == ["mixed", "bfloat16"]


def test_a_record_says_what_was_computed_in(registry: Registry, tmp_path: Path) -> None:
    result = carry_out(registry, tmp_path, ASKED)
    computed = {"evaluation": "float32", "attacks": "float32", "tf32": "off"}
    assert result.provenance.precision == {"tuning": "float32", **computed}
    fast = carry_out(registry, tmp_path, replace(ASKED, precision="bfloat16"))
    assert fast.provenance.precision == computed | {"tuning": "bfloat16", "evaluation": "bfloat16"}
    still = carry_out(registry, tmp_path, replace(ASKED, tuner="none"))
    assert still.provenance.precision == computed
    shown = describe_run(fast)
    assert "--precision bfloat16" in shown
    assert "tuning in bfloat16, evaluation in bfloat16, attacks in float32, TF32 off" in shown


def test_rows_of_another_precision_stand_in_another_table(registry: Registry, tmp_path: Path) -> None:
    records = [carry_out(registry, tmp_path, replace(ASKED, precision=level)) for level in LEVELS]
    plain, faster, fast = leaderboard(records)
    assert [row.tuner for row in plain.rows] == ["bias:lr=0.5", "bias:lr=0.5 (tuned in float32)"]
    assert [len(table.rows) for table in (fast, faster)] == [1, 1]
    assert plain.caption.endswith(")")
    assert fast.caption.endswith("scored in bfloat16, attacked in float32")
    assert "scored in bfloat16, attacked in bfloat16" in to_markdown(faster)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    asked: list[dict[str, Any]] = []
    get = AdversarialCache.get
    monkeypatch.setattr(AdversarialCache, "get", lambda self, who, make: asked.append(who) or get(self, who, make))
    yield asked


def test_only_sets_made_by_bfloat16_gradients_are_others(
    registry: Registry, tmp_path: Path, keys: list[dict[str, Any]]
) -> None:
    asked = replace(ASKED, tuner="none", attacks=("sign-linear",))
    cached = {
        level: carry_out(registry, tmp_path, replace(asked, precision=level)).attacks[0].cached for level in LEVELS
    }
    assert cached == {"mixed": False, "float32": True, "bfloat16": True, "bfloat16-attacks": False}
    assert [identity.get("precision") for identity in keys] == [None, None, None, "bfloat16"]
