"""The L1 ball: projections against a generic solver and the authors' code, and AutoAttack's attacks in it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, L1_projection
from scipy.optimize import brentq, linprog
from torch import Tensor, nn

from robench_plugins.attackers import apgd
from robench_plugins.attackers.autoattack import AutoAttack, AutoAttackParams
from robench_plugins.attackers.eight_bit import predicted
from robench_plugins.constraints.l1 import L1, shrunk
from tests.helpers.attack_fixtures import attacked, draw, make, trained


def drawn(seed: int, n: int = 4, side: int = 5) -> tuple[Tensor, Tensor]:
    """Return 8-bit images and points about them, within the pixel range."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(0, 256, (n, 3, side, side), generator=generator, dtype=torch.uint8)
    moved = clean.float() / 255 + 0.4 * torch.randn(clean.shape, generator=generator)
    return clean, moved.clamp(0, 1)


@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0, 1000.0])
def test_the_projection_is_that_of_a_generic_solver_and_of_the_authors(radius: float) -> None:
    clean, moved = drawn(0)
    change = (moved - clean.float() / 255).flatten(1).double()
    found = shrunk(change.abs(), radius) * change.sign()
    for own, given in zip(found.numpy(), change.numpy(), strict=True):
        sums = lambda cut, given=given: np.clip(np.abs(given) - cut, 0, None).sum() - radius  # noqa: E731
        cut = brentq(sums, 0, 2) if sums(0) > 0 else 0.0
        np.testing.assert_allclose(own, np.sign(given) * np.clip(np.abs(given) - cut, 0, None), atol=1e-9)
    images = clean.float() / 255
    theirs = moved - images + L1_projection(images, moved - images, radius)
    np.testing.assert_allclose(found.view_as(theirs), theirs, atol=1e-5)


@pytest.mark.parametrize("radius", ["1/255", "10/255", "1", "5/2", "100"])
def test_8_bit_images_of_the_ball_are_near_the_projection_and_use_the_radius(radius: str) -> None:
    (clean, moved), ball, eps = drawn(1), L1(), Fraction(radius)
    found = ball.project(clean, moved, eps)
    assert ball.inside(clean, found, eps).all()
    exact = shrunk((moved * 255 - clean).flatten(1).double().abs(), float(eps * 255)).view(clean.shape)
    change = (found.double() - clean.double()).abs()
    assert (change - exact).abs().max() < 1 + 1e-4
    lost = exact.flatten(1).sum(dim=1) - change.flatten(1).sum(dim=1)
    assert (lost <= 0.1 * exact.flatten(1).sum(dim=1) + 1).all()
    torch.testing.assert_close(ball.project(clean, found.float() / 255, eps), found, rtol=0, atol=0)


def test_the_furthest_point_is_that_of_a_linear_program() -> None:
    clean, direction = drawn(2, n=2, side=3)
    images = clean.float() / 255
    along = (direction - 0.5).flatten(1)
    found = L1().furthest(images, along.view_as(images), Fraction(3, 2))
    for pixels, gains, own in zip(images.flatten(1), along, found.flatten(1), strict=True):
        up, down = (1 - pixels).tolist(), pixels.tolist()
        best = linprog(
            np.concatenate([-gains, gains]), A_ub=[[1.0] * 2 * len(up)], b_ub=[1.5], bounds=[(0, m) for m in up + down]
        )
        assert float(gains @ (own - pixels)) == pytest.approx(-best.fun, rel=1e-4)


def test_apgd_reaches_the_best_point_of_a_linear_model() -> None:
    clean, _ = drawn(3, side=6)
    images, labels = clean.float() / 255, torch.arange(4) % 2
    network = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
    network[1].weight.data = torch.randn(2, 108, generator=torch.Generator().manual_seed(0))
    weight = network[1].weight.detach()
    along = weight[1 - labels] - weight[labels]
    best = L1().furthest(images, along.view_as(images), Fraction(2))
    found = make("apgd-ce", norm="L1", eps="2", steps=60).perturb(network.eval(), images, labels)
    gains = [(along * (points - images).flatten(1)).sum(dim=1) for points in (found, best)]
    assert (gains[0] >= 0.95 * gains[1]).all() and (gains[0] <= 1.0001 * gains[1]).all()
    assert ((found - images).flatten(1).abs().sum(dim=1) <= 2 + 1e-4).all()


@pytest.mark.parametrize(("name", "most"), [("apgd-ce", 0.5), ("apgd-t", 0.5), ("fab", 0.5), ("square", 0.95)])
def test_attacks_in_l1_break_images_that_noise_of_the_same_size_does_not(name: str, most: float) -> None:
    data, network = draw(60), trained()
    attack = make(name, norm="L1", eps="4")
    made = attacked(attack, network, data)
    assert L1().inside(*map(torch.from_numpy, (data.images, made)), Fraction(4)).all()
    left, noisy = (
        float((predicted(network, torch.from_numpy(images).float() / 255).numpy() == data.labels).mean())
        for images in (made, attacked(make("noise", norm="L1", eps="4"), network, data))
    )
    assert left < most < noisy


def test_the_radius_falls_as_in_the_authors_code(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, int]] = []
    single = APGDAttack.attack_single_run

    def noted(self: APGDAttack, *given: Tensor, **more: Tensor) -> object:
        seen.append((self.eps, self.n_iter))
        return single(self, *given, **more)

    monkeypatch.setattr(APGDAttack, "attack_single_run", noted)
    clean, _ = drawn(4, n=1, side=8)
    for steps in (10, 1):
        make("apgd-ce", norm="L1", eps="2", steps=steps).perturb(trained(), clean.float() / 255, torch.zeros(1).long())
    assert seen == [(6, 3), (4, 3), (2, 4), (2, 1)]


def test_autoattack_in_l1_is_that_of_the_authors() -> None:
    attacks = AutoAttack(AutoAttackParams(norm="L1")).attacks(10)
    assert [type(attack).__name__ for attack in attacks] == ["APGDCE"] * 5 + ["APGDT", "FAB", "Square"]
    assert {str(attack.params.eps) for attack in attacks} == {"12"} and apgd.N_TARGETS_L1 == 5
