"""How long one training step of each adaptation takes: python -m pytest benchmarks/test_adaptations.py"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from robench import Component, TuningSetting
from robench.contracts.context import RunContext
from robench.contracts.model import Model
from robench.contracts.tuning import Adaptation
from robench.images.image_set import to_pixels
from robench.registry.discovery import load_class
from robench.registry.registry import discover
from torch.nn import functional as F

from robench_plugins.adaptations.components import ADAPTATIONS

BATCH = 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def context() -> RunContext:
    dataset = discover().resolve("dataset", "leaf-synth").build()
    return RunContext(dataset=dataset, dataset_name="leaf-synth", device=CPU, seed=0, cache_dir=Path("unused"))


@pytest.mark.parametrize("component", ADAPTATIONS, ids=lambda component: component.name)
def test_a_step_on_64_images_of_clip_tiny(
    benchmark: BenchmarkFixture, context: RunContext, component: Component
) -> None:
    model: Model = discover().resolve("model", "clip-tiny").build()
    network = model.build(context)
    kind = load_class(component)
    assert issubclass(kind, Adaptation)
    adaptation, parts = kind(), model.adaptable(network)
    adaptation.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
    adaptation.adapt(network, parts)
    data = context.dataset.split("train", BATCH)
    images, labels = to_pixels(data.images, CPU), torch.from_numpy(data.labels)
    network.train()

    def step() -> None:
        network.zero_grad()
        F.cross_entropy(network(images), labels).backward()

    benchmark.pedantic(step, rounds=5, warmup_rounds=1)
