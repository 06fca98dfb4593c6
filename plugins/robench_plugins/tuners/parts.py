"""Find the parts of a network that a tuner works on, or say clearly that they are missing."""

from __future__ import annotations

from collections.abc import Mapping

from robench import ImageTextNetwork, PluginError
from torch import nn


def freeze(network: nn.Module) -> None:
    """Stop gradients to every parameter of `network`, in place."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)


def vision_tower(parts: Mapping[str, nn.Module]) -> nn.Module:
    """Return the vision tower.

    Raises:
        PluginError: The model offers none.
    """
    if "vision" not in parts:
        raise PluginError("this tuner adapts a vision transformer, which the model is not; use --model clip-tiny")
    return parts["vision"]


def image_text(network: nn.Module) -> ImageTextNetwork:
    """Return `network` as one that compares images with class prompts.

    Raises:
        PluginError: It does not.
    """
    if not isinstance(network, ImageTextNetwork):
        raise PluginError("this tuner needs a model that compares images with text; use --model clip-tiny")
    return network
