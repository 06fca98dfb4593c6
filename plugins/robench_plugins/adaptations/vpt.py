"""Visual prompt tuning: learned tokens next to the patches of a frozen vision tower."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from robench import Adaptation, Field, Later, Params, PluginError
from torch import Tensor, nn

from robench_plugins.adaptations.parts import find_part, train_only

_INIT = (
    "how the tokens are drawn at the start: normal, with standard deviation 1, as the study and TeCoA's code do; or "
    "uniform, 0.02 to 0.1 of that size, as the code of the VPT paper does"
)


class VPTParams(Params):
    """Parameters of prompt tokens; the defaults are the study's."""

    tokens: int = Field(default=10, ge=1, description="number of prompt tokens")
    init: Literal["normal", "uniform"] = Field(default="normal", description=_INIT)


class DeepVPTParams(VPTParams):
    """Parameters of prompt tokens before every block; the start is that of the paper's code."""

    init: Literal["normal", "uniform"] = Later("uniform", description=_INIT)


class PromptedEmbeddings(nn.Module):
    """The embeddings of a vision transformer, with learned tokens after the class token."""

    def __init__(self, embeddings: nn.Module, prompt: nn.Parameter) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.prompt = prompt
        self.training = embeddings.training

    def forward(self, *args: Tensor, **kwargs: bool) -> Tensor:
        """Return ``[CLS, prompt tokens, patches]``, ``(N, 1 + tokens + patches, width)``."""
        embedded: Tensor = self.embeddings(*args, **kwargs)
        # CLS stays first, because the tower reads position 0.
        return _prompted(embedded[:, :1], self.prompt, embedded[:, 1:])


class PromptedBlock(nn.Module):
    """A block of a vision transformer, with learned tokens in place of the previous block's outputs for its tokens."""

    def __init__(self, block: nn.Module, prompt: nn.Parameter) -> None:
        super().__init__()
        self.block = block
        self.prompt = prompt
        self.training = block.training

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map ``(N, 1 + tokens + patches, width)`` to the same shape."""
        patches = hidden[:, 1 + self.prompt.shape[1] :]
        output: Tensor = self.block(_prompted(hidden[:, :1], self.prompt, patches), *args, **kwargs)
        return output


class VPT(Adaptation):
    """Trains prompt tokens that are inserted after the class token, before the first block.

    Source: Jia et al., "Visual prompt tuning", ECCV 2022, section 3.2 (VPT-shallow). The tokens start from a standard
    normal distribution, as in the study and in the code of Mao et al. (TeCoA, ICLR 2023: ``TokenPrompter``). The code
    of Jia et al. draws them from ``U(-b, b)`` with ``b = sqrt(6 / (3 patch_size^2 + width))``: ``init=uniform``.
    """

    Params = VPTParams
    params: VPTParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and insert the tokens, drawn from torch's global random state.

        Raises:
            PluginError: The network has no CLIP vision tower.
        """
        tower = vision_tower(parts)
        train_only(network, ())
        tower.embeddings = PromptedEmbeddings(tower.embeddings, self.prompt(tower))

    def prompt(self, tower: Any) -> nn.Parameter:
        """Draw tokens ``(1, tokens, width)`` for `tower`."""
        width, patch_size, weight = tower.config.hidden_size, tower.config.patch_size, next(tower.parameters())
        tokens = torch.empty(1, self.params.tokens, width, device=weight.device)
        if self.params.init == "normal":
            return nn.Parameter(tokens.normal_())
        # The bound of the code of Jia et al. (after Glorot).
        bound = math.sqrt(6 / (3 * patch_size**2 + width))
        return nn.Parameter(tokens.uniform_(-bound, bound))


class DeepVPT(VPT):
    """Trains prompt tokens before every block. They replace the previous block's outputs for its own tokens.

    Source: Jia et al., "Visual prompt tuning", ECCV 2022, section 3.2 (VPT-deep). The tokens start from ``U(-b, b)``
    with ``b = sqrt(6 / (3 patch_size^2 + width))``, as in their code.
    """

    Params = DeepVPTParams
    params: DeepVPTParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and insert tokens before each block, drawn from torch's global random state.

        Raises:
            PluginError: The network has no CLIP vision tower.
        """
        blocks = find_part(parts, "blocks")
        super().adapt(network, parts)
        for index in range(1, len(blocks)):
            blocks[index] = PromptedBlock(blocks[index], self.prompt(parts["vision"]))


def vision_tower(parts: Mapping[str, nn.Module]) -> Any:
    """Return the vision tower of a CLIP.

    Raises:
        PluginError: The network has no such tower.
    """
    tower = find_part(parts, "vision")
    if not isinstance(getattr(tower, "embeddings", None), nn.Module):
        raise PluginError("this adaptation finds no 'embeddings' in the vision tower; use --model clip-tiny")
    return tower


def _prompted(class_token: Tensor, prompt: Tensor, patches: Tensor) -> Tensor:
    return torch.cat([class_token, prompt.expand(len(patches), -1, -1), patches], dim=1)
