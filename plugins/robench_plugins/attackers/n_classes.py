"""The number of classes of a network, which some attacks need to know."""

from __future__ import annotations

import torch
from robench import SpecError
from torch import Tensor, nn


def n_classes(network: nn.Module, images: Tensor) -> int:
    """Return the number of logits of `network`; where queries are counted, this is none."""
    if isinstance(known := getattr(network, "n_logits", None), int):
        return known
    with torch.no_grad():
        return int(network(images[:1]).shape[1])


def require_classes(least: int, network: nn.Module, images: Tensor, attack: str, instead: str) -> int:
    """Check that `network` has the `least` classes that `attack` needs, and return their number.

    Raises:
        SpecError: There are fewer; the message names an attack to use `instead`.
    """
    n = n_classes(network, images)
    if n < least:
        raise SpecError(f"{attack} needs at least {least} classes (the network has {n}); use {instead} instead")
    return n
