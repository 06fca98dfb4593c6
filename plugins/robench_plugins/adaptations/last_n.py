"""The last blocks and what follows them."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation, Field, Params
from torch import nn

from robench_plugins.adaptations.parts import find_part, first_of_last, train_only


class LastNParams(Params):
    """How many blocks."""

    n: int = Field(default=1, ge=1, description="number of blocks, counted from the output")


class LastN(Adaptation):
    """Trains the last `n` blocks of the encoder and every weight that the encoder declares after them.

    After the blocks of a CLIP come the last layer norm and the projection, after those of a ResNet its linear layer.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS 2014, section 2.
    """

    Params = LastNParams
    params: LastNParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze what comes before the last blocks.

        Raises:
            PluginError: The model names no blocks, or has fewer.
        """
        blocks, encoder = find_part(parts, "blocks"), find_part(parts, "encoder")
        last = blocks[first_of_last(blocks, self.params.n) :]
        first = next(weight for block in last for weight in block.parameters())
        declared = list(encoder.parameters())
        start = next(index for index, weight in enumerate(declared) if weight is first)
        train_only(network, declared[start:])
