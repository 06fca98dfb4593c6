"""Visual prompt tuning: learned tokens next to the patches of a frozen vision tower."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from robench import Adaptation, Field, Later, Params, PluginError, Tokens
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
    """The embeddings of a vision transformer, with learned tokens after its class token, if it has one.

    Args:
        n_first: Tokens that stay before the prompt: 1, the class token, or 0.
    """

    def __init__(self, embeddings: nn.Module, prompt: nn.Parameter, n_first: int) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.prompt = prompt
        self.n_first = n_first
        self.training = embeddings.training

    def forward(self, *args: Tensor, **kwargs: bool) -> Tensor:
        """Return ``[CLS, prompt tokens, patches]``, ``(N, n_first + tokens + patches, width)``."""
        embedded: Tensor = self.embeddings(*args, **kwargs)
        # CLS stays first, because the tower reads position 0.
        return _prompted(embedded[:, : self.n_first], self.prompt, embedded[:, self.n_first :])


class PromptedBlock(nn.Module):
    """A block of a vision transformer, with learned tokens in place of the previous block's outputs for its tokens."""

    def __init__(self, block: nn.Module, prompt: nn.Parameter, n_first: int) -> None:
        super().__init__()
        self.block = block
        self.prompt = prompt
        self.n_first = n_first
        self.training = block.training

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map ``(N, n_first + tokens + patches, width)`` to the same shape."""
        patches = hidden[:, self.n_first + self.prompt.shape[1] :]
        output: Tensor = self.block(_prompted(hidden[:, : self.n_first], self.prompt, patches), *args, **kwargs)
        return output


class PatchesOnly(nn.Module):
    """The last block of a vision transformer without a class token; it drops the prompt tokens, so none is pooled."""

    def __init__(self, block: nn.Module, tokens: int) -> None:
        super().__init__()
        self.block = block
        self.tokens = tokens
        self.training = block.training

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Map ``(N, tokens + patches, width)`` to ``(N, patches, width)``."""
        output: Tensor = self.block(hidden, *args, **kwargs)
        return output[:, self.tokens :]


class Put:
    """A hook before a block: learned tokens after the first ones, in place of those that were put before."""

    def __init__(self, tokens: Tokens, replaced: int) -> None:
        self.tokens, self.replaced = tokens, replaced

    def __call__(self, block: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the arguments of the block with its ``prompt`` among the tokens."""
        hidden, first = _batch_first(given[0], self.tokens), self.tokens.first
        put = _prompted(hidden[:, :first], block.prompt.to(hidden), hidden[:, first + self.replaced :])
        return (_batch_first(put, self.tokens), *given[1:])


class Dropped:
    """A hook behind the last block: what became of the learned tokens is taken out."""

    def __init__(self, tokens: Tokens, n: int) -> None:
        self.tokens, self.n = tokens, n

    def __call__(self, block: nn.Module, given: object, output: Tensor) -> Tensor:
        """Return the tokens that the tower has without prompts."""
        hidden, first = _batch_first(output, self.tokens), self.tokens.first
        return _batch_first(torch.cat([hidden[:, :first], hidden[:, first + self.n :]], dim=1), self.tokens)


def _batch_first(hidden: Tensor, tokens: Tokens) -> Tensor:
    """Return ``(N, T, width)`` of what blocks take, and the reverse."""
    return hidden if tokens.batch_first else hidden.transpose(0, 1)


class VPT(Adaptation):
    """Trains prompt tokens that are inserted after the class token, before the first block.

    Source: Jia et al., "Visual prompt tuning", ECCV 2022, section 3.2 (VPT-shallow). The tokens start from a standard
    normal distribution, as in the study and in the code of Mao et al. (TeCoA, ICLR 2023: ``TokenPrompter``). The code
    of Jia et al. draws them from ``U(-b, b)`` with ``b = sqrt(6 / (3 patch_size^2 + width))``: ``init=uniform``.
    Deviations: a tower without a class token, as SigLIP's, pools its patches; outputs of prompt tokens are dropped. In
    towers that are not in the layout of transformers, tokens are put right before the blocks, after the tower's first
    norm if it has one, and outputs of prompt tokens are dropped behind the last block.
    """

    Params = VPTParams
    params: VPTParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and insert the tokens, drawn from torch's global random state.

        Raises:
            PluginError: The network has no vision transformer whose tokens are known.
        """
        if (tokens := self.declared(parts)) is not None:
            self.put(network, find_part(parts, "blocks"), tokens, 1)
            return
        tower = vision_tower(parts)
        train_only(network, ())
        tower.embeddings = PromptedEmbeddings(tower.embeddings, self.of(tower), n_first := n_first_tokens(tower))
        if n_first == 0:
            blocks = find_part(parts, "blocks")
            blocks[-1] = PatchesOnly(blocks[-1], self.params.tokens)

    def declared(self, parts: Mapping[str, nn.Module]) -> Tokens | None:
        """Return how the blocks take tokens, if the model says so and the tower is not in transformers' layout."""
        in_layout = isinstance(getattr(parts.get("vision"), "embeddings", None), nn.Module)
        return None if in_layout or self._setting is None else self.setting.tokens

    def put(self, network: nn.Module, blocks: Any, tokens: Tokens, n_blocks: int) -> None:
        """Freeze the network, and put tokens before its first `n_blocks` blocks."""
        train_only(network, ())
        n, weight = self.params.tokens, next(network.parameters())
        for number, block in enumerate(blocks[:n_blocks]):
            block.register_parameter("prompt", self.prompt(tokens.width, tokens.patch_size, weight.device))
            block.register_forward_pre_hook(Put(tokens, n if number else 0))
        blocks[-1].register_forward_hook(Dropped(tokens, n))

    def of(self, tower: Any) -> nn.Parameter:
        """Draw tokens for a tower in the layout of transformers."""
        return self.prompt(tower.config.hidden_size, tower.config.patch_size, next(tower.parameters()).device)

    def prompt(self, width: int, patch_size: int, device: torch.device) -> nn.Parameter:
        """Draw tokens ``(1, tokens, width)``."""
        tokens = torch.empty(1, self.params.tokens, width, device=device)
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
            PluginError: The network has no vision transformer whose tokens are known.
        """
        blocks = find_part(parts, "blocks")
        if (tokens := self.declared(parts)) is not None:
            self.put(network, blocks, tokens, len(blocks))
            return
        n_first = n_first_tokens(vision_tower(parts))
        super().adapt(network, parts)
        for index in range(1, len(blocks)):
            prompt = self.of(parts["vision"])
            if isinstance(last := blocks[index], PatchesOnly):
                last.block = PromptedBlock(last.block, prompt, n_first)
            else:
                blocks[index] = PromptedBlock(blocks[index], prompt, n_first)


def vision_tower(parts: Mapping[str, nn.Module]) -> Any:
    """Return the vision tower in the layout of transformers.

    Raises:
        PluginError: The network has no such tower.
    """
    tower = find_part(parts, "vision")
    if not isinstance(getattr(tower, "embeddings", None), nn.Module):
        raise PluginError(
            "this adaptation finds no 'embeddings' in the vision tower, and the model does not say how its blocks take "
            "tokens; use a vision transformer, such as --model clip-tiny"
        )
    return tower


def n_first_tokens(tower: Any) -> int:
    """Return how many tokens stand before the patches: 1 if `tower` has a class token, else 0."""
    return int(hasattr(tower.embeddings, "class_embedding"))


def _prompted(class_token: Tensor, prompt: Tensor, patches: Tensor) -> Tensor:
    return torch.cat([class_token, prompt.expand(len(patches), -1, -1), patches], dim=1)
