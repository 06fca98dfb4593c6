"""What each attack costs and breaks: python -m pytest benchmarks/test_attacks.py --benchmark-only

Each attack runs at its defaults (Linf 8/255 or L2 128/255) against the shipped ResNet-20 on 16 test images of
leaf-synth. ``-k early_exit`` compares PGD with and without early exit on 250 images, in turns. ``--benchmark-json
FILE`` saves the robust accuracy, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from robench.attack.perturbation import perturb_set
from robench.bench.timing import in_turns, ratio_of
from robench.contracts.context import RunContext
from robench.images.image_set import ImageSet
from robench.networks.evaluate import predict
from robench.networks.memory import keep_freed_memory
from robench.registry.registry import discover
from torch import nn

from robench_plugins.attackers.components import ATTACKERS
from robench_plugins.datasets.leaf_synth import LeafSynth

CPU = torch.device("cpu")
N_IMAGES = {"torchattacks-jsma": 1}
"""Images of attacks that do not get 16: JSMA looks at all pairs of pixel values."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, ImageSet]:
    dataset = discover().resolve("dataset", "leaf-synth").build()
    cache = tmp_path_factory.mktemp("cache")
    context = RunContext(dataset=dataset, dataset_name="leaf-synth", device=CPU, seed=0, cache_dir=cache)
    return discover().resolve("model", "resnet20").build().build(context), dataset.split("test", 16)


@pytest.mark.parametrize("name", [component.name for component in ATTACKERS])
def test_attack(benchmark: BenchmarkFixture, target: tuple[nn.Module, ImageSet], name: str) -> None:
    network, data = target[0], target[1].first(N_IMAGES.get(name, 16))
    attack = discover().resolve_attack(name)
    attacker, threat = attack.build(), attack.threat()
    found = benchmark.pedantic(
        lambda: perturb_set(attacker, network, data, threat=threat, device=CPU, seed=0), rounds=1
    )
    right = predict(network, found, n_classes=10, device=CPU) == data.labels
    benchmark.extra_info |= {"threat": str(threat), "n": len(data), "robust_accuracy": float(right.mean())}


@pytest.mark.parametrize("eps", ["8/255", "1/255"])
@pytest.mark.parametrize("steps", [7, 50])
def test_early_exit(
    benchmark: BenchmarkFixture,
    target: tuple[nn.Module, ImageSet],
    steps: int,
    eps: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network, data = target[0], LeafSynth().split("test", 250)

    def side(early_exit: bool) -> Callable[[], NDArray[np.uint8]]:
        attack = discover().resolve_attack(f"pgd:eps={eps},steps={steps},early_exit={early_exit}")
        attacker, threat = attack.build(), attack.threat()
        return lambda: perturb_set(attacker, network, data, threat=threat, device=CPU, seed=0)[0]

    sides = {"plain": partial(side, False), "early": partial(side, True)}
    keep_freed_memory()  # as in a run
    timed = benchmark.pedantic(lambda: in_turns(sides, 3, CPU, settle=False), rounds=1)
    times = ratio_of(timed["early"].seconds, timed["plain"].seconds)
    robust = [
        float((predict(network, timed[name].result, n_classes=10, device=CPU) == data.labels).mean()) for name in sides
    ]
    benchmark.extra_info |= {"times_faster": times.median, "robust_accuracy": robust}
    with capsys.disabled():
        print(
            f"\nPGD-{steps} at {eps}: {times.median:.2f} times faster ({times.lowest:.2f} to {times.highest:.2f}); "
            f"robust accuracy {robust[0]:.3f}, with early exit {robust[1]:.3f}"
        )
