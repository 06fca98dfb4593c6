"""What each attack costs and breaks: python -m pytest benchmarks/test_attacks.py --benchmark-only

The shipped ResNet-20 on 16 test images of leaf-synth, each attack at its defaults (Linf 8/255 or L2 128/255).
``--benchmark-json FILE`` keeps the robust accuracy as well.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from robench.data import ImageSet
from robench.evaluate import predict
from robench.interfaces import RunContext
from robench.perturbation import perturb_set
from robench.registry import discover
from torch import nn

from robench_plugins.attackers.components import ATTACKERS

CPU = torch.device("cpu")
N_IMAGES = {"torchattacks-jsma": 1}
"""Where it is not 16: JSMA looks at all pairs of pixel values."""


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
