"""Distances as papers write them: a quarter of the radius, a quarter of a level."""

from __future__ import annotations

from fractions import Fraction

import pytest
from robench.contracts.types import parse_pixels
from robench.errors import SpecError
from robench.registry.registry import discover

REGISTRY = discover()


@pytest.mark.parametrize(
    ("typed", "alpha"),
    [
        ("pgd:eps=1/255,alpha=eps/4", Fraction(1, 1020)),
        ("pgd:eps=4/255,alpha=eps", Fraction(4, 255)),
        ("pgd:eps=4/255,alpha=eps/2.5", Fraction(8, 1275)),
        ("pgd:eps=4/255,alpha=eps*0.5", Fraction(2, 255)),
        ("pgd:norm=L2,eps=2,alpha=eps/4", Fraction(1, 2)),
        ("pgd:eps=1/255,alpha=0.25/255", Fraction(1, 1020)),
        ("mi-fgsm:eps=16/255,alpha=eps/10", Fraction(16, 2550)),
        ("jitter:eps=4/255,alpha=eps/4", Fraction(1, 255)),
        ("cw-linf:eps=1/255", Fraction(1, 1020)),
    ],
)
def test_a_step_is_exact(typed: str, alpha: Fraction) -> None:
    assert REGISTRY.resolve_attack(typed).params.alpha == alpha  # type: ignore[attr-defined]


def test_the_usual_share_is_no_other_attack() -> None:
    plain, typed = (REGISTRY.resolve_attack(f"pgd:eps=1/255{more}") for more in ("", ",alpha=eps/4"))
    assert typed.values() == plain.values() and typed.label == plain.label == "pgd:eps=1/255"
    assert REGISTRY.resolve_attack("pgd:eps=1/255,alpha=eps/8").label == "pgd:eps=1/255,alpha=1/2040"
    assert REGISTRY.resolve_attack("pgd:eps=1/255,alpha=1/2040").values()["alpha"] == "1/2040"


@pytest.mark.parametrize("wrong", ["eps/0", "eps/", "eps4", "eps-1", "eps/eps", "epsilon", "4*eps", "eps/-4", "eps*0"])
def test_what_is_no_step_is_refused(wrong: str) -> None:
    with pytest.raises(SpecError, match=r"attacker 'pgd': alpha=.*expected a (distance|value) such as"):
        REGISTRY.resolve_attack(f"pgd:alpha={wrong}")


def test_a_step_beyond_white_is_refused() -> None:
    with pytest.raises(SpecError, match=r"alpha=2 is outside \[0, 1\].*did you mean 2/255"):
        REGISTRY.resolve_attack("pgd:alpha=2")


@pytest.mark.parametrize("wrong", ["1/2/3", "/255", "8/", "1/0"])
def test_what_is_no_distance_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a distance in pixels"):
        parse_pixels(wrong)
