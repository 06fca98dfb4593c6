"""Batch sizes: python -m pytest benchmarks/test_batches.py --benchmark-only

robench attacks 125 images together and on a CPU evaluates 64; this compares other sizes.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from robench.attack import perturbation
from robench.contracts.context import RunContext
from robench.networks import evaluate
from robench.networks.fast_functions import fast_functions
from robench.networks.memory import keep_freed_memory
from robench.registry.registry import discover

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    keep_freed_memory()  # as in a run
    dataset = discover().resolve("dataset", "leaf-synth").build()
    folder = tmp_path_factory.mktemp("cache")
    return RunContext(dataset=dataset, dataset_name="leaf-synth", device=CPU, seed=0, cache_dir=folder)


@pytest.mark.parametrize("batch", [16, 32, 64, 125, 250, 500])
def test_attack(benchmark: BenchmarkFixture, context: RunContext, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "ATTACK_BATCH", batch)
    network, data = discover().resolve("model", "resnet20").build().build(context), context.dataset.split("test", 500)
    attack = discover().resolve_attack("pgd:steps=7")
    work = partial(perturbation.perturb_set, threat=attack.threat(), device=CPU, seed=0)
    benchmark.pedantic(lambda: work(attack.build(), network, data), rounds=5, warmup_rounds=1)
    benchmark.extra_info["images_per_second"] = len(data) / benchmark.stats.stats.median


@pytest.mark.parametrize("model", ["clip-tiny", "resnet20"])
@pytest.mark.parametrize("batch", [16, 32, 64, 125, 250])
def test_evaluation(
    benchmark: BenchmarkFixture, context: RunContext, model: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "CPU_BATCH", batch)
    network, data = discover().resolve("model", model).build().build(context), context.dataset.split("test", 1000)
    with fast_functions():
        look = partial(evaluate.predict, network, data.images, n_classes=10, device=CPU)
        benchmark.pedantic(look, rounds=9, warmup_rounds=1)
    benchmark.extra_info["images_per_second"] = len(data) / benchmark.stats.stats.median
