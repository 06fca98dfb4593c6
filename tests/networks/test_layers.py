"""Parameters by layer."""

from __future__ import annotations

import torch
from robench.networks.layers import MOST_LAYERS, parameters_by_layer
from torch import nn


class Tokens(nn.Module):
    """A network with a parameter of its own beside two parts."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(5))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)) for _ in range(blocks))
        self.head = nn.Linear(3, 4)


def test_layers_are_the_finest_that_fit_a_page() -> None:
    assert parameters_by_layer(Tokens(1)) == {"token": 5, "blocks.0.0": 9, "blocks.0.1": 6, "head": 16}
    deep = parameters_by_layer(Tokens(MOST_LAYERS - 2))
    assert deep["blocks.0"] == 15 and len(deep) == MOST_LAYERS
    deeper = parameters_by_layer(Tokens(MOST_LAYERS))
    assert deeper == {"token": 5, "blocks": 15 * MOST_LAYERS, "head": 16}


def test_layers_add_up_also_where_there_is_one_or_none() -> None:
    for network in (nn.Linear(3, 2), nn.Identity(), Tokens(3)):
        assert sum(parameters_by_layer(network).values()) == sum(weight.numel() for weight in network.parameters())
