"""Prompts on both sides: learned tokens for images, learned words for texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from robench import Field, Later, PluginError, TuningSetting
from torch import Tensor, nn
from torch.nn.utils import parametrize

from robench_plugins.adaptations.coop import CoOp, CoOpParams
from robench_plugins.adaptations.parts import find_part
from robench_plugins.adaptations.vpt import DeepVPT, DeepVPTParams, PromptedBlock, vision_tower


class PromptsParams(DeepVPTParams, CoOpParams):
    """Parameters of prompts on both sides."""

    context: int = Field(default=2, ge=1, description="number of learned words before each class name")
    tokens: int = Field(default=2, ge=1, description="number of prompt tokens before each block")
    coupled: bool = Later(
        False, description="project prompts of one side to the other, as the authors' code does; needs context=tokens"
    )


class Projected(nn.Module):
    """A parametrisation of torch: a prompt that is a linear function of another, which is no child of it."""

    def __init__(self, source: nn.Parameter, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(source.shape[-1], width, device=source.device)
        self.source = [source]

    def forward(self, prompt: Tensor) -> Tensor:
        """Return the projected prompt, of the shape of the one whose place it takes."""
        projected: Tensor = self.project(self.source[0])
        return projected.view(prompt.shape)


class ProjectedWords(nn.Module):
    """A hook before a block of a text tower: projected tokens in place of what became of the words."""

    def __init__(self, source: nn.Parameter, width: int, first: int) -> None:
        super().__init__()
        self.project = nn.Linear(source.shape[-1], width, device=source.device)
        self.source, self.first = [source], first

    def forward(self, block: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the arguments of the block with other words."""
        hidden, words = given[0], self.project(self.source[0])
        end = self.first + words.shape[-2]
        put = words.to(hidden).expand(len(hidden), -1, -1)
        return (torch.cat([hidden[:, : self.first], put, hidden[:, end:]], dim=1), *given[1:])


class Prompts(DeepVPT):
    """Trains tokens before every block of the vision tower and context words before the class names.

    With ``coupled=true`` the two sides are one: the tokens before the first vision block are a linear function of the
    words, and before each deeper text block the words are a linear function of the tokens of that vision block. Both
    functions are trained.

    Source: Zhou et al., "Few-shot adversarial prompt learning on vision-language models", NeurIPS 2024, section 3.2,
    and the authors' code (``trainers/fap.py``), which couples so. Deviations: without ``coupled`` both sides are
    independent, and words are at the input alone; all blocks have prompts, where the code has them in 9 layers; words
    start at random, not at "a photo of a", and tokens as VPT's.
    """

    Params = PromptsParams
    params: PromptsParams

    def set_up(self, setting: TuningSetting) -> None:
        """Tell both sides."""
        super().set_up(setting)
        self._words = CoOp(CoOp.Params(context=self.params.context, unified=self.params.unified))
        self._words.set_up(setting)

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network and draw prompts on both sides.

        Raises:
            PluginError: The network is no CLIP of two vision transformers, or cannot be coupled.
        """
        self.setting  # noqa: B018  # the words need it
        texts = self._couples(parts) if self.params.coupled else None
        super().adapt(network, parts)
        images = [weight for weight in network.parameters() if weight.requires_grad]
        self._words.adapt(network, parts)
        for weight in images:
            weight.requires_grad_(True)
        if texts is not None:
            self._couple(parts, texts)

    def _couples(self, parts: Mapping[str, nn.Module]) -> nn.ModuleList:
        if self.params.context != self.params.tokens or not self.params.unified:
            raise PluginError(
                "coupled=true projects the same words for all classes to as many tokens; expected unified=true and "
                f"context={self.params.tokens}, as tokens={self.params.tokens}"
            )
        vision_tower(parts)
        texts: nn.ModuleList = find_part(parts, "text_blocks")
        return texts

    def _couple(self, parts: Mapping[str, nn.Module], texts: nn.ModuleList) -> None:
        tower, words = vision_tower(parts), self._words.vectors
        self._embeddings = tower.embeddings
        tower.embeddings.prompt.requires_grad_(False)
        parametrize.register_parametrization(tower.embeddings, "prompt", Projected(words, tower.config.hidden_size))
        for block, text in zip(list(find_part(parts, "blocks"))[1:], list(texts)[1:], strict=False):
            tokens = next(each.prompt for each in block.modules() if isinstance(each, PromptedBlock))
            text.add_module("words", ProjectedWords(tokens, words.shape[-1], self._words.first_word))
            text.register_forward_pre_hook(_with_words)

    def merge(self, network: nn.Module) -> None:
        """Fix the class embeddings as they are, and the tokens that follow the words."""
        self._words.merge(network)
        if self.params.coupled:
            parametrize.remove_parametrizations(self._embeddings, "prompt", leave_parametrized=True)
            self._embeddings.prompt.requires_grad_(False)


def _with_words(block: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = block.words(block, given)
    return found
