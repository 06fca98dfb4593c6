"""The parameters of a network, layer by layer."""

from __future__ import annotations

from torch import nn

MOST_LAYERS = 40
"""Lines of a list of layers."""


def parameters_by_layer(network: nn.Module) -> dict[str, int]:
    """Return the number of parameters of each part of `network`, in order. Their sum is that of the network.

    All parts are at the same depth, the deepest that gives at most ``MOST_LAYERS`` parts.
    """
    sizes = {name: weight.numel() for name, weight in network.named_parameters()}
    found = {"network": sum(sizes.values())} if sizes else {}
    for depth in range(1, 1 + max((name.count(".") for name in sizes), default=0)):
        parts: dict[str, int] = {}
        for name, size in sizes.items():
            module, _, own = name.rpartition(".")
            part = ".".join(module.split(".")[:depth]) or own
            parts[part] = parts.get(part, 0) + size
        if len(parts) > MOST_LAYERS:
            break
        found = parts
    return found
