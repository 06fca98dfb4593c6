"""The last block of CLIP's tower, computed for its class token alone, is the block that it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from robench.registry.registry import discover
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPModel

from robench_plugins.models.class_token_layer import ClassTokenLayer
from robench_plugins.models.clip import CLIP
from robench_plugins.models.clip_network import CLIPNetwork
from tests.helpers.plugin_fixtures import make_context, save_tiny_clip


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("tiny-clip"))


def build(path: Path, *, whole: bool) -> CLIPNetwork:
    network = CLIP(CLIP.Params(path=str(path))).build(make_context(Path("unused")))
    assert isinstance(network, CLIPNetwork)
    layers = network.clip.vision_model.encoder.layers
    assert isinstance(layers[-1], ClassTokenLayer)
    if whole:
        layers[-1] = CLIPModel.from_pretrained(path).vision_model.encoder.layers[-1]
    return network


def gradients(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(1)
    # In float64, where rounding hides nothing.
    F.cross_entropy(network.double().train()(images.double()), torch.zeros(len(images), dtype=torch.long)).backward()
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("adaptation", ["lora", "vpt", "vpt-deep", "last-n", "full"])
def test_every_gradient_is_that_of_the_whole_block_dropout_included(pair: Path, adaptation: str) -> None:
    found = []
    images = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for whole in (False, True):
        network = build(pair, whole=whole)
        torch.manual_seed(0)
        adapted = discover().resolve("adaptation", adaptation).build()
        adapted.adapt(network, CLIP(CLIP.Params(path="x")).adaptable(network))
        for name, weight in network.named_parameters():
            if "lora_B" in name:  # zero at the start, which would hide the other half
                nn.init.normal_(weight, generator=torch.Generator().manual_seed(2))
        found.append(gradients(network, images))
    short, whole_block = found
    assert short.keys() == whole_block.keys() and short
    for name, gradient in whole_block.items():
        torch.testing.assert_close(short[name], gradient, rtol=1e-9, atol=1e-12)


def test_names_of_weights_are_those_of_the_whole_block(pair: Path) -> None:
    short, whole = (build(pair, whole=each).state_dict() for each in (False, True))
    assert short.keys() == whole.keys()


def test_it_costs_less(pair: Path) -> None:
    counted = []
    for whole in (False, True):
        network = build(pair, whole=whole)
        with FlopCounterMode(display=False) as counter:
            network(torch.rand(2, 3, 16, 16))
        counted.append(counter.get_total_flops())
    assert counted[0] < counted[1]
