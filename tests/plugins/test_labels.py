"""Labels say what was run: read again, they mean the same parameters."""

from __future__ import annotations

from itertools import product

import pytest
from robench.registry.registry import discover

REGISTRY = discover()


@pytest.mark.parametrize("name", ["pgd", "fgsm", "mi-fgsm", "apgd-ce", "cw-linf"])
def test_a_label_means_what_was_typed(name: str) -> None:
    fields = REGISTRY.implementation(REGISTRY.find("attacker", name)[1]).Params.model_fields  # type: ignore[attr-defined]
    for eps, alpha, norm, steps in product(("8/255", "2/255"), ("2/255", "1/510", ""), ("L2", ""), ("5", "")):
        given = {"eps": eps, "alpha": alpha, "norm": norm, "steps": steps}
        typed = ",".join(f"{key}={value}" for key, value in given.items() if value and key in fields)
        attack = REGISTRY.resolve_attack(f"{name}:{typed}")
        assert REGISTRY.resolve_attack(attack.label).values() == attack.values(), (typed, attack.label)


def test_a_step_that_is_the_usual_one_of_another_radius_is_named() -> None:
    assert REGISTRY.resolve_attack("pgd:eps=2/255,alpha=2/255").label == "pgd:eps=2/255,alpha=2/255"
    assert REGISTRY.resolve_attack("pgd:eps=8/255,alpha=2/255").label == "pgd"
