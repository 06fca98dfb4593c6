"""Every attack is made on what answers: through the adapter, the prompt and the defence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from robench import PluginError, Purifier, RunContext
from robench.attack.perturbation import perturb_on_device
from robench.attack.seen import prepared, seen_by
from robench.networks.defended import Defended, MeanOfAnswers
from robench.registry.registry import discover
from torch import Tensor, nn

from robench_plugins.attackers.components import ATTACKERS
from tests.helpers.attack_fixtures import QUICK, draw, trained

REGISTRY = discover()
SIGHTED = [
    each.name
    for each in ATTACKERS
    if each.name not in ("images", "noise", "resize") and not each.name.startswith("torchattacks-")
]


class Noted(Purifier):
    """Shows each image upside down, and notes that it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        self.asked += 1
        return images.flip(2)


class Behind(nn.Module):
    """A network with a trained scale before it, as an adapter is; it may only be called from behind the defence."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.adapter, self.asked = trained(), nn.Parameter(torch.ones(1, 3, 1, 1)), 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        logits: Tensor = self.network(images * self.adapter)
        return logits


def quick(name: str, more: str = "") -> str:
    fields = REGISTRY.implementation(REGISTRY.find("attacker", name)[1]).Params.model_fields
    asked = [f"{key}={value}" for key, value in QUICK.items() if key in fields]
    return f"{name}:{','.join([*asked, 'samples=1', *([more] if more else [])])}"


@pytest.mark.parametrize("name", SIGHTED)
def test_an_attack_sees_the_defence_and_the_adapter(name: str) -> None:
    data, defence, network = draw(6), Noted(), Behind()
    whom = Defended(network, defence)
    attack = REGISTRY.resolve_attack(quick(name))
    perturb_on_device(
        attack.build(),
        seen_by(attack, whom),
        torch.from_numpy(data.images),
        torch.from_numpy(data.labels),
        threat=attack.threat(),
        seed=0,
        precision="float32",
    )
    # Each pass through the network came through the defence.
    assert defence.asked == network.asked > 0


def test_an_unaware_attack_sees_the_network_alone() -> None:
    defence, network = Noted(), Behind()
    attack = REGISTRY.resolve_attack("pgd:aware=no")
    seen = seen_by(attack, Defended(network, defence))
    assert seen is network and attack.threat().knowledge == "unaware"


def test_answers_are_averaged_for_any_attack() -> None:
    seen = seen_by(REGISTRY.resolve_attack("apgd-t:samples=5"), Defended(Behind(), Noted()))
    assert isinstance(seen, MeanOfAnswers) and seen.samples == 5
    assert isinstance(seen_by(REGISTRY.resolve_attack("square:samples=2"), Behind()), MeanOfAnswers)


def test_what_an_attack_takes_from_the_run_is_told(tmp_path: Path) -> None:
    context = RunContext(
        dataset=REGISTRY.resolve("dataset", "leaf-synth").build(),
        dataset_name="leaf-synth",
        device=torch.device("cpu"),
        seed=0,
        cache_dir=tmp_path,
    )
    with pytest.raises(PluginError, match="outside a run"):
        context.component("model", "clip-tiny")
    known = replace(context, component=REGISTRY.build)
    assert type(known.component("attacker", "pgd:steps=3")).__name__ == "PGD"
    first = context.dataset.class_names[1]
    assert prepared(REGISTRY.resolve_attack(f"pgd:target={first}"), context)[1] == {"target": 1}
    assert prepared(REGISTRY.resolve_attack("pgd"), context)[1] == {}
