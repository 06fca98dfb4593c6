"""Few pixels and patches: projections against all choices, and attacks against the best point of a linear model."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from robench import Constraint, ImageSet
from robench.attack.perturbation import frozen_for_attack
from torch import Tensor, nn

from robench_plugins.attackers.adversarial_patch import AdversarialPatch, AdversarialPatchParams
from robench_plugins.attackers.eight_bit import predicted
from robench_plugins.attackers.sparse_rs import falling, pasted
from robench_plugins.constraints.l0 import L0
from robench_plugins.constraints.patch import Patch
from tests.helpers.attack_fixtures import attacked, draw, make, trained
from tests.helpers.plugin_fixtures import ToyDataset, make_context

SIDE = 4


def drawn(seed: int, n: int = 3, side: int = SIDE) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randint(0, 256, (n, 3, side, side), generator=generator, dtype=torch.uint8),
        torch.rand(n, 3, side, side, generator=generator),
    )


def masks(ball: Constraint, radius: int) -> list[Tensor]:
    """Return every largest set of pixels that may change together, ``bool (SIDE, SIDE)``."""
    if isinstance(ball, L0):
        return [
            torch.zeros(SIDE**2).scatter(0, torch.tensor(some), 1).view(SIDE, SIDE).bool()
            for some in combinations(range(SIDE**2), radius)
        ]
    found = []
    for top in range(SIDE - radius + 1):
        for left in range(SIDE - radius + 1):
            mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
            mask[top : top + radius, left : left + radius] = True
            found.append(mask)
    return found


@pytest.mark.parametrize(("ball", "radius"), [(L0(), 1), (L0(), 3), (Patch(), 1), (Patch(), 2), (Patch(), 3)])
def test_the_projection_is_the_nearest_of_all_images_of_the_ball(ball: Constraint, radius: int) -> None:
    clean, wanted = drawn(0)
    found = ball.project(clean, wanted, Fraction(radius))
    assert ball.inside(clean, found, Fraction(radius)).all()
    levels = (wanted * 255).round()
    distances = torch.stack(
        [
            (torch.where(mask, levels, clean.float()) - levels).square().sum(dim=(1, 2, 3))
            for mask in masks(ball, radius)
        ]
    )
    torch.testing.assert_close((found - levels).square().sum(dim=(1, 2, 3)), distances.amin(dim=0))


@pytest.mark.parametrize(("ball", "radius"), [(L0(), 2), (Patch(), 2)])
def test_the_furthest_point_is_the_best_of_all(ball: Constraint, radius: int) -> None:
    clean, wanted = drawn(1)
    images, along = clean.float() / 255, wanted - 0.5
    corner = (along > 0).float()
    gains = torch.stack(
        [(along * (torch.where(mask, corner, images) - images)).sum(dim=(1, 2, 3)) for mask in masks(ball, radius)]
    )
    found = ball.furthest(images, along, Fraction(radius))
    assert found is not None
    torch.testing.assert_close((along * (found - images)).sum(dim=(1, 2, 3)), gains.amax(dim=0))


def test_sizes_count_pixels_and_the_side_of_their_square() -> None:
    clean = torch.zeros(3, 3, 6, 6, dtype=torch.uint8)
    changed = clean.clone()
    changed[1, 0, 1, 1] = 9
    changed[2, :, 0, 5] = 9
    changed[2, 1, 2, 4] = 1
    assert L0().sizes(clean, changed).tolist() == [0, 1, 2]
    assert Patch().sizes(clean, changed).tolist() == [0, 1, 3]
    assert Patch().written(Fraction(8)) == "8x8 pixels" and L0().written(Fraction(20)) == "20 pixels"


class Linear(nn.Module):
    """Two classes, and how many images it was asked."""

    def __init__(self, ahead: float) -> None:
        super().__init__()
        self.ahead = torch.tensor([ahead, 0.0])
        self.weight = nn.Parameter(torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)))
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return torch.einsum("nchw,kchw->nk", images, self.weight) + self.ahead


@pytest.mark.parametrize(
    ("name", "eps", "ball", "share"),
    [
        ("pgd-l0", 3, L0(), 0.5),
        ("sparse-rs", 3, L0(), 0.85),
        ("sparse-rs-patch", 2, Patch(), 0.7),
        ("patch-pgd", 2, Patch(), 0.7),
    ],
)
def test_attacks_come_near_the_best_point_of_a_linear_model(
    name: str, eps: int, ball: Constraint, share: float
) -> None:
    """Random searches never fool the network, so that all queries are made; gradients need a loss that is not 0."""
    clean, _ = drawn(2, side=6)
    images, labels, network = clean.float() / 255, torch.zeros(3).long(), Linear(1e4 if "rs" in name else 8)
    along = (network.weight[1] - network.weight[0]).detach().expand_as(images)
    best = ball.furthest(images, along, Fraction(eps))
    assert best is not None
    given = {"queries": 600} if "rs" in name else {"steps": 60} if "pgd" in name else {}
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        found = make(name, eps=eps, **given).perturb(network, images, labels)
    gains = [(along * (points - images)).sum(dim=(1, 2, 3)) for points in (found, best)]
    assert (gains[0] >= share * gains[1]).all() and (gains[0] <= 1.0001 * gains[1]).all()
    if "rs" in name:
        assert network.asked <= 3 * (600 + 2) + 1  # with the clean image, and one to count the classes


def test_the_share_of_a_query_falls_as_in_the_authors_code() -> None:
    at = (0, 1, 50, 51, 300, 800, 1500, 3000, 5000, 7000, 9000)
    pixels = [round(1 / falling("L0", query, 10_000)) for query in at]
    patch = [round(1 / falling("patch", query, 10_000)) for query in at]
    assert pixels == [1, 2, 2, 4, 5, 6, 8, 10, 12, 15, 20]
    assert patch == [1, 1, 2, 4, 8, 16, 32, 32, 64, 64, 128]
    assert falling("L0", 5, 100) == falling("L0", 500, 10_000)


def test_a_patch_lies_where_it_is_put() -> None:
    images, patches = torch.zeros(2, 3, 5, 4), torch.ones(2, 3, 2, 2)
    found = pasted(images, patches, torch.tensor([[3, 0], [0, 2]]))
    assert found[0, :, 3:, :2].eq(1).all() and found[1, :, :2, 2:].eq(1).all() and found.sum() == 24
    assert images.sum() == 0


@pytest.mark.parametrize(
    ("name", "ball", "eps", "most"),
    [
        ("pgd-l0", L0(), 8, 0.7),
        ("sparse-rs", L0(), 8, 0.7),
        ("sparse-rs-patch", Patch(), 3, 0.7),
        ("patch-pgd", Patch(), 3, 0.5),
        ("torchattacks-jsma", L0(), 8, 1.0),
        ("torchattacks-sparsefool", L0(), 8, 1.0),
        ("torchattacks-onepixel", L0(), 8, 1.0),
        ("torchattacks-pixle", L0(), 8, 1.0),
    ],
)
def test_attacks_stay_in_their_own_ball_and_beat_its_noise(name: str, ball: Constraint, eps: int, most: float) -> None:
    upstream = name.startswith("torchattacks")
    data, network = draw(4 if upstream else 30), trained()
    attack = make(name, eps=eps, **({"queries": 200} if name.startswith("sparse-rs") else {}))
    threat = attack.threat(surrogate=False)
    images = torch.from_numpy(data.images).float() / 255
    with frozen_for_attack(network):
        raw = attack.perturb(network, images, torch.from_numpy(data.labels))
    assert ball.sizes_unrounded(images, raw).max() <= eps, threat
    left, noisy = (
        float((predicted(network, torch.from_numpy(made).float() / 255).numpy() == data.labels).mean())
        for made in (
            attacked(attack, network, data),
            (ball.noise(images, Fraction(eps)).numpy() * 255).astype(np.uint8),
        )
    )
    assert left <= most and (left <= noisy or upstream)


def test_an_adversarial_patch_is_trained_once_on_training_images(tmp_path: Path) -> None:
    data, network = draw(40), trained()
    trainings: list[int] = []

    class Counted(AdversarialPatch):
        def _trained(self, network: nn.Module, images: Tensor, labels: Tensor, side: int) -> Tensor:
            trainings.append(len(images))
            return super()._trained(network, images, labels, side)

    def patched(**params: object) -> Tensor:
        attack = Counted(
            AdversarialPatchParams.read({"eps": 3, "rounds": 30, "lr": 0.2, **params}, "adversarial-patch")
        )
        assert attack.prepare(context)["train"] == data.first(24).fingerprint()
        images = torch.from_numpy(data.images).float() / 255
        torch.manual_seed(0)
        return attack.perturb(network, images, torch.from_numpy(data.labels))

    class Drawn(ToyDataset):
        def split(self, name: str, limit: int | None = None) -> ImageSet:
            assert name == "train"
            return data.first(24 if limit is None else limit)

    context = make_context(tmp_path, Drawn())
    first, again = patched(), patched()
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert trainings == [24] and len(list((tmp_path / "patches").glob("*.pt"))) == 1
    patched(rounds=31)
    assert trainings == [24, 24] and len(list((tmp_path / "patches").glob("*.pt"))) == 2
    labels, images = data.labels, torch.from_numpy(data.images)
    sides = Patch().sizes(images, (first * 255).round().to(torch.uint8))
    right = (predicted(network, first).numpy() == labels).mean()
    noisy = (predicted(network, Patch().noise(images.float() / 255, Fraction(3))).numpy() == labels).mean()
    assert sides.max() <= 3 and right < noisy
