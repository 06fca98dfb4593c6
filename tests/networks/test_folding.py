from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench.networks.folding import folded
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.resnet_network import ResNet, Shortcut


def settled(network: nn.Module) -> nn.Module:
    """Give every batch norm statistics and weights of its own, as training does, in float64."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
            ):
                assert tensor is not None
                tensor.uniform_(low, high)
    return network.double().eval()


def gradient(network: nn.Module, images: Tensor) -> Tensor:
    start = images.clone().requires_grad_()
    loss = F.cross_entropy(network(start), torch.zeros(len(images), dtype=torch.long))
    return torch.autograd.grad(loss, start)[0]


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), shortcut=st.sampled_from(["pad", "conv"]))
def test_logits_and_gradients_stay_what_they_were(seed: int, shortcut: Shortcut) -> None:
    torch.manual_seed(seed)
    network, images = settled(ResNet(8, 5, shortcut)), torch.rand(3, 3, 8, 8, dtype=torch.float64)
    logits, slope = network(images), gradient(network, images)
    with folded(network, images):
        assert norms(network) == 0
        torch.testing.assert_close(network(images), logits, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(gradient(network, images), slope, rtol=1e-9, atol=1e-12)


def test_afterwards_every_module_is_the_same_object_also_after_an_exception() -> None:
    network = settled(ResNet(8, 5)).train()
    before = list(network.named_modules())
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ZeroDivisionError), folded(network, torch.rand(2, 3, 8, 8, dtype=torch.float64)):
        raise ZeroDivisionError
    assert [(name, id(module)) for name, module in network.named_modules()] == [(n, id(m)) for n, m in before]
    assert all(module.training for module in network.modules())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


class Sized(nn.Module):
    """A network that asks for the size of its images, as one that resizes does, around one that does not."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if (height, width) != (8, 8):
            images = F.interpolate(images, (8, 8))
        logits: Tensor = self.inner(images)
        return logits


def test_a_network_is_folded_within_one_that_cannot_be_followed() -> None:
    network, images = Sized(settled(ResNet(8, 5))), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    with folded(network, images):
        assert norms(network) == 0


class Pair(nn.Module):
    """A convolution and a batch norm, put together by `how`."""

    def __init__(self, how: Callable[[nn.Module, nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.how = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), how

    def forward(self, images: Tensor) -> Tensor:
        return self.how(self.conv, self.norm, images).mean((2, 3))


def by_batch(conv: nn.Module, norm: nn.Module, images: Tensor) -> Tensor:
    norm.train()
    result: Tensor = norm(conv(images))
    return result


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(lambda conv, norm, x: norm(conv(x).relu()), id="something between them"),
        pytest.param(lambda conv, norm, x: norm(h := conv(x)) + h, id="the convolution used twice"),
        pytest.param(lambda conv, norm, x: norm(conv(x)) + norm(conv(x.flip(0))), id="both called twice"),
        pytest.param(by_batch, id="normalised by the batch"),
    ],
)
def test_what_cannot_be_folded_stays(how: Callable[[nn.Module, nn.Module, Tensor], Tensor]) -> None:
    network, images = settled(Pair(how)), torch.rand(4, 3, 8, 8, dtype=torch.float64)
    with folded(network, images):
        assert norms(network) == 1
        assert type(network.conv) is nn.Conv2d


class Noisy(nn.Module):
    """A network that adds noise to its images."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images + torch.randn(images.shape[-1], dtype=images.dtype))
        return logits


def test_what_a_network_draws_meanwhile_is_not_missed() -> None:
    network, images = Noisy(settled(ResNet(8, 5))), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    before = torch.get_rng_state()
    with folded(network, images):
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_hooked_module_stays() -> None:
    network = settled(Pair(lambda conv, norm, x: norm(conv(x))))
    assert isinstance(network.norm, nn.Module)
    handle = network.norm.register_forward_hook(lambda module, inputs, output: output)
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    with folded(network, images):
        assert norms(network) == 1
    handle.remove()
    with folded(network, images):
        assert norms(network) == 0


def test_a_batch_norm_that_brings_its_activation_leaves_it_there() -> None:
    timm = pytest.importorskip("timm")
    network = settled(timm.create_model("efficientnet_lite0", num_classes=5))
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    logits = network(images)
    with folded(network, images):
        assert norms(network) == 0
        torch.testing.assert_close(network(images), logits, rtol=1e-8, atol=1e-8)
