"""Turns and moves: what the constraint recognises, and what the attacks try."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from robench import SpecError
from torch import Tensor

from robench_plugins.attackers.eight_bit import predicted
from robench_plugins.attackers.spatial import GridParams, SpatialGrid
from robench_plugins.constraints.spatial import Spatial, transformed
from tests.helpers.attack_fixtures import attacked, draw, make, trained


def drawn(n: int = 4, height: int = 20, width: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, height, width), generator=generator, dtype=torch.uint8)


def turned(clean: Tensor, angle: int, down: int, right: int) -> Tensor:
    once = torch.ones(len(clean))
    made = transformed(clean.float() / 255, angle * once, down * once, right * once)
    return (made * 255).round().to(torch.uint8)


def test_turns_and_moves_are_those_of_arrays() -> None:
    square = drawn(height=12, width=12)
    torch.testing.assert_close(turned(square, 90, 0, 0), square.rot90(1, (2, 3)), rtol=0, atol=0)
    moved = torch.zeros_like(square)
    moved[:, :, 3:, :-2] = square[:, :, :-3, 2:]
    torch.testing.assert_close(turned(square, 0, 3, -2), moved, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("angle", "down", "right", "size"), [(0, 0, 0, 0), (7, 0, 0, 7), (-12, 1, -1, 15), (5, 0, 3, 30), (0, -2, 0, 30)]
)
def test_turns_and_moves_are_recognised_with_the_smallest_radius(angle: int, down: int, right: int, size: int) -> None:
    """A move by 1 of 20 rows takes 15 degrees, by 3 of 30 columns 30."""
    clean = drawn()
    changed = turned(clean, angle, down, right)
    assert Spatial().sizes(clean, changed).tolist() == pytest.approx([size] * len(clean))
    if size:
        assert Spatial().inside(clean, changed, Fraction(size)).all()
        assert not Spatial().inside(clean, changed, Fraction(size - 1)).any()
        # Another machine may round an interpolated value otherwise; more than that is another image.
        other, one = changed.clone(), int(changed[0, 0, 9, 9])
        other[0, 0, 9, 9] = one + 1 if one < 255 else one - 1
        assert Spatial().inside(clean, other, Fraction(size))[0] == bool(angle)
        other[0, 0, 9, 9] = one + 5 if one < 200 else one - 5
        assert Spatial().sizes(clean, other)[0].isinf()


def test_too_large_and_broken_radii_are_refused() -> None:
    for radius in (Fraction(46), Fraction(1, 2)):
        with pytest.raises(SpecError):
            Spatial().require(radius)


def test_the_grid_is_that_of_the_paper_in_whole_degrees_and_pixels() -> None:
    images = torch.zeros(1, 3, 32, 32)
    tried = [tuple(int(part) for part in turn) for turn in SpatialGrid(GridParams()).turns(images)]
    assert len(tried) == len(set(tried)) == 31 * 5 * 5
    assert {angle for angle, _, _ in tried} == set(range(-30, 31, 2))
    assert {down for _, down, _ in tried} == {-3, -2, 0, 2, 3}


def test_twice_a_radius_is_the_largest_one_at_most() -> None:
    doubled = [Spatial().scaled(Fraction(radius), Fraction(2)) for radius in (10, 30, 45)]
    assert doubled == [20, 45, None]
    assert Spatial().scaled(Fraction(1), Fraction(1, 2)) is None


EFFORTS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "spatial-grid": ({"angles": 3, "moves": 1}, {"angles": 5, "moves": 3}),
    "spatial-random": ({"tries": 1}, {"tries": 20}),
    "spatial-pgd": ({"steps": 1, "restarts": 1}, {"steps": 5, "restarts": 4}),
}


@pytest.mark.parametrize("name", EFFORTS)
def test_attacks_stay_in_the_ball_and_more_tries_find_more(name: str) -> None:
    data, network = draw(30), trained()
    left = []
    for more in EFFORTS[name]:
        made = torch.from_numpy(attacked(make(name, eps=40, **more), network, data))
        assert Spatial().inside(torch.from_numpy(data.images), made, Fraction(40)).all()
        left.append(int((predicted(network, made.float() / 255).numpy() == data.labels).sum()))
    assert left[1] < left[0]


def test_gradients_find_more_than_as_many_random_turns() -> None:
    data, network = draw(60), trained()
    left = []
    for attack in (make("spatial-pgd", eps=45, steps=4, restarts=2), make("spatial-random", eps=45, tries=10)):
        made = torch.from_numpy(attacked(attack, network, data)).float() / 255
        left.append(int((predicted(network, made).numpy() == data.labels).sum()))
    assert left[0] < left[1]
