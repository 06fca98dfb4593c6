"""Where a network enters: what returns no logits is refused, and what has no gradient is measured all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from robench import PluginError
from robench.networks.entrance import WITHOUT_GRADIENTS, enter
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import ImageClassifierOutput

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1])


class Returning(nn.Module):
    """A linear network around which something is wrong."""

    def __init__(self, make: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers, self.make = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), make

    def forward(self, images: Tensor) -> object:
        return self.make(self.layers, images)


def as_numpy(layers: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = layers(torch.from_numpy(images.numpy().copy()))
    return logits


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda net, x: (net(x), net(x)), "returned a tuple; expected a tensor of logits"),
        (lambda net, x: {"logits": net(x)}, "returned a dict"),
        (lambda net, x: ImageClassifierOutput(logits=net(x)), "returned a ImageClassifierOutput"),
        (lambda net, x: net(x)[0], r"of shape \(3,\); expected floating-point logits of shape \(2, 3\)"),
        (lambda net, x: net(x)[:, :2], r"of shape \(2, 2\)"),
        (lambda net, x: net(x).argmax(1, keepdim=True).expand(-1, 3), "returned torch.int64"),
        (lambda net, x: net(x.mul_(2).sub_(1)), "changes its input in place"),
        (lambda net, x: net(x.clamp_(0.2, 0.8)), "changes its input in place"),
    ],
)
def test_what_returns_no_logits_or_changes_its_input_is_refused(
    make: Callable[[nn.Module, Tensor], object], told: str
) -> None:
    with pytest.raises(PluginError, match=told):
        enter(Returning(make), IMAGES, 3, pytest.fail)


@pytest.mark.parametrize(
    "make",
    [
        lambda net, x: net(x.detach()),
        lambda net, x: net(x).detach(),
        as_numpy,
        lambda net, x: F.one_hot(net(x).argmax(1), 3).float(),
    ],
)
def test_a_network_without_gradients_gets_zeros_and_its_logits_stay(
    make: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    network, told = Returning(make), []
    with torch.no_grad():
        before = network(IMAGES)
    entered = enter(network, IMAGES, 3, told.append)
    assert told == [WITHOUT_GRADIENTS]
    pixels = IMAGES.clone().requires_grad_()
    logits = entered(pixels)
    assert torch.equal(logits.detach(), before)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, LABELS), pixels)
    assert not gradient.any()


def test_a_sound_network_enters_as_it_is() -> None:
    network = Returning(lambda net, x: net(x))
    assert enter(network, IMAGES, 3, pytest.fail) is network and not network._forward_hooks
