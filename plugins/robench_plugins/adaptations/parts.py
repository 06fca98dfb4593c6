"""Find the part of a network that an adaptation changes, and freeze the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Any

from robench import ImageTextNetwork, PluginError
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def find_part(parts: Mapping[str, nn.Module], name: str) -> Any:
    """Return the part called `name`.

    Raises:
        PluginError: The model names no such part.
    """
    if name not in parts:
        found = f"only {', '.join(sorted(parts))}" if parts else "nothing to adapt"
        raise PluginError(
            f"this adaptation changes the part {name!r} of a model, but this model offers {found}; "
            "use a model that has it, such as --model clip-tiny"
        )
    return parts[name]


def first_of_last(blocks: Sized, n: int) -> int:
    """Return the index of the first of the last `n` of `blocks`.

    Raises:
        PluginError: There are fewer than `n`.
    """
    if n > len(blocks):
        raise PluginError(f"n={n} is more than the model's {len(blocks)} blocks; expected at most {len(blocks)}")
    return len(blocks) - n


def encoder_and_head(network: nn.Module, parts: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    """Return the weights of the encoder, then of the head unless it is made of prompts, in the order of their use.

    Without an encoder these are all weights of `network`.
    """
    if "encoder" not in parts:
        return list(network.parameters())
    head = [] if isinstance(network, ImageTextNetwork) else parts.get("head", nn.Module()).parameters()
    return list(dict.fromkeys([*parts["encoder"].parameters(), *head]))


def train_only(network: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    """Freeze all of `network`, in place, except for `parameters`.

    A frozen batch norm keeps its running statistics and normalises by them, also in training mode. Otherwise training
    would silently change a frozen part.
    """
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not any(weight.requires_grad for weight in module.parameters()):
            module.register_forward_pre_hook(_use_running_statistics)


def _use_running_statistics(module: nn.Module, inputs: object) -> None:
    module.eval()
