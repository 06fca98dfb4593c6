"""Where every network enters: it must return logits, leave its input alone, and may have no gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from robench.errors import PluginError
from robench.networks.evaluate import evaluation_mode

ENTERING = 2
"""Images on which a network is tried."""
WITHOUT_GRADIENTS = (
    "no gradient reaches the pixels through the model; an attack that needs gradients gets zeros, so it hardly leaves "
    "its start"
)


def enter(network: nn.Module, images: Tensor, n_classes: int, warn: Callable[[str], None]) -> nn.Module:
    """Try `network` on a few images and return it.

    A network that no gradient passes, or that cannot be called while gradients are recorded, is given a gradient of
    zero, so that attacks run and measure what they can find without one. `warn` is told.

    Args:
        network: From images to logits.
        images: ``float32 (n, 3, H, W)`` in ``[0, 1]``, on its device.
        n_classes: The number of logits expected of each image.

    Raises:
        PluginError: It fails, returns something else than logits, or changes its input in place.
    """
    devices = [images.device] if images.is_cuda else []
    with evaluation_mode(network), torch.random.fork_rng(devices=devices):
        given = images.clone()
        try:
            with torch.no_grad():
                logits = network(given)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise PluginError(f"the model fails on images of shape {tuple(images.shape)}: {reason}") from error
        if not isinstance(logits, Tensor):
            raise PluginError(
                f"the model returned a {type(logits).__name__}; expected a tensor of logits, such as "
                "outputs.logits or outputs[0]"
            )
        if tuple(logits.shape) != (len(images), n_classes) or not logits.is_floating_point():
            raise PluginError(
                f"the model returned {logits.dtype} of shape {tuple(logits.shape)}; expected floating-point logits of "
                f"shape {(len(images), n_classes)}"
            )
        if not torch.equal(given, images):
            raise PluginError("the model changes its input in place; expected a new tensor, such as x * 2 - 1")
        passes = _gradient_passes(network, images)
    if not passes and _detached not in network._forward_pre_hooks.values():
        network.register_forward_pre_hook(_detached)
        network.register_forward_hook(_with_zero_gradient)
        warn(WITHOUT_GRADIENTS)
    return network


def _gradient_passes(network: nn.Module, images: Tensor) -> bool:
    """Return whether the logits depend on the pixels as far as autograd knows."""
    pixels = images.clone().requires_grad_()
    try:
        with torch.enable_grad():
            logits = network(pixels)
            if not logits.requires_grad:
                return False
            (gradient,) = torch.autograd.grad(logits.sum(), pixels, allow_unused=True)
    except (RuntimeError, TypeError, NotImplementedError):
        # A function of numpy or PIL refuses tensors that record gradients. Without recording, the network just worked.
        return False
    return gradient is not None


def _detached(network: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    network.__dict__["_robench_pixels"] = given[0]
    return (given[0].detach(), *given[1:])


def _with_zero_gradient(network: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> Tensor:
    pixels: Tensor = network.__dict__.pop("_robench_pixels")
    return logits + 0 * pixels.flatten(1).sum(dim=1, keepdim=True) if pixels.requires_grad else logits
