"""How long the building blocks take: python -m pytest benchmarks --benchmark-only"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from robench.attack.perturbation import perturb_set
from robench.contracts.context import RunContext
from robench.contracts.types import ThreatModel
from robench.images.image_set import ImageSet
from robench.leaderboard.tables import leaderboard
from robench.networks.evaluate import predict
from robench.registry.registry import discover
from tests.helpers.results import result

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    dataset = discover().resolve("dataset", "leaf-synth").build()
    cache = tmp_path_factory.mktemp("cache")
    return RunContext(dataset=dataset, dataset_name="leaf-synth", device=CPU, seed=0, cache_dir=cache)


@pytest.fixture(scope="module")
def data(context: RunContext) -> ImageSet:
    return context.dataset.split("test", 250)


@pytest.mark.parametrize("name", ["resnet20", "clip-tiny"])
def test_pgd_7_on_250_images(benchmark: BenchmarkFixture, context: RunContext, data: ImageSet, name: str) -> None:
    registry = discover()
    network = registry.resolve("model", name).build().build(context)
    attacker = registry.resolve_attack("pgd").build()
    threat = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="white-box")
    benchmark.pedantic(
        lambda: perturb_set(attacker, network, data, threat=threat, device=CPU, seed=0), rounds=3, warmup_rounds=1
    )


@pytest.mark.parametrize("name", ["resnet20", "clip-tiny"])
def test_predicting_250_images(benchmark: BenchmarkFixture, context: RunContext, data: ImageSet, name: str) -> None:
    network = discover().resolve("model", name).build().build(context)
    benchmark.pedantic(lambda: predict(network, data.images, n_classes=10, device=CPU), rounds=5, warmup_rounds=1)


def test_drawing_1000_leaves(benchmark: BenchmarkFixture, context: RunContext) -> None:
    benchmark.pedantic(lambda: context.dataset.split("test", 1000), rounds=5, warmup_rounds=1)


def test_hashing_10000_images(benchmark: BenchmarkFixture) -> None:
    data = ImageSet(images=np.zeros((10_000, 3, 32, 32), np.uint8), labels=np.zeros(10_000, np.int64))
    benchmark(data.fingerprint)


def test_ranking_300_records(benchmark: BenchmarkFixture) -> None:
    records = [result(tuner=f"tuner{i}") for i in range(300)]
    benchmark(lambda: leaderboard(records))
