"""How long one forward and backward pass of each objective takes on a batch of 64 images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from robench import Component, TuningSetting, to_pixels
from robench.contracts.context import RunContext
from robench.registry.discovery import load_class
from robench.registry.registry import discover

from robench_plugins.objectives.components import OBJECTIVES

CPU = torch.device("cpu")


@pytest.mark.parametrize("component", OBJECTIVES, ids=lambda component: component.name)
def test_one_pass_over_64_images(benchmark: BenchmarkFixture, component: Component, tmp_path: Path) -> None:
    dataset = discover().resolve("dataset", "leaf-synth").build()
    context = RunContext(dataset=dataset, dataset_name="leaf-synth", device=CPU, seed=0, cache_dir=tmp_path)
    model = discover().resolve("model", "clip-tiny").build()
    network = model.build(context)
    data = dataset.split("train", 64)
    clean, labels = to_pixels(data.images, CPU), torch.from_numpy(data.labels)
    adversarial = (clean + 8 / 255 * torch.randn_like(clean).sign()).clamp(0, 1)
    kind: Any = load_class(component)
    objective = kind()
    parts = model.adaptable(network)
    objective.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
    objective.prepare(network)
    network.train()

    def step() -> None:
        network.zero_grad()
        objective.loss(network, clean, adversarial, labels).backward()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
