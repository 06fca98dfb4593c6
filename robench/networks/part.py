"""A part of a network that a function computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor, nn


class Part(nn.Module):
    """A part of a network as a module of its own: it computes `function` and has the weights that this uses.

    A network keeps its parts in a dict, which torch does not look into, so its weights keep their names. If the network
    calls the part wherever it needs it, a hook on the part changes what the network answers. A deep copy of a network
    has parts of its own.

    Args:
        function: What the part computes, mostly a method of the network.
        weights: The modules and parameters that it uses, by name; those that are None are left out.
    """

    def __init__(self, function: Callable[..., Tensor], **weights: nn.Module | nn.Parameter | None) -> None:
        super().__init__()
        self.function = function
        for name, weight in weights.items():
            if isinstance(weight, nn.Parameter):
                self.register_parameter(name, weight)
            elif weight is not None:
                self.add_module(name, weight)

    @classmethod
    def without(cls, function: Callable[..., Tensor], network: nn.Module, head: nn.Module) -> Self:
        """Return the part that has all weights of `network` but those of `head`, a module anywhere in it."""
        return cls(function, **_all_but(network, head))

    def forward(self, *args: Any) -> Tensor:
        """Return what the function computes."""
        return self.function(*args)


def _all_but(module: nn.Module, head: nn.Module, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {prefix + name: weight for name, weight in module.named_parameters(recurse=False)}
    for name, child in module.named_children():
        if child is head:
            continue
        inside = any(each is head for each in child.modules())
        found |= _all_but(child, head, f"{prefix}{name}_") if inside else {prefix + name: child}
    return found
