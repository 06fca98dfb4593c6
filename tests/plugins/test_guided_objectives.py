"""Objectives that compare with the original network: the formulas of papers and official code, written anew here."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from robench import Model, Objective, Part, RunContext, TuningSetting
from robench.registry.describe import describe
from robench.registry.registry import discover
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.objectives.agft import AGFT
from robench_plugins.objectives.caw import CAW
from robench_plugins.objectives.fap import FAP
from robench_plugins.objectives.guided import Guided
from robench_plugins.objectives.lore import LORE
from robench_plugins.objectives.pmg_aft import PMGAFT
from robench_plugins.objectives.sim_clip import SimCLIP
from robench_plugins.objectives.tga_zsr import TGAZSR, attention
from tests.helpers.plugin_fixtures import make_context

SCALE = 20.0
TEXTS = F.normalize(torch.randn(3, 5, generator=torch.Generator().manual_seed(3)), dim=-1)


class Tower(nn.Module):
    """An image-text network whose embedding is linear in the pixels; its four patches are the quarters."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(48, 5, generator=generator))
        self.per_patch = nn.Parameter(torch.randn(12, 5, generator=generator))
        self.parts: dict[str, nn.Module] = {
            "encoder": Part(self._embed, weight=self.weight),
            "patches": Part(self._patches, weight=self.per_patch),
        }

    def _embed(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight

    def _patches(self, images: Tensor) -> Tensor:
        quarters = images.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return quarters @ self.per_patch

    def forward(self, images: Tensor) -> Tensor:
        return SCALE * self.embed_images(images) @ TEXTS.T

    def embed_images(self, images: Tensor) -> Tensor:
        return F.normalize(self.image_features(images), dim=-1)

    def image_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.parts["encoder"](images)
        return features

    def class_embeddings(self) -> Tensor:
        return TEXTS

    def temperature(self) -> Tensor:
        return torch.tensor(SCALE)


class Towers(Model):
    def build(self, context: RunContext) -> nn.Module:
        return Tower()

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        assert isinstance(network, Tower)
        return network.parts


class Case:
    """A network that has moved away from where it started, a batch, and an objective that saw the start."""

    def __init__(self, kind: type[Objective], **params: Any) -> None:
        self.network = Tower()
        model = Towers()
        setting = TuningSetting(
            network=self.network,
            parts=model.adaptable(self.network),
            model=model,
            context=make_context(Path("unused"), dataset=Tiny()),
        )
        self.objective = kind(kind.Params.read(params, kind.__name__))
        self.objective.set_up(setting)
        self.objective.prepare(self.network)
        self.start = copy.deepcopy(self.network)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in self.network.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
        self.clean = torch.rand(6, 3, 4, 4, generator=generator)
        self.moved = (self.clean + 0.1 * torch.randn(self.clean.shape, generator=generator)).clamp(0, 1)
        self.labels = torch.tensor([0, 1, 2, 0, 1, 2])

    def loss(self) -> Tensor:
        return self.objective.loss(self.network, self.clean, self.moved, self.labels)

    def terms(self) -> Mapping[str, Tensor]:
        return self.objective.terms(self.network, self.clean, self.moved, self.labels)


class Tiny:
    class_names = ("a", "b", "c")

    def split(self, name: str, limit: int) -> Any:
        class Images:
            images = torch.zeros(limit, 3, 4, 4, dtype=torch.uint8).numpy()

        return Images()


def test_pmg_aft_is_the_papers_loss_with_the_codes_divergences() -> None:
    case = Case(PMGAFT, alpha=0.5, beta=2)
    output, clean = case.network(case.moved), case.network(case.clean)
    original = case.start(case.moved)
    kl = nn.KLDivLoss(reduction="batchmean")
    expected = F.cross_entropy(output, case.labels)
    expected = expected + 0.5 * kl(F.log_softmax(output, dim=1), F.softmax(original, dim=1))
    expected = expected + 2 * kl(F.log_softmax(output, dim=1), F.softmax(clean, dim=1))
    torch.testing.assert_close(case.loss(), expected)
    assert case.objective.score(case.network, case.clean, case.labels) is None and not case.objective.whole_batch


def test_pmg_aft_unscaled_is_the_authors_code() -> None:
    """Class embeddings are scaled, then brought to unit length again; divergences are added up over the batch."""
    case = Case(PMGAFT, unscaled=True)
    scaled = SCALE * TEXTS
    text = scaled / scaled.norm(dim=-1, keepdim=True)

    def output(network: Tower, images: Tensor) -> Tensor:
        embedded = network.image_features(images)
        return embedded / embedded.norm(dim=-1, keepdim=True) @ text.t()

    kl = nn.KLDivLoss(reduction="sum")
    moved, clean, original = (
        output(case.network, case.moved), output(case.network, case.clean), output(case.start, case.moved)
    )  # fmt: skip
    expected = F.cross_entropy(moved, case.labels)
    expected = expected + kl(F.log_softmax(moved, dim=1), F.softmax(clean, dim=1))
    expected = expected + kl(F.log_softmax(moved, dim=1), F.softmax(original, dim=1))
    torch.testing.assert_close(case.loss(), expected)
    score = case.objective.score(case.network, case.clean, case.labels)
    assert score is not None and case.objective.whole_batch
    torch.testing.assert_close(score(case.moved).mean(), F.cross_entropy(moved, case.labels))


def test_sim_clip_is_the_papers_siamese_loss_and_the_codes_half_of_it() -> None:
    case = Case(SimCLIP)
    moved, clean = case.network.image_features(case.moved), case.network.image_features(case.clean)
    expected = -(F.cosine_similarity(moved, clean.detach()) + F.cosine_similarity(clean, moved.detach())).mean() / 2
    torch.testing.assert_close(case.loss(), expected)
    (found,) = torch.autograd.grad(case.loss(), case.network.weight)
    (wanted,) = torch.autograd.grad(expected, case.network.weight)
    torch.testing.assert_close(found, wanted)
    frozen = Case(SimCLIP, anchor="frozen")
    original = frozen.start.image_features(frozen.clean).detach()
    code = -F.cosine_similarity(frozen.network.image_features(frozen.moved), original).mean() / 2
    torch.testing.assert_close(frozen.loss(), code)
    score = frozen.objective.score(frozen.network, frozen.clean, frozen.labels)
    assert score is not None
    distance = (frozen.network.image_features(frozen.moved) - original).square().sum(1)
    torch.testing.assert_close(score(frozen.moved), distance)


def test_tga_zsr_is_the_codes_loss_with_patches_of_unit_length() -> None:
    case = Case(TGAZSR, alpha=0.08, beta=0.05, size=8)

    def attention_map(network: Tower, images: Tensor) -> Tensor:
        spatial = network.parts["patches"](images)
        spatial = spatial / spatial.norm(dim=-1, keepdim=True)
        am = spatial @ TEXTS[case.labels].unsqueeze(-1)
        am = (am - am.min(1, keepdim=True)[0]) / (am.max(1, keepdim=True)[0] - am.min(1, keepdim=True)[0])
        side = int(am.shape[1] ** 0.5)
        am = am.reshape(am.shape[0], side, side, -1).permute(0, 3, 1, 2)
        return F.interpolate(am, 8, mode="bilinear").view(len(images), -1)

    adversarial, clean = attention_map(case.network, case.moved), attention_map(case.network, case.clean)
    original = attention_map(case.start, case.clean)
    expected = F.cross_entropy(case.network(case.moved), case.labels)
    expected = expected + 0.08 * torch.mean(torch.norm(adversarial - original, dim=1, p=2))
    expected = expected + 0.05 * torch.mean(torch.norm(clean - original, dim=1, p=2))
    torch.testing.assert_close(case.loss(), expected)


def test_attention_lies_between_zero_and_one_and_points_at_the_patch_of_the_text() -> None:
    patches = torch.eye(4)[None].repeat(2, 1, 1)
    found = attention(patches, torch.eye(4)[[2, 1]], 2)
    assert found.tolist() == [[0, 0, 1, 0], [0, 1, 0, 0]]


def test_agft_is_the_codes_soft_cross_entropy() -> None:
    case = Case(AGFT, scale=30, ratio=0.4)
    with torch.no_grad():
        target = (0.4 * 30 * case.start.embed_images(case.clean) @ TEXTS.t()).softmax(dim=1)
    logits = 30 * case.network.embed_images(case.moved) @ TEXTS.t()
    torch.testing.assert_close(case.loss(), nn.CrossEntropyLoss()(logits, target))
    score = case.objective.score(case.network, case.clean, case.labels)
    assert score is not None
    torch.testing.assert_close(score(case.moved), -(target * logits.log_softmax(1)).sum(1))
    divergence = F.kl_div(logits.log_softmax(1), target, reduction="batchmean")
    entropy = -(target * target.log()).sum(1).mean()
    torch.testing.assert_close(case.loss(), divergence + entropy)


def test_caw_weighs_the_divergence_by_what_is_missing_to_confidence() -> None:
    case = Case(CAW, alpha=2, beta=0.5)
    moved, clean = case.network(case.moved).softmax(1), case.network(case.clean).softmax(1)
    expected = torch.zeros(())
    for row, label in enumerate(case.labels.tolist()):
        p, q = moved[row], clean[row]
        drift = case.network.image_features(case.moved)[row] - case.start.image_features(case.moved)[row]
        expected = expected - p[label].log() + 2 * (1 - p[label]) * (p * (p / q).log()).sum()
        expected = expected + 0.5 * drift.norm()
    torch.testing.assert_close(case.loss(), expected / 6, rtol=1e-4, atol=1e-5)


def test_fap_is_the_codes_loss() -> None:
    case = Case(FAP, weight=1.5)
    clean, moved = case.network(case.clean), case.network(case.moved)
    kl = F.kl_div(F.log_softmax(moved, dim=1), F.softmax(clean, dim=1), reduction="none").sum(dim=-1)
    cosines = F.cosine_similarity(case.network.image_features(case.clean), case.network.image_features(case.moved)) + 1
    expected = F.cross_entropy(clean, case.labels) + 1.5 * torch.mean(kl * cosines)
    torch.testing.assert_close(case.loss(), expected)
    score = case.objective.score(case.network, case.clean, case.labels)
    assert score is not None
    torch.testing.assert_close(score(case.moved), kl)


def test_lore_is_the_lagrangian_of_its_constraint() -> None:
    case = Case(LORE, rho=0.2)
    objective: Any = case.objective
    anchors = case.start.image_features(case.clean).detach()
    multipliers = objective.multipliers(anchors).detach()
    assert bool((multipliers > 0).all())
    robust = (case.network.image_features(case.moved) - anchors).square().sum(1)
    drift = (case.network.image_features(case.clean) - anchors).square().sum(1)
    expected = (robust + multipliers * (drift - 0.2 * anchors.square().sum(1))).mean()
    torch.testing.assert_close(case.loss(), expected)


@pytest.mark.parametrize(("rho", "grows"), [(1e-4, True), (1e4, False)])
def test_multipliers_of_lore_grow_where_the_constraint_is_broken_and_shrink_where_it_holds(
    rho: float, grows: bool
) -> None:
    case = Case(LORE, rho=rho, dual_lr=0.05)
    objective: Any = case.objective
    anchors = case.start.image_features(case.clean).detach()
    before = objective.multipliers(anchors).mean().item()
    for step in range(5):
        case.loss()
        objective.after_step(case.network, step)
    assert (objective.multipliers(anchors).mean().item() > before) == grows
    fresh = Case(LORE, rho=rho, dual_lr=0.05)
    fresh.objective.restore(copy.deepcopy(objective.state()))
    torch.testing.assert_close(fresh.objective.multipliers(anchors), objective.multipliers(anchors))  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [PMGAFT, SimCLIP, TGAZSR, AGFT, CAW, LORE])
def test_the_original_stays_as_it_was_and_every_term_has_a_gradient(kind: type[Guided]) -> None:
    case = Case(kind)
    weights = list(case.network.parameters())
    for name, term in case.terms().items():
        found = torch.autograd.grad(term, weights, allow_unused=True, retain_graph=True)
        assert any(each is not None and each.abs().max() > 0 for each in found), name
    assert isinstance(case.objective, Guided)
    original = case.objective.original.network
    assert not any(weight.requires_grad for weight in original.parameters()) and not original.training
    for weight, start in zip(original.parameters(), case.start.parameters(), strict=True):
        assert torch.equal(weight, start)


RECIPES = {
    # name: (what is trained, lr, optimiser, epochs, batch, eps, steps, step size), each from the paper or its code
    "tecoa-paper": ("full+tecoa", 1e-5, "sgd", 10, 256, "1/255", 2, "1/255"),
    "fare": ("full+fare", 1e-5, "adamw", 2, 128, "2/255", 10, "1/255"),
    "pmg-aft": ("full+pmg-aft", 5e-5, "sgd", 10, 256, "1/255", 2, "1/255"),
    "tga-zsr": ("full+tga-zsr", 1e-4, "sgd", 10, 128, "1/255", 2, "1/255"),
    "agft": ("full+agft", 4e-4, "sgd", 10, 256, "1/255", 2, "1/255"),
    "sim-clip": ("full+sim-clip", 1e-3, "adamw", 1, 64, "4/255", 10, "1/255"),
    "apt": ("coop+ce", 2e-3, "sgd", 50, 32, "4/255", 3, "89/8500"),
    "fap": ("prompts+fap", 3.5e-3, "sgd", 10, 4, "1/255", 2, "1/255"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_preset_is_its_papers_recipe(name: str) -> None:
    registry = discover()
    target, lr, optimizer, epochs, batch, eps, steps, alpha = RECIPES[name]
    assert registry.find("tuner", name)[1].target == target
    tuner = registry.resolve("tuner", name)
    params: Any = tuner.params
    assert (params.lr, params.optimizer, params.epochs, params.batch_size) == (lr, optimizer, epochs, batch)
    attack = registry.resolve_attack(tuner.build().adversary())
    values = attack.values()
    assert attack.surrogate is None and attack.name == "pgd" and values["random_start"] is True
    assert (values["eps"], values["steps"], values["alpha"]) == (eps, steps, alpha)
    assert params.schedule == "cosine" and tuner.label == name


def test_describe_shows_what_a_recipe_sets_and_where_it_is_published() -> None:
    found = describe(discover(), "tuner", "pmg-aft", "clip-tiny")
    shown = {each.name: (each.default, each.source) for each in found.parameters}
    assert shown["lr"] == ("5e-05", "pmg-aft sets this; otherwise 0.0001")
    assert shown["eps"] == ("1/255", "pmg-aft sets this; otherwise 8/255")
    assert shown["momentum"] == ("0.9", "") and shown["unscaled"] == ("False", "")
    assert "Tiny-ImageNet, SGD 5e-5" in found.reference and "CVPR 2024" in found.documentation


def test_a_warm_up_in_steps_is_its_share_of_the_papers_steps() -> None:
    registry = discover()
    for name, _, images in (
        ("tecoa-paper", 1000, 1_281_167),
        ("pmg-aft", 1000, 100_000),
        ("tga-zsr", 1000, 100_000),
    ):
        params: Any = registry.resolve("tuner", name).params
        steps = params.epochs * math.ceil(images / params.batch_size)
        assert params.warmup == pytest.approx(1000 / steps, rel=0.01)
