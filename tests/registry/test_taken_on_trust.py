"""What a plugin declares of itself is checked when its component is loaded."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from robench import Attacker, Component
from robench.contracts.types import ThreatModel
from robench.errors import PluginError, SpecError
from robench.registry.discovery import Plugin
from robench.registry.registry import Registry, discover


@pytest.mark.parametrize(
    ("attribute", "value"),
    [(attribute, value) for attribute in ("norm", "knowledge") for value in ("L7", "banana", "", None, 2)],
)
def test_unknown_norms_and_kinds_of_knowledge_are_refused(module: Any, attribute: str, value: object) -> None:
    odd = type("Odd", (Attacker,), {attribute: value, "perturb": lambda self, network, images, labels: images})
    target = f"{module('odd_plugin', Odd=odd)}:Odd"
    with pytest.raises(PluginError, match=attribute) as refused:
        discover().implementation(Component(kind="attacker", name="odd", target=target, summary=""))
    said = str(refused.value)
    assert "\n" not in said and ("did you mean 'L" in said or "known: " in said)


def test_a_threat_model_of_unknown_knowledge_is_refused() -> None:
    known: Any = "banana"
    with pytest.raises(SpecError, match="knowledge"):
        ThreatModel(norm="Linf", eps=Fraction(1, 255), knowledge=known)


def test_no_plugin_takes_the_place_of_an_attack_on_a_surrogate() -> None:
    def plugin(name: str, *components: tuple[Any, str]) -> Plugin:
        declared = tuple(Component(kind=kind, name=each, target="m:C", summary="") for kind, each in components)
        return Plugin(name=name, distribution=name, version="1", components=declared)

    own = plugin("own", ("attacker", "pgd"), ("model", "resnet20"), ("attacker", "sign"), ("attacker", "sign-twice"))
    Registry([own, plugin("fine", ("attacker", "pgd-fast"))])
    found = Registry([own, plugin("bad", ("attacker", "pgd-resnet20"), ("model", "other"))])
    assert "'pgd-resnet20', which means attack 'pgd' on surrogate 'resnet20'" in str(found.plugins[1].error)
    assert not found.plugins[0].error and found.names("model") == ["resnet20"]
    assert found.names("attacker") == ["pgd", "sign", "sign-twice"]
