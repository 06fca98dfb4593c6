"""Tone curves: what the constraint measures and projects, and what the attacks find."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from robench import BudgetError
from scipy.optimize import linprog
from torch import Tensor

from robench_plugins.attackers.eight_bit import predicted
from robench_plugins.constraints.colour import Colour, missed, nearest_curves
from tests.helpers.attack_fixtures import attacked, draw, make, success, trained

RADIUS = Fraction(16, 255)


def drawn(n: int = 2, side: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, side, side), generator=generator, dtype=torch.uint8)


def by_curve(clean: Tensor, curve: Tensor) -> Tensor:
    return curve.round().clamp(0, 255).to(torch.uint8)[clean.long()]


VALUES = torch.arange(256).double()


@pytest.mark.parametrize(
    ("curve", "size"),
    [
        (VALUES, 0),
        (VALUES + 9, 9),  # brighter
        (0.9 * (VALUES - 128) + 128, 13),  # less contrast, by 12.7 levels at most
        (1.15 * (VALUES - 128) + 128, 17),  # more, by 19 levels without black and white
        (255 * (VALUES / 255) ** 0.9, 10),  # gamma
        (VALUES + 8 * (VALUES / 4).sin(), 8),  # waves of slope 1 + 8 / 4
        (VALUES + 8 * (VALUES / 9).sin(), 8),  # and of 1 + 8 / 9
        (255 - VALUES, 255),  # negative
        (VALUES + 4 * (VALUES > 100), 4),  # a step
    ],
)
def test_images_of_smooth_curves_have_a_size_and_no_others(curve: Tensor, size: int) -> None:
    clean = torch.arange(256, dtype=torch.uint8).expand(1, 3, 256).reshape(1, 3, 16, 16)
    found = float(Colour().sizes(clean, by_curve(clean, curve))) * 255
    slopes = curve.clamp(0, 255).diff()
    if slopes.min() > -1e-9 and slopes.max() < 2 + 1e-9:
        assert found == pytest.approx(size)
        assert Colour().inside(clean, by_curve(clean, curve), Fraction(size, 255)).all()
        assert not size or not Colour().inside(clean, by_curve(clean, curve), Fraction(size - 1, 255)).any()
    else:
        assert found == float("inf")


def test_pixels_of_one_value_must_change_alike_and_channels_may_differ() -> None:
    clean = drawn()
    clean[:, :, 0, 0] = clean[:, :, 0, 1]
    changed = torch.stack([by_curve(clean[:, at], VALUES + shift) for at, shift in enumerate((-3, 0, 7))], dim=1)
    assert (Colour().sizes(clean, changed) <= 7 / 255).all()
    changed[0, 1, 0, 0] ^= 4
    assert Colour().sizes(clean, changed).isinf().tolist() == [True, False]


def smooth(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix and bounds of ``|d_i - d_j| <= |v_i - v_j|`` for neighbouring sorted, different `values`."""
    steps = np.diff(np.eye(len(values)), axis=0)
    gaps = np.diff(values)
    return np.concatenate([steps, -steps]), np.concatenate([gaps, gaps])


def test_the_projection_is_nearest_and_the_furthest_image_is_best() -> None:
    """Both are linear programs over the changes of the values that occur."""
    clean = drawn(1)
    wanted = torch.rand(1, 3, 6, 6, dtype=torch.float64) * 60 - 30 + clean
    direction, radius = torch.randn(1, 3, 6, 6), 16
    nearest = float(missed(clean, wanted))
    found = Colour().furthest(clean.float() / 255, direction, Fraction(radius, 255)) * 255 - clean
    reached = (found.double() * direction).flatten(2).sum(dim=2)[0]
    misses = []
    for channel in range(3):
        pixels = clean[0, channel].flatten().numpy()
        values, place = np.unique(pixels.astype(float), return_inverse=True)
        matrix, bounds = smooth(values)
        gains = np.bincount(place, direction[0, channel].flatten().double().numpy())
        limits = [(max(-radius, -value), min(radius, 255 - value)) for value in values]
        best = linprog(-gains, A_ub=matrix, b_ub=bounds, bounds=limits)
        assert float(reached[channel]) == pytest.approx(-best.fun, rel=1e-5)
        change = (wanted[0, channel].flatten() - clean[0, channel].flatten()).numpy()
        each, one = np.eye(len(values))[place], np.ones((len(place), 1))
        matrix = np.block(
            [[matrix, np.zeros((len(matrix), 1))], [each, -one], [-each, -one]]
        )  # the last variable is the miss
        bounds = np.concatenate([bounds, change, -change])
        costs = np.eye(len(values) + 1)[-1]
        misses.append(linprog(costs, A_ub=matrix, b_ub=bounds, bounds=(None, None)).fun)
    assert nearest == pytest.approx(max(misses))


def test_a_projection_ends_in_the_ball_and_moves_nothing_that_is_there() -> None:
    clean = drawn(6)
    images = clean.float() / 255
    around = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    kept = Colour().project(clean, images + around / 10, RADIUS)
    assert Colour().inside(clean, kept, RADIUS).all() and (kept != clean).any()
    assert torch.equal(Colour().project(clean, kept.float() / 255, RADIUS), kept)
    outside = Colour().far(clean, images + around / 10, RADIUS)
    assert outside.all() and not Colour().far(clean, nearest_curves(clean, clean + 3.3).float() / 255, RADIUS).any()
    with pytest.raises(BudgetError, match="below 1/255"):
        Colour().project(clean, images, Fraction(1, 300))


def test_every_pixel_turns_grey_at_the_huge_radius_and_no_direction_leaves_an_image_alone() -> None:
    clean = drawn()
    huge = Colour().huge((3, 6, 6))
    grey = Colour().project(clean, torch.full((2, 3, 6, 6), 128 / 255), huge)
    assert (grey == 128).all()
    images = clean.float() / 255
    assert torch.equal(Colour().furthest(images, torch.zeros_like(images), RADIUS), images)


@pytest.mark.slow
def test_more_steps_and_queries_break_more_and_gradients_break_most() -> None:
    data, network, left = draw(30), trained(), {}
    for name, more in (("fw", {"steps": 1}), ("fw", {"steps": 10}), ("search", {"queries": 2}), ("search", {})):
        made = torch.from_numpy(attacked(make(f"colour-{name}", eps="14/255", **more), network, data))
        right = predicted(network, made.float() / 255).numpy() == data.labels
        left[name, *more.values()] = int(right.sum())
    noise = 30 - round(30 * success(make("noise", norm="colour", eps="14/255"), network, data))
    assert left["fw", 10] < left["fw", 1] < noise and left["search",] < left["search", 2]
    assert left["fw", 10] < left["search",]
