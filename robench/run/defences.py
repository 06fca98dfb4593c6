"""A network behind the defences of a run."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from robench.contracts.context import RunContext
from robench.contracts.defence import Defence
from robench.contracts.model import Model
from robench.contracts.setting import TuningSetting
from robench.errors import PluginError
from robench.networks.defended import Defended
from robench.registry.resolved import Resolved


def behind(defences: Sequence[Resolved], network: nn.Module, model: Model, context: RunContext) -> nn.Module:
    """Return `network`, which `model` made, behind `defences`, of which the first meets images first.

    Raises:
        PluginError: A defence does not fit the network, or one behind the defences after it.
    """
    for resolved in reversed(defences):
        defence: Defence = resolved.build()
        stacked = isinstance(network, Defended)
        parts = {} if stacked else model.adaptable(network)
        defence.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
        try:
            defence.prepare(network, context)
        except PluginError as error:
            if not stacked:
                raise
            raise PluginError(
                f"{resolved.label} does not fit a network behind {defences[-1].label}: {error}; a defence that asks "
                "for more than logits stands last"
            ) from error
        network = Defended(network, defence)
    return network
