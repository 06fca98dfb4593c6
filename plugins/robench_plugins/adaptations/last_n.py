"""The last blocks and the layers after them."""

from __future__ import annotations

from collections.abc import Mapping

from robench import Adaptation, Field, Params
from torch import nn

from robench_plugins.adaptations.parts import encoder_and_head, find_part, first_of_last, train_only


class LastNParams(Params):
    """Parameters of last-n."""

    n: int = Field(default=1, ge=1, description="number of blocks, counted from the output")


class LastN(Adaptation):
    """Trains the last `n` blocks of the encoder and all weights that it declares after them.

    In a CLIP these are the last layer norm and the projection, in a ResNet its linear layer.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS 2014, section 2.
    """

    Params = LastNParams
    params: LastNParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze all weights before the last blocks.

        Raises:
            PluginError: The model names no blocks, or has fewer than `n`.
        """
        blocks = find_part(parts, "blocks")
        last = blocks[first_of_last(blocks, self.params.n) :]
        first = next(weight for block in last for weight in block.parameters())
        declared = encoder_and_head(network, parts)
        start = next(index for index, weight in enumerate(declared) if weight is first)
        train_only(network, declared[start:])
