"""What docs/gpu.md says a stage needs on a device, against tensors counted on a CPU."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from robench.registry.registry import discover

from tests.helpers.scripts import benchmark_script

RESNET20 = 4 * 2 * (7 * 16 * 32**2 + 6 * 32 * 16**2 + 6 * 64 * 8**2)
"""Bytes: what each batch norm and each ReLU hands on."""
CLIP_TINY = 4 * 65 * 128
"""Bytes of the tokens of one image, once."""


@pytest.fixture(scope="module")
def memory() -> Any:
    return benchmark_script("memory")


def stages(memory: ModuleType, model: str) -> Any:
    return memory.Stages(discover(), model)


def test_bytes_alive_are_counted_once_and_only_while_they_live(memory: ModuleType) -> None:
    outside = torch.zeros(1000)

    def work() -> None:
        first = torch.zeros(1000)
        second = first + outside
        second.view(10, 100).add_(1)
        outside.view(10, 100).mul_(2)
        del first
        torch.zeros(900)

    assert memory.most(work) == 8000


def test_the_graph_of_resnet20_keeps_each_convolution_twice(memory: ModuleType) -> None:
    found = stages(memory, "resnet20")
    assert found.gradient().image == pytest.approx(RESNET20, rel=0.02)
    assert found.loss("full+ce").image == pytest.approx(RESNET20, rel=0.02)
    assert found.gradient(fold=True).image == pytest.approx(RESNET20 / 2, rel=0.02)
    assert found.attack(fold=True).image < 0.7 * found.attack().image
    assert found.gradient("bfloat16").image == pytest.approx(RESNET20 / 2, rel=0.02)


def test_the_graph_of_a_transformer_keeps_so_many_tokens_a_block(memory: ModuleType) -> None:
    found = stages(memory, "clip-tiny")
    # Five blocks, and of the sixth what its keys and values come from.
    assert found.gradient().image == pytest.approx((5 * 10 + 4) * CLIP_TINY, rel=0.06)
    assert found.loss("full+tecoa").image == pytest.approx((5 * 16 + 5) * CLIP_TINY, rel=0.06)


def test_blocks_below_all_adapters_keep_nothing(memory: ModuleType) -> None:
    found = stages(memory, "clip-tiny")
    last, two, three, every = (found.loss(f"tecoa{n}").image for n in (":n=1", ":n=2", ":n=3", ""))
    block = three - two
    assert block > 14 * CLIP_TINY and last < block / 2
    assert (two - last, every - last) == (pytest.approx(block, rel=0.01), pytest.approx(5 * block, rel=0.01))


@pytest.mark.parametrize("model", ["resnet20", "clip-tiny"])
def test_without_a_gradient_an_image_needs_little(memory: ModuleType, model: str) -> None:
    found = stages(memory, model)
    assert found.evaluation().image < 0.25 * found.gradient().image
    assert found.attack().image == pytest.approx(found.gradient().image, rel=0.2)


@pytest.mark.parametrize(("tuner", "n"), [("tecoa", 16), ("full+tecoa", 2)], ids=["activations", "weights"])
def test_a_training_step_needs_what_the_formula_says(memory: ModuleType, tuner: str, n: int) -> None:
    found = stages(memory, "clip-tiny")
    _, _, trained = found.tuner(tuner)
    said = memory.formula(found.loss(tuner), trained, n)
    assert 0.8 * said < found.steps(tuner, n) < 1.2 * said
