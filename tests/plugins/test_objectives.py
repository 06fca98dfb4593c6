"""The training objectives: closed forms, limits, invariances, and what white-box training raises."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench import Component, ImageTextNetwork, Objective, PluginError, SpecError, TuningSetting, to_pixels
from robench.attack.adversary import Adversaries
from robench.attack.live import ScoreAsLogits
from robench.attack.perturbation import frozen_for_attack
from robench.registry.discovery import load_class
from robench.registry.registry import discover
from robench.storage.adversarial_cache import AdversarialCache
from robench.train.params import TrainingParams
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from robench_plugins.objectives.clip import SymmetricContrastive
from robench_plugins.objectives.components import OBJECTIVES
from robench_plugins.objectives.contrastive import Contrastive
from robench_plugins.objectives.cross_entropy import CrossEntropy
from robench_plugins.objectives.debiased import Debiased
from robench_plugins.objectives.fare import FARE
from robench_plugins.objectives.mixed import Mixed
from robench_plugins.objectives.siglip import PairwiseSigmoid, best_bias
from robench_plugins.objectives.tecoa import TeCoA
from robench_plugins.objectives.trades import TRADES, divergence
from tests.helpers.plugin_fixtures import ToyDataset, make_context, save_tiny_clip

EPS = 8 / 255


def of(component: Component) -> type[Objective]:
    loaded: Any = load_class(component)
    return loaded


ALL = [pytest.param(of(component), id=component.name) for component in OBJECTIVES]
MIXED = [pytest.param(of(component), id=component.name) for component in OBJECTIVES if issubclass(of(component), Mixed)]
TEXT_FREE = [CrossEntropy, TRADES]


class Embeddings(nn.Module):
    """An image-text network whose images are their embeddings already."""

    def __init__(self, text: Tensor, temperature: float = 10.0) -> None:
        super().__init__()
        self._text = F.normalize(text, dim=-1)
        self._temperature = torch.tensor(temperature)

    def forward(self, images: Tensor) -> Tensor:
        return self._temperature * self.embed_images(images) @ self._text.T

    def embed_images(self, images: Tensor) -> Tensor:
        return F.normalize(self.image_features(images), dim=-1)

    def image_features(self, images: Tensor) -> Tensor:
        return images

    def class_embeddings(self) -> Tensor:
        return self._text

    def temperature(self) -> Tensor:
        return self._temperature


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(kind: type[Objective], **params: Any) -> Objective:
    return kind(kind.Params.read(params, kind.__name__))


def loss(kind: type[Objective], network: nn.Module, images: Tensor, labels: Tensor, **params: Any) -> Tensor:
    """Return the loss of images that nothing perturbs."""
    objective = make(kind, **params)
    objective.prepare(network)
    return objective.loss(network, images, images, labels)


def of_cosines(kind: type[Contrastive], cosines: Tensor, labels: Tensor, scale: float, **params: Any) -> Tensor:
    """Return the loss under a network whose factor on the cosine is `scale`."""
    objective = make(kind, **params)
    assert isinstance(objective, Contrastive)
    return objective.contrast(cosines, torch.tensor(scale), labels)


def random_cosines(n: int, n_classes: int, seed: int = 0) -> Tensor:
    images, text = draw(n, 8, seed=seed), draw(n_classes, 8, seed=seed + 1)
    return F.normalize(images, dim=1) @ F.normalize(text, dim=1).T


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> CLIPNetwork:
    path = save_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
    network = CLIP(CLIP.Params(path=str(path))).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    return network


@pytest.fixture
def network(tiny_clip: CLIPNetwork) -> CLIPNetwork:
    """A network of which only the first query projection is trained."""
    made = copy.deepcopy(tiny_clip).requires_grad_(False)
    trained(made).requires_grad_(True)
    return made


def trained(network: CLIPNetwork) -> nn.Parameter:
    weight = network.clip.vision_model.get_parameter("encoder.layers.0.self_attn.q_proj.weight")
    assert isinstance(weight, nn.Parameter)
    return weight


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Clean images, noisy versions of them, and labels."""
    data = ToyDataset().split("train", 8)
    clean = torch.from_numpy(data.images).float() / 255
    noisy = (clean + EPS * draw(*clean.shape).sign()).clamp(0, 1)
    return clean, noisy, torch.from_numpy(data.labels)


def classifier(n_classes: int = 3) -> nn.Module:
    layer = nn.Linear(12, n_classes)
    layer.weight.data = draw(n_classes, 12)
    return nn.Sequential(nn.Flatten(), layer)


def ready(objective: Objective, network: nn.Module) -> None:
    """Tell the objective of the network and a run, and let it prepare, as a tuner does."""
    model = CLIP(CLIP.Params(path="unused"))
    parts = model.adaptable(network) if isinstance(network, CLIPNetwork) else {}
    objective.set_up(TuningSetting(network=network, parts=parts, model=model, context=make_context(Path("unused"))))
    objective.prepare(network)


# Declarations


@pytest.mark.parametrize("component", OBJECTIVES, ids=lambda component: component.name)
def test_every_objective_loads_and_names_its_source(component: Component) -> None:
    kind = of(component)
    assert issubclass(kind, Objective)
    assert component.kind == "objective"
    assert component.summary and component.reference
    assert "Source:" in (kind.__doc__ or "")
    make(kind)


def test_no_parameter_is_called_like_one_of_training() -> None:
    for component in OBJECTIVES:
        assert not set(of(component).Params.model_fields) & set(TrainingParams.model_fields)


def test_declaring_objectives_does_not_import_torch() -> None:
    code = "import sys, robench_plugins.objectives.components; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", ALL)
def test_only_objectives_on_text_or_embeddings_refuse_a_network_without(kind: type[Objective]) -> None:
    if kind in TEXT_FREE:
        ready(make(kind), classifier())
    else:
        with pytest.raises(PluginError, match=r"compares images with text|needs the part 'encoder'"):
            ready(make(kind), classifier())


# What holds for all


@pytest.mark.parametrize("kind", ALL)
def test_the_gradient_reaches_what_is_trained_and_nothing_else(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    objective = make(kind)
    ready(objective, network)
    objective.loss(network, *batch).backward()
    assert {name for name, weight in network.named_parameters() if weight.grad is not None} == {
        "clip.vision_model.encoder.layers.0.self_attn.q_proj.weight"
    }
    gradient = trained(network).grad
    assert gradient is not None
    assert gradient.isfinite().all() and gradient.any()


@pytest.mark.parametrize("kind", ALL)
def test_a_small_step_against_the_gradient_lowers_the_loss(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    # The distance of CAW has its kink where training starts.
    objective = make(kind, **({"beta": 0} if kind.__name__ == "CAW" else {}))
    ready(objective, network)
    before = objective.loss(network, *batch)
    before.backward()
    weight = trained(network)
    assert weight.grad is not None
    with torch.no_grad():
        weight -= 1e-2 * weight.grad / weight.grad.norm()
        assert objective.loss(network, *batch) < before


@pytest.mark.parametrize("kind", ALL)
def test_batches_that_processes_may_share_have_the_mean_loss_of_their_parts(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    objective = make(kind)
    ready(objective, network)
    parts = [objective.loss(network, *(part[some] for part in batch)) for some in (slice(0, 5), slice(5, 8))]
    mean = (5 * parts[0] + 3 * parts[1]) / 8
    alike = bool(torch.isclose(mean, objective.loss(network, *batch), rtol=1e-5))
    # LORE's multipliers, not its loss, are of the whole batch.
    assert alike == (not objective.whole_batch or kind.__name__ == "LORE")


@pytest.mark.parametrize("kind", ALL)
def test_the_order_of_the_batch_does_not_matter(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    objective = make(kind)
    ready(objective, network)
    order = torch.tensor([3, 1, 7, 0, 6, 2, 5, 4])
    found = objective.loss(network, *(part[order] for part in batch))
    torch.testing.assert_close(found, objective.loss(network, *batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_under_bfloat16_autocast_the_loss_is_nearly_that_in_float32(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    objective = make(kind)
    ready(objective, network)
    exact = objective.loss(network, *batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective.loss(network, *batch)
    assert found.dtype == torch.float32
    found.backward()
    torch.testing.assert_close(found, exact, rtol=0.1, atol=0.02)


def test_cosines_are_multiplied_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    network = Embeddings(draw(5, 64), temperature=100.0)
    images, labels = draw(6, 64, seed=1), torch.arange(6) % 5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(TeCoA, network, images, labels)
    torch.testing.assert_close(found, loss(TeCoA, network, images, labels))


@pytest.mark.parametrize("kind", TEXT_FREE)
def test_logits_in_bfloat16_make_a_loss_in_float32(kind: type[Objective]) -> None:
    images, labels = draw(5, 3, 2, 2, seed=1), torch.tensor([0, 1, 2, 0, 1])
    assert loss(kind, classifier().bfloat16(), images.bfloat16(), labels).dtype == torch.float32


@pytest.mark.parametrize("kind", ALL)
def test_a_batch_of_one_image_has_a_finite_loss(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    objective = make(kind)
    ready(objective, network)
    found = objective.loss(network, *(part[:1] for part in batch))
    found.backward()
    assert found.isfinite()
    assert all(weight.grad.isfinite().all() for weight in network.parameters() if weight.grad is not None)


# Mixing


@pytest.mark.parametrize("kind", MIXED)
def test_mixing_is_linear_in_its_weight(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    with torch.no_grad():
        found = {weight: make(kind, clean_weight=weight).loss(network, *batch) for weight in (0.0, 0.25, 1.0)}
    assert not torch.isclose(found[0.0], found[1.0], rtol=1e-6)
    torch.testing.assert_close(found[0.25], 0.25 * found[1.0] + 0.75 * found[0.0])


@pytest.mark.parametrize("kind", MIXED)
def test_images_of_weight_zero_are_not_looked_at(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    clean, noisy, labels = batch
    nothing = torch.full_like(clean, torch.nan)
    assert make(kind, clean_weight=0).loss(network, nothing, noisy, labels).isfinite()
    assert make(kind, clean_weight=1).loss(network, clean, nothing, labels).isfinite()


def test_a_weight_above_one_is_refused() -> None:
    with pytest.raises(SpecError, match="clean_weight=2"):
        make(TeCoA, clean_weight=2)


# Cross-entropy


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_ce_is_the_weighted_mean_of_two_cross_entropies(weight: float) -> None:
    network, labels = classifier(), torch.tensor([0, 1, 2, 0, 1])
    clean, adversarial = draw(5, 3, 2, 2, seed=1), draw(5, 3, 2, 2, seed=2)
    expected = weight * F.cross_entropy(network(clean), labels)
    expected = expected + (1 - weight) * F.cross_entropy(network(adversarial), labels)
    found = make(CrossEntropy, clean_weight=weight).loss(network, clean, adversarial, labels)
    torch.testing.assert_close(found, expected)


def test_of_equal_logits_ce_is_the_logarithm_of_the_classes() -> None:
    network = classifier(7)
    for weight in network.parameters():
        nn.init.zeros_(weight)
    found = loss(CrossEntropy, network, draw(4, 3, 2, 2), torch.tensor([0, 6, 3, 1]), clean_weight=0.5)
    assert found.item() == pytest.approx(math.log(7))


# TeCoA


def test_tecoa_with_one_class_is_zero() -> None:
    network = Embeddings(draw(1, 8))
    assert loss(TeCoA, network, draw(4, 8, seed=1), torch.zeros(4, dtype=torch.long)).item() == 0


def test_tecoa_with_orthogonal_classes_in_closed_form() -> None:
    # An image on its own text: cosine 1 there, 0 at the K - 1 others, so -log(e^t / (e^t + K - 1)).
    found = loss(TeCoA, Embeddings(torch.eye(4), temperature=3.0), torch.eye(4), torch.arange(4))
    assert found.item() == pytest.approx(math.log(1 + 3 * math.exp(-3.0)), rel=1e-5)


def test_tecoa_is_the_cross_entropy_of_scaled_cosines() -> None:
    text, images, labels = draw(5, 8), draw(6, 8, seed=1), torch.arange(6) % 5
    cosines = torch.stack([F.cosine_similarity(images, prompt[None]) for prompt in text], dim=1)
    expected = F.cross_entropy(20.0 * cosines, labels)
    torch.testing.assert_close(loss(TeCoA, Embeddings(text, 20.0), images, labels), expected)


def test_tecoa_is_ce_on_a_clip(network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    torch.testing.assert_close(make(TeCoA).loss(network, *batch), make(CrossEntropy).loss(network, *batch))


def test_a_higher_temperature_sharpens_right_and_punishes_wrong_answers() -> None:
    right, wrong = torch.arange(4), (torch.arange(4) + 1) % 4
    losses = [
        [loss(TeCoA, Embeddings(torch.eye(4), t), torch.eye(4), y).item() for t in (1, 5, 25)] for y in (right, wrong)
    ]
    assert losses[0] == sorted(losses[0], reverse=True)
    assert losses[1] == sorted(losses[1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_tecoa_ignores_lengths_and_the_order_of_classes(seed: int, scale: float) -> None:
    text, images, labels = draw(5, 8, seed=seed), draw(6, 8, seed=seed + 1), torch.arange(6) % 5
    expected = loss(TeCoA, Embeddings(text), images, labels)
    torch.testing.assert_close(loss(TeCoA, Embeddings(text), scale * images, labels), expected)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(loss(TeCoA, Embeddings(text[order]), images, order.argsort()[labels]), expected)


@pytest.mark.parametrize("kind", [TeCoA, PairwiseSigmoid])
def test_descending_pulls_an_image_to_its_text(kind: type[Objective]) -> None:
    network, labels = Embeddings(draw(3, 8)), torch.tensor([1])
    image = draw(1, 8, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(kind, network, image, labels), image)
    before, after = (F.cosine_similarity(x, network.class_embeddings()[1:2]) for x in (image, image - 0.1 * gradient))
    assert after > before


def test_the_stand_in_is_an_image_text_network() -> None:
    assert isinstance(Embeddings(draw(2, 4)), ImageTextNetwork)


# FARE


def test_fare_of_an_unchanged_network_and_images_is_zero(
    network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    assert loss(FARE, network, batch[0], batch[2]).item() == 0


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0, math.pi))
def test_fare_of_unit_embeddings_is_the_chord_of_the_angle(angle: float) -> None:
    objective = make(FARE, normalise=True)
    network = Embeddings(torch.eye(2))
    objective.prepare(network)
    clean, turned = torch.tensor([[3.0, 0.0]]), torch.tensor([[math.cos(angle), math.sin(angle)]])
    found = objective.loss(network, clean, turned, torch.tensor([0])).item()
    assert found == pytest.approx(4 * math.sin(angle / 2) ** 2, abs=1e-5)


def test_fare_is_the_squared_distance_of_the_authors_code() -> None:
    # RobustVLM, train/adversarial_training_clip.py: F.mse_loss(out, targets, reduction="none").sum(dim=1).mean()
    objective, network, clean, moved = make(FARE), Embeddings(torch.eye(6)), draw(5, 6), draw(5, 6, seed=1)
    objective.prepare(network)
    found = objective.loss(network, clean, moved, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(found, F.mse_loss(moved, clean, reduction="none").sum(dim=1).mean())


def test_fare_sees_lengths_that_cosines_do_not() -> None:
    plain, unit = make(FARE), make(FARE, normalise=True)
    network, images = Embeddings(torch.eye(6)), draw(5, 6)
    for objective in (plain, unit):
        objective.prepare(network)
    longer = (
        plain.loss(network, images, 3 * images, torch.zeros(5)),
        unit.loss(network, images, 3 * images, torch.zeros(5)),
    )
    assert longer[0].item() == pytest.approx(4 * images.square().sum(1).mean().item(), rel=1e-4)
    assert longer[1].item() == pytest.approx(0, abs=1e-6)


def test_fare_names_the_way_out_for_a_network_of_unit_embeddings_alone() -> None:
    class Unit(Embeddings):
        image_features = None

    with pytest.raises(PluginError, match=r"Unit has no image_features.*use fare with normalise=true"):
        make(FARE).prepare(Unit(torch.eye(2)))
    make(FARE, normalise=True).prepare(Unit(torch.eye(2)))


def test_fare_ignores_labels(network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    clean, noisy, labels = batch
    objective = make(FARE)
    objective.prepare(network)
    expected = objective.loss(network, clean, noisy, labels)
    assert torch.equal(objective.loss(network, clean, noisy, torch.full_like(labels, -1)), expected)


def test_fare_compares_with_the_network_as_it_came(network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    clean, noisy, labels = batch
    objective = make(FARE)
    objective.prepare(network)
    with torch.no_grad():
        anchors = network.image_features(clean)
        trained(network).mul_(-1)
        moved = network.image_features(noisy)
    found = objective.loss(network, clean, noisy, labels)
    torch.testing.assert_close(found, (anchors - moved).square().sum(dim=1).mean(), rtol=1e-3, atol=1e-6)
    assert objective.loss(network, clean, clean, labels) > 0


def test_the_reference_of_fare_has_no_dropout() -> None:
    class Dropping(Embeddings):
        def image_features(self, images: Tensor) -> Tensor:
            return F.dropout(images, training=self.training)

    network, images, objective = Dropping(draw(2, 8)).train(), draw(4, 8), make(FARE)
    objective.prepare(network)
    assert network.training
    assert objective.loss(network.eval(), images, images, torch.zeros(4)).item() == 0


# CLIP's contrastive loss


def test_clip_of_different_classes_is_the_published_loss() -> None:
    # The pseudocode of figure 3: cross-entropy with the diagonal over rows and over columns, halved.
    cosines, labels = random_cosines(5, 7), torch.tensor([6, 0, 3, 1, 4])
    logits = 20 * cosines[:, labels]
    diagonal = torch.arange(5)
    expected = (F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.T, diagonal)) / 2
    torch.testing.assert_close(of_cosines(SymmetricContrastive, cosines, labels, 20.0), expected)


def test_clip_with_orthogonal_classes_in_closed_form() -> None:
    found = of_cosines(SymmetricContrastive, torch.eye(4), torch.arange(4), 3.0)
    assert found.item() == pytest.approx(math.log(1 + 3 * math.exp(-3.0)), rel=1e-5)


def test_clip_counts_every_image_of_the_class_as_positive() -> None:
    # The definition of UniCL, by loops in float64.
    labels = [0, 2, 0, 1, 2, 2]
    cosines = random_cosines(6, 3, seed=5)
    logits = 10 * cosines.double().numpy()[:, labels]
    rows, columns = (x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in (logits, logits.T))
    terms = []
    for i, label in enumerate(labels):
        same = [j for j, other in enumerate(labels) if other == label]
        terms.append(-(rows[i, same].mean() + columns[i, same].mean()) / 2)
    found = of_cosines(SymmetricContrastive, cosines, torch.tensor(labels), 10.0)
    assert found.item() == pytest.approx(float(np.mean(terms)), rel=1e-5)


def test_clip_cannot_go_below_the_logarithm_of_images_a_class() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    found = of_cosines(SymmetricContrastive, torch.eye(2)[labels], labels, 100.0)
    assert found.item() == pytest.approx(math.log(2))


# Pairwise sigmoid


@settings(max_examples=30, deadline=None)
@given(cosine=st.floats(-1, 1), temperature=st.floats(1, 100), bias=st.floats(-50, 50))
def test_siglip_of_one_pair_in_closed_form(cosine: float, temperature: float, bias: float) -> None:
    label = torch.tensor([0])
    found = of_cosines(PairwiseSigmoid, torch.tensor([[cosine]]), label, 3.0, temperature=temperature, bias=bias)
    assert found.item() == pytest.approx(np.logaddexp(0, -(temperature * cosine + bias)), rel=1e-4, abs=1e-5)


def test_siglip_sums_over_all_classes_and_averages_over_images() -> None:
    cosines, labels = random_cosines(4, 3, seed=3), [2, 0, 1, 2]
    logits = 7 * cosines.double().numpy() - 4
    pairs = [np.logaddexp(0, -x if k == labels[i] else x) for i, row in enumerate(logits) for k, x in enumerate(row)]
    found = of_cosines(PairwiseSigmoid, cosines, torch.tensor(labels), 7.0, bias=-4)
    assert found.item() == pytest.approx(sum(pairs) / 4, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.sampled_from([1.0, 10.0, 100.0]), shift=st.floats(-0.5, 0.5))
def test_siglip_without_a_bias_takes_the_best_and_ignores_a_common_shift(
    seed: int, temperature: float, shift: float
) -> None:
    cosines, labels = random_cosines(8, 5, seed=seed), torch.arange(8) % 5
    found = of_cosines(PairwiseSigmoid, cosines, labels, temperature)
    others = [of_cosines(PairwiseSigmoid, cosines, labels, temperature, bias=b).item() for b in range(-120, 121, 3)]
    assert found.item() <= min(others) * (1 + 1e-5)
    torch.testing.assert_close(
        of_cosines(PairwiseSigmoid, cosines + shift, labels, temperature), found, rtol=1e-3, atol=0
    )


def test_the_best_bias_makes_pairs_as_probable_as_they_are_frequent() -> None:
    logits = 100 * random_cosines(16, 10)
    assert torch.sigmoid(logits + best_bias(logits)).mean().item() == pytest.approx(1 / 10, rel=1e-4)


def test_the_gradient_of_siglip_is_that_of_its_minimum_over_the_bias() -> None:
    cosines, labels = random_cosines(6, 4).double(), torch.arange(6) % 4
    assert torch.autograd.gradcheck(
        lambda x: of_cosines(PairwiseSigmoid, x, labels, 5.0), (cosines.requires_grad_(),), atol=1e-4
    )


def test_siglip_with_one_class_is_zero_without_a_bias() -> None:
    cosines = torch.tensor([[0.3], [-0.2]], requires_grad=True)
    found = of_cosines(PairwiseSigmoid, cosines, torch.tensor([0, 0]), 10.0)
    found.backward()
    assert found.item() == 0
    assert cosines.grad is not None and not cosines.grad.any()


# Debiased contrastive loss


@pytest.mark.parametrize("temperature", [None, 0.07, 1.0])
def test_debiased_without_false_negatives_is_infonce(temperature: float | None) -> None:
    cosines, labels = random_cosines(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    scale = 20.0 if temperature is None else 1 / temperature
    expected = F.cross_entropy(scale * cosines[:, labels], torch.arange(6))
    found = of_cosines(Debiased, cosines, labels, 20.0, tau_plus=0, temperature=temperature)
    torch.testing.assert_close(found, expected)


def debiased_by_definition(cosines: Tensor, labels: list[int], tau: float, t: float) -> float:
    """Equation by equation in float64, with no care for overflow."""
    similarity = np.exp(cosines.double().numpy()[:, labels] / t)
    n = len(labels) - 1
    losses = []
    for i, row in enumerate(similarity):
        positive = row[i]
        g = max((np.delete(row, i).sum() / n - tau * positive) / (1 - tau), np.exp(-1 / t))
        losses.append(-np.log(positive / (positive + n * g)))
    return float(np.mean(losses))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), tau=st.floats(0, 0.9), t=st.floats(0.02, 1))
def test_debiased_is_its_definition(seed: int, tau: float, t: float) -> None:
    cosines, labels = random_cosines(6, 4, seed=seed), [0, 1, 2, 3, 0, 1]
    found = of_cosines(Debiased, cosines, torch.tensor(labels), 1.0, tau_plus=tau, temperature=t)
    assert found.item() == pytest.approx(debiased_by_definition(cosines, labels, tau, t), rel=1e-3, abs=1e-5)


def test_debiased_with_all_prompts_alike_in_closed_form() -> None:
    # p = u_i, so g = p whatever tau_plus is: the correction takes away what the division gives back.
    for tau in (0.0, 0.1, 0.5):
        found = of_cosines(Debiased, torch.full((5, 1), 0.4), torch.zeros(5, dtype=torch.long), 10.0, tau_plus=tau)
        assert found.item() == pytest.approx(math.log(5), rel=1e-5)


def test_where_the_positive_outweighs_the_negatives_debiased_is_clamped() -> None:
    # p = e^(1/t), negatives 1: 1 - tau e^(1/t) < 0, so g = e^(-1/t), and no gradient comes from the negatives.
    cosines = torch.eye(4, requires_grad=True)
    found = of_cosines(Debiased, cosines, torch.arange(4), 5.0, tau_plus=0.5)
    found.backward()
    assert found.item() == pytest.approx(math.log(1 + 3 * math.exp(-10)), rel=1e-3)
    assert cosines.grad is not None
    assert torch.equal(cosines.grad != 0, torch.eye(4, dtype=torch.bool))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), tau=st.sampled_from([0.0, 0.1, 0.5, 0.99]), extreme=st.booleans())
def test_debiased_at_clips_temperature_is_finite_with_its_gradient(seed: int, tau: float, extreme: bool) -> None:
    cosines = draw(6, 4, seed=seed).clamp(-1, 1)
    cosines = (cosines.sign() if extreme else cosines).requires_grad_()
    found = of_cosines(Debiased, cosines, torch.arange(6) % 4, 100.0, tau_plus=tau)
    found.backward()
    assert found.isfinite()
    assert cosines.grad is not None
    assert cosines.grad.isfinite().all()
    assert cosines.grad.abs().max() <= 100 / (1 - tau)


def test_debiased_takes_a_divisor_and_siglip_a_factor() -> None:
    with pytest.raises(SpecError, match="temperature=100"):
        make(Debiased, temperature=100)
    with pytest.raises(SpecError, match=r"temperature=0\.07"):
        make(PairwiseSigmoid, temperature=0.07)


# TRADES


def test_trades_on_clean_images_alone_is_cross_entropy() -> None:
    network, images, labels = classifier(), draw(5, 3, 2, 2, seed=1), torch.tensor([0, 1, 2, 0, 1])
    torch.testing.assert_close(loss(TRADES, network, images, labels), F.cross_entropy(network(images), labels))


def test_trades_with_beta_zero_does_not_look_at_adversarial_images() -> None:
    network, images, labels = classifier(), draw(5, 3, 2, 2, seed=1), torch.tensor([0, 1, 2, 0, 1])
    found = make(TRADES, beta=0).loss(network, images, torch.full_like(images, torch.nan), labels)
    torch.testing.assert_close(found, F.cross_entropy(network(images), labels))


def test_trades_is_its_definition_and_linear_in_beta() -> None:
    network, labels = classifier(), torch.tensor([0, 1, 2, 0, 1])
    clean, adversarial = draw(5, 3, 2, 2, seed=1), draw(5, 3, 2, 2, seed=2)
    p, q = (network(images).softmax(dim=1).detach().double().numpy() for images in (clean, adversarial))
    expected = -np.log(p[range(5), labels]).mean() + 6 * (p * np.log(p / q)).sum(axis=1).mean()
    assert make(TRADES).loss(network, clean, adversarial, labels).item() == pytest.approx(expected, rel=1e-4)
    zero, one, three = (make(TRADES, beta=b).loss(network, clean, adversarial, labels) for b in (0, 1, 3))
    torch.testing.assert_close(three - zero, 3 * (one - zero))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.floats(-5, 5))
def test_the_divergence_is_not_negative_and_ignores_a_common_shift(seed: int, shift: float) -> None:
    logits, others = 5 * draw(4, 6, seed=seed), 5 * draw(4, 6, seed=seed + 1)
    found = divergence(logits, others)
    assert (found >= 0).all()
    assert not divergence(logits, logits).any()
    torch.testing.assert_close(divergence(logits + shift, others - shift), found, rtol=1e-3, atol=1e-4)


def test_the_score_of_trades_is_the_divergence_from_the_clean_prediction() -> None:
    network, clean, moved = classifier(), draw(5, 3, 2, 2, seed=1), draw(5, 3, 2, 2, seed=2)
    p, q = (network(images).softmax(dim=1).detach().double() for images in (clean, moved))
    score = make(TRADES).score(network, clean, torch.zeros(5, dtype=torch.long))
    assert score is not None
    torch.testing.assert_close(score(moved).double(), (p * (p / q).log()).sum(dim=1), rtol=1e-4, atol=1e-5)


def test_the_score_of_trades_starts_from_the_clean_prediction_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(12), nn.Linear(12, 3))
    network[2].eval()
    modes = [module.training for module in network.modules()]
    clean = draw(5, 3, 2, 2)
    score = make(TRADES).score(network, clean, torch.zeros(5, dtype=torch.long))
    assert score is not None
    assert [module.training for module in network.modules()] == modes
    with frozen_for_attack(network):
        assert not score(clean).any()
        assert (score(clean + 1) > 0).all()


def test_the_adversary_of_trades_is_that_of_the_authors_code(network: CLIPNetwork) -> None:
    # trades.py of Zhang et al., distance l_inf, with its radius and its step size.
    clean, labels, objective = ToyDataset().split("train", 8), torch.zeros(8, dtype=torch.long), make(TRADES)
    pixels = to_pixels(clean.images, torch.device("cpu"))
    eps, step = 0.031, 0.007
    with frozen_for_attack(network):
        torch.manual_seed(3)
        theirs = pixels + 0.001 * torch.randn(pixels.shape)
        for _ in range(10):
            theirs.requires_grad_()
            divergence_sum = F.kl_div(
                F.log_softmax(network(theirs), dim=1), F.softmax(network(pixels), dim=1), reduction="sum"
            )
            (gradient,) = torch.autograd.grad(divergence_sum, theirs)
            theirs = theirs.detach() + step * gradient.sign()
            theirs = torch.min(torch.max(theirs, pixels - eps), pixels + eps).clamp(0, 1)
        score = objective.score(network, pixels, labels)
        assert score is not None
        attack = discover().resolve_attack(f"{objective.white_box(Fraction('0.031'))},eps=0.031").build()
        torch.manual_seed(3)
        ours = attack.perturb(ScoreAsLogits(network, score), pixels, labels)
    assert ((ours - theirs).abs() < 1e-5).float().mean() > 0.98  # the rest: signs of gradients near 0


@pytest.mark.parametrize(
    ("tuner", "attack"),
    [
        ("full+trades:adversary=white-box", "pgd:start=gaussian,alpha=56/7905,steps=10,eps=8/255"),
        ("full+trades:adversary=white-box,steps=3", "pgd:start=gaussian,alpha=56/7905,steps=3,eps=8/255"),
        ("full+trades", "pgd-resnet20:eps=8/255"),
        ("full+tecoa:adversary=white-box", "pgd:eps=8/255"),
        ("full+tecoa:adversary=pgd:alpha=1/255", "pgd:alpha=1/255,eps=8/255"),
    ],
)
def test_white_box_stands_for_the_objectives_own_adversary(tuner: str, attack: str) -> None:
    assert discover().resolve("tuner", tuner).build().adversary() == attack


# What white-box training raises


@pytest.mark.parametrize("kind", [FARE, TRADES])
def test_a_white_box_adversary_raises_the_score_far_above_a_random_start(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor], tmp_path: Path
) -> None:
    clean, _, labels = batch
    objective = make(kind)
    objective.prepare(network)
    attack = discover().resolve_attack(f"pgd:eps={Fraction(8, 255)}")
    adversaries = Adversaries(make_context(tmp_path), AdversarialCache(tmp_path, warn=pytest.fail))
    adversary = adversaries.for_training(attack, network, ToyDataset().split("train", 8))
    network.train()
    score = objective.score(network, clean, labels)
    assert score is not None
    attacked = adversary(np.arange(8), clean, labels, score)
    assert network.training
    with frozen_for_attack(network), torch.no_grad():
        at_start = score((clean + EPS * (2 * torch.rand(clean.shape) - 1)).clamp(0, 1))
        assert score(clean).abs().max() < 1e-9
        assert (score(attacked) > 2 * at_start).all()
        assert objective.loss(network, clean, attacked, labels) > objective.loss(network, clean, clean, labels)
    assert (attacked - clean).abs().max() <= EPS + 1e-6


def adversarial(attack: str, network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor], tmp_path: Path) -> Any:
    clean, _, labels = batch
    score = make(TRADES).score(network, clean, labels)
    assert score is not None
    adversaries = Adversaries(make_context(tmp_path), AdversarialCache(tmp_path, warn=pytest.fail))
    resolved = discover().resolve_attack(attack)
    adversary = adversaries.for_training(resolved, network, ToyDataset().split("train", 8))
    return score, adversary(np.arange(8), clean, labels, score)


@pytest.mark.parametrize(
    "attack",
    [
        "pgd:early_exit=true",
        "pgd:norm=L2,eps=0.5",
        "mi-fgsm",
        "apgd-ce:steps=10",
        "autoattack:steps=10,queries=50",
        "square:queries=200",
    ],
)
def test_attacks_that_stop_at_a_success_do_not_take_a_score_for_one(
    attack: str, network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor], tmp_path: Path
) -> None:
    score, attacked = adversarial(attack, network, batch, tmp_path)
    with frozen_for_attack(network), torch.no_grad():
        at_start = score((batch[0] + EPS * (2 * torch.rand(batch[0].shape) - 1)).clamp(0, 1))
        assert (score(attacked) > 1.2 * at_start).all()


@pytest.mark.parametrize("attack", ["cw:steps=5,search_steps=2", "fab:steps=5"])
def test_attacks_that_do_nothing_but_look_for_a_success_are_refused(
    attack: str, network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match="changed no image of a batch: it looks for misclass"):
        adversarial(attack, network, batch, tmp_path)


@pytest.mark.parametrize("kind", MIXED)
def test_a_white_box_adversary_raises_cross_entropy_where_the_objective_is_one_of_labels(
    kind: type[Objective], network: CLIPNetwork, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    assert make(kind).score(network, batch[0], batch[2]) is None
