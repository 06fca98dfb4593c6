"""Radii that grow during a training, and weights between those before and those after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robench import PluginError, RunContext, SpecError, to_pixels
from robench.attack.live import LiveAdversary
from robench.registry.registry import discover
from robench.train.params import TrainingParams
from robench.train.product import product
from torch import Tensor, nn

from tests.helpers.toy import Dots, Likely, LinearNetwork, Shift
from tests.train.test_training import make, task


def test_the_radius_grows_from_step_to_step() -> None:
    seen: list[Fraction] = []

    class Live:
        def at(self, share: Fraction) -> None:
            seen.append(share)

        def __call__(self, indices: Any, images: Tensor, labels: Tensor, score: Any = None) -> Tensor:
            return images

    network = LinearNetwork(50.0, False)
    tuner = make(eps_schedule="linear", batch_size=15, epochs=2)
    tuner.adapt(network, {})
    tuner.fit(replace(task(network), adversary=Live(), white_box=True))
    assert seen == [Fraction(step, 8) for step in range(1, 9)]
    beforehand = replace(task(network), adversary=lambda indices, images, labels, score=None: images)
    with pytest.raises(PluginError, match="makes its images beforehand; expected adversary=white-box"):
        tuner.fit(beforehand)
    with pytest.raises(SpecError, match="eps_schedule=linear does nothing with adversary=none"):
        TrainingParams.read({"eps_schedule": "linear", "adversary": "none"}, "tuner")


def test_an_adversary_attacks_with_a_share_of_its_radius_and_step() -> None:
    attack = discover().resolve_attack("pgd:eps=8/255,alpha=2/255,steps=3")
    data = Dots().split("train", 4)
    context = RunContext(
        dataset=Dots(), dataset_name="dots", device=torch.device("cpu"), seed=0, cache_dir=Path("unused")
    )
    live = LiveAdversary(attack, LinearNetwork(50.0, False).eval(), data, context)
    images, labels = to_pixels(data.images, context.device), torch.from_numpy(data.labels)
    for share, levels in ((Fraction(1, 4), 2), (Fraction(1), 8)):
        live.at(share)
        moved = (live(np.arange(4), images, labels) - images).abs().max() * 255
        assert 0 < float(moved) <= levels + 1e-3
        assert float(moved) > levels - 2


def test_wise_ft_keeps_weights_between_those_before_and_those_after() -> None:
    def biases(alpha: float) -> float:
        made = LinearNetwork(50.0, False)
        tuner = make(wise=alpha, adversary="none", lr=0.1, optimizer="sgd")
        tuner.adapt(made, {})
        with torch.no_grad():
            made.bias.fill_(0.5)
        torch.manual_seed(0)
        tuner.fit(task(made))
        return float(made.bias.detach())

    tuned = biases(1.0)
    assert tuned != 0.5 and biases(0.0) == 0.5
    assert biases(0.25) == pytest.approx(0.75 * 0.5 + 0.25 * tuned, abs=1e-6)


def test_weights_that_an_adaptation_adds_cannot_be_interpolated() -> None:
    class Adds(Shift):
        def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
            network.requires_grad_(False)
            network.register_parameter("more", nn.Parameter(torch.zeros(1)))

    kind = product("adds+likely", Adds, Likely)
    tuner = kind(kind.Params.read({"wise": "0.5"}, "tuner"))
    with pytest.raises(PluginError, match=r"wise=0\.5 interpolates weights .* adds more; expected one such as full"):
        tuner.adapt(LinearNetwork(50.0, False), {})
