"""What each tuner may change, and that it learns."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robench import ImageSet, PluginError, Progress, SpecError, Tuner, TuningTask
from robench.adversary import Adversaries
from robench.cache import AdversarialCache
from robench.perturbation import frozen_for_attack, seeded
from robench.registry import discover
from torch import Tensor, nn

from robench_plugins.models.clip import CLIP, CLIPNetwork
from robench_plugins.models.resnet import IMAGENET, Normalised
from robench_plugins.models.resnet_network import ResNet
from robench_plugins.tuners.lora import LoRACrossEntropy, TeCoA
from robench_plugins.tuners.none import NoTuning
from robench_plugins.tuners.training import AdversarialTrainingParams
from robench_plugins.tuners.vpt import VPT
from tests.plugin_fixtures import ToyDataset, make_context, save_tiny_clip, trainable

TRAINED: list[type[Tuner]] = [LoRACrossEntropy, TeCoA, VPT]
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> CLIPNetwork:
    path = save_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
    network = CLIP(CLIP.Params(path=str(path))).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network


@pytest.fixture
def network(tiny_clip: CLIPNetwork) -> CLIPNetwork:
    return copy.deepcopy(tiny_clip)


def make(kind: type[Tuner], **params: Any) -> Tuner:
    return kind(kind.Params.read(params, kind.__name__))


def adapt(tuner: Tuner, network: CLIPNetwork, seed: int = 0) -> None:
    with seeded(seed, torch.device("cpu")):
        tuner.adapt(network, {"vision": network.clip.vision_model})


def fit(tuner: Tuner, network: nn.Module, *, n: int = 48, seed: int = 0) -> list[dict[str, float]]:
    """Train on images that nothing perturbs."""
    task = TuningTask(
        network=network,
        train=ToyDataset().split("train", n),
        adversary=lambda indices, images, labels: images,
        context=make_context(Path("unused")),
    )
    with seeded(seed, torch.device("cpu")):
        return tuner.fit(task)


def weights(network: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def toy_images() -> Tensor:
    return torch.from_numpy(ToyDataset().split("test", 12).images).float() / 255


def logits(network: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(toy_images())
    return found


# What may change


def test_no_tuning_trains_nothing_and_changes_nothing(network: CLIPNetwork) -> None:
    before = weights(network)
    adapt(NoTuning(), network)
    assert not trainable(network)
    assert not NoTuning.trains
    assert weights(network).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in weights(network).items())


@pytest.mark.parametrize("kind", [LoRACrossEntropy, TeCoA])
def test_adapters_are_the_identity_before_training(kind: type[Tuner], network: CLIPNetwork) -> None:
    before = logits(network)
    adapt(make(kind), network)
    assert torch.equal(logits(network), before)


def test_only_adapters_of_query_key_and_value_in_the_vision_tower_are_trained(network: CLIPNetwork) -> None:
    adapt(make(LoRACrossEntropy, rank=4), network)
    shapes = {name: tuple(weight.shape) for name, weight in trainable(network).items()}
    assert len(shapes) == 2 * 3 * 2  # layers, projections, A and B
    assert set(shapes.values()) == {(4, 32), (32, 4)}
    assert all(name.startswith("clip.vision_model.") and ".lora_" in name for name in shapes)
    assert {name.split(".")[-4] for name in shapes} == {"q_proj", "k_proj", "v_proj"}


def test_only_the_tokens_of_vpt_are_trained(network: CLIPNetwork) -> None:
    adapt(make(VPT, tokens=5), network)
    (prompt,) = trainable(network).values()
    assert prompt.shape == (1, 5, 32)
    bound = (6 / (3 * 4**2 + 32)) ** 0.5
    assert prompt.abs().max() <= bound
    assert prompt.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)


@pytest.mark.parametrize("kind", TRAINED)
def test_training_changes_what_is_trainable_and_not_one_bit_more(kind: type[Tuner], network: CLIPNetwork) -> None:
    tuner = make(kind, batch_size=16)
    adapt(tuner, network)
    learned, before, answers = set(trainable(network)), weights(network), logits(network)
    fit(tuner, network)
    changed = {name for name, value in weights(network).items() if not torch.equal(value, before[name])}
    assert changed == learned
    assert not torch.equal(logits(network), answers)


@pytest.mark.parametrize("kind", TRAINED)
def test_a_fit_ends_in_evaluation_mode_where_answers_repeat(kind: type[Tuner], network: CLIPNetwork) -> None:
    tuner = make(kind)
    adapt(tuner, network)
    fit(tuner, network)
    assert not any(module.training for module in network.modules())
    assert torch.equal(logits(network), logits(network))


def test_dropout_acts_in_training_mode_alone(network: CLIPNetwork) -> None:
    tuner = make(LoRACrossEntropy, dropout=0.5, lr=1e-2)
    adapt(tuner, network)
    fit(tuner, network)
    assert torch.equal(logits(network), logits(network))
    network.train()
    assert not torch.equal(logits(network), logits(network))
    with frozen_for_attack(network):
        assert torch.equal(logits(network), logits(network))


def test_the_update_is_alpha_over_rank_times_b_times_a(network: CLIPNetwork) -> None:
    adapt(make(LoRACrossEntropy, rank=2, alpha=6, dropout=0), network)
    layer = network.clip.vision_model.encoder.layers[0].self_attn.q_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    nn.init.normal_(b)
    x = torch.rand(3, 32)
    torch.testing.assert_close(layer(x) - layer.base_layer(x), 3 * x @ a.T @ b.T, atol=1e-5, rtol=1e-4)


# Learning


@pytest.mark.parametrize(("kind", "lr"), [(LoRACrossEntropy, 1e-2), (TeCoA, 1e-2), (VPT, 0.1)])
def test_the_loss_falls_on_a_task_that_can_be_learned(kind: type[Tuner], lr: float, network: CLIPNetwork) -> None:
    tuner = make(kind, lr=lr, epochs=5, batch_size=16)
    adapt(tuner, network)
    history = fit(tuner, network, n=96)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


@pytest.mark.parametrize("kind", TRAINED)
def test_the_seed_decides_the_weights(kind: type[Tuner], tiny_clip: CLIPNetwork) -> None:
    def train(adapting: int, fitting: int) -> list[Tensor]:
        network, tuner = copy.deepcopy(tiny_clip), make(kind, batch_size=16)
        adapt(tuner, network, adapting)
        fit(tuner, network, seed=fitting)
        return [weight.detach() for weight in trainable(network).values()]

    def same(one: list[Tensor], other: list[Tensor]) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    first = train(0, 0)
    assert same(first, train(0, 0))
    assert not same(first, train(1, 0))
    assert not same(first, train(0, 1))


def test_clean_images_count_for_lora_ce_and_not_for_tecoa(network: CLIPNetwork) -> None:
    def loss(tuner: Tuner, clean: ImageSet) -> float:
        adversarial = torch.full((12, 3, 16, 16), 0.5)
        trained = copy.deepcopy(network)
        adapt(tuner, trained)
        context = make_context(Path("unused"))
        task = TuningTask(network=trained, train=clean, adversary=lambda i, x, y: adversarial[i], context=context)
        return tuner.fit(task)[0]["loss"]

    one, other = (ImageSet(images=np.full((12, 3, 16, 16), v, np.uint8), labels=np.arange(12) % 3) for v in (20, 200))
    assert loss(make(TeCoA, dropout=0), one) == loss(make(TeCoA, dropout=0), other)
    weighed = make(LoRACrossEntropy, dropout=0)
    assert loss(weighed, one) != loss(weighed, other)
    without = make(LoRACrossEntropy, dropout=0, clean_weight=0)
    assert loss(without, one) == loss(without, other)


def test_progress_ends_with_every_image_of_every_epoch(network: CLIPNetwork) -> None:
    seen: list[Progress] = []
    tuner = make(VPT, epochs=2, batch_size=20)
    adapt(tuner, network)
    context = make_context(Path("unused"))
    object.__setattr__(context, "report", seen.append)
    tuner.fit(
        TuningTask(network=network, train=ToyDataset().split("train", 50), adversary=lambda i, x, y: x, context=context)
    )
    assert [p.done for p in seen] == [0, 20, 40, 50, 70, 90, 100]
    assert {(p.stage, p.total) for p in seen} == {("tuning", 100)}


@pytest.mark.parametrize("kind", TRAINED)
def test_a_loss_that_is_not_finite_is_an_error(kind: type[Tuner], network: CLIPNetwork) -> None:
    tuner = make(kind)
    adapt(tuner, network)
    task = TuningTask(
        network=network,
        train=ToyDataset().split("train", 12),
        adversary=lambda indices, images, labels: images * torch.nan,
        context=make_context(Path("unused")),
    )
    with pytest.raises(PluginError, match="training loss became nan in epoch 1; lower --lr"):
        tuner.fit(task)


# Networks that do not fit


@pytest.mark.parametrize("kind", TRAINED)
def test_a_resnet_is_refused_with_a_model_to_use_instead(kind: type[Tuner]) -> None:
    resnet = Normalised(ResNet(20, 3), *IMAGENET)
    with pytest.raises(PluginError, match="use --model clip-tiny"):
        make(kind).adapt(resnet, {})


def test_a_resnet_can_go_without_tuning() -> None:
    resnet = Normalised(ResNet(20, 3), *IMAGENET)
    NoTuning().adapt(resnet, {})
    assert not trainable(resnet)


def test_a_tower_without_projections_is_refused(network: CLIPNetwork) -> None:
    with pytest.raises(PluginError, match="q_proj, k_proj, v_proj"):
        make(LoRACrossEntropy).adapt(network, {"vision": nn.Sequential(nn.Linear(2, 2))})
    with pytest.raises(PluginError, match="embeddings"):
        make(VPT).adapt(network, {"vision": nn.Sequential(nn.Linear(2, 2))})


# Adversaries


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "pgd-resnet20:eps=8/255"),
        ({"eps": "4/255", "steps": 3}, "pgd-resnet20:eps=4/255,steps=3"),
        ({"adversary": "white-box"}, "pgd:eps=8/255"),
        ({"adversary": "fgsm-resnet56"}, "fgsm-resnet56:eps=8/255"),
        ({"adversary": "pgd-resnet20:alpha=1/255", "steps": 2}, "pgd-resnet20:alpha=1/255,eps=8/255,steps=2"),
    ],
)
def test_the_adversary_is_written_as_an_attack(params: dict[str, Any], expected: str) -> None:
    assert AdversarialTrainingParams.read(params, "tuner").attack() == expected


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("eps", ["0", "1/255", "5/255", "0.03", "1"])
def test_every_adversary_is_one_that_the_registry_resolves_with_its_radius(kind: type[Tuner], eps: str) -> None:
    tuner = make(kind, eps=eps, steps=2)
    attack = tuner.adversary()
    assert attack is not None
    assert discover().resolve_attack(attack).threat().eps == tuner.params.eps  # type: ignore[attr-defined]


@pytest.mark.parametrize("params", [{"lr": 0}, {"epochs": 0}, {"batch_size": 0}, {"eps": "8"}, {"steps": 0}])
def test_training_parameters_out_of_range_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(params))):
        make(TeCoA, **params)


@pytest.mark.parametrize("kind", TRAINED)
def test_white_box_training_attacks_the_network_as_it_is_now(
    kind: type[Tuner], network: CLIPNetwork, tmp_path: Path
) -> None:
    tuner = make(kind, adversary="white-box", steps=2, epochs=2, batch_size=12, lr=1e-2)
    adapt(tuner, network)
    context, train = make_context(tmp_path), ToyDataset().split("train", 24)
    adversaries = Adversaries(context, AdversarialCache(tmp_path, context.warn))
    attack = tuner.adversary()
    assert attack is not None
    live = adversaries.for_training(discover().resolve_attack(attack), network, train)
    frozen = {name: value for name, value in weights(network).items() if name not in trainable(network)}
    rounds: list[Tensor] = []

    def adversary(indices: Any, images: Tensor, labels: Tensor) -> Tensor:
        assert all(module.training for module in network.modules())
        adversarial = live(indices, images, labels)
        assert all(module.training for module in network.modules())
        assert all(weight.grad is None for name, weight in network.named_parameters() if name in frozen)
        assert 0 < (adversarial - images).abs().max() <= 8 / 255 + 1e-6
        rounds.append(adversarial)
        return adversarial

    history = tuner.fit(TuningTask(network=network, train=train, adversary=adversary, context=context))
    assert len(rounds) == 4
    assert np.isfinite([row["loss"] for row in history]).all()
    assert all(torch.equal(weights(network)[name], value) for name, value in frozen.items())
    assert not list(tmp_path.rglob("*.npy"))
