"""Adaptations of transformers' CLIP as one writes them by hand: peft's LoRA, prompts, the last blocks.

Each function freezes a ``CLIPModel``, changes it in place, and returns the parameters to be trained.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn


def lora(
    model: Any, *, rank: int = 8, alpha: int = 32, dropout: float = 0.1, n: int | None = None
) -> list[nn.Parameter]:
    """Put peft's LoRA on query, key and value of the vision tower, in all blocks or in the last `n`."""
    from peft import LoraConfig, get_peft_model

    depth = len(model.vision_model.encoder.layers)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=["q_proj", "k_proj", "v_proj"],
        layers_to_transform=list(range(0 if n is None else depth - n, depth)),
        layers_pattern="vision_model.encoder.layers",
    )
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks transformers by an older name
        adapted = get_peft_model(model, config)
    return [weight for weight in adapted.parameters() if weight.requires_grad]


class Prompts(nn.Module):
    """Learned tokens after the class token, before a module of the vision tower."""

    def __init__(self, tower: Any, tokens: int, *, deep: bool) -> None:
        super().__init__()
        self.tokens = tokens
        bound = math.sqrt(6 / (3 * tower.config.patch_size**2 + tower.config.hidden_size))
        device = next(tower.parameters()).device
        prompt = torch.empty(1, tokens, tower.config.hidden_size, device=device)
        # As the study's, and as the code of Jia et al.
        self.prompt = nn.Parameter(prompt.uniform_(-bound, bound) if deep else prompt.normal_())

    def insert(self, hidden: Tensor, replaced: int = 0) -> Tensor:
        """Return `hidden` with the tokens in place of the `replaced` that follow the class token."""
        prompt = self.prompt.expand(len(hidden), -1, -1)
        return torch.cat([hidden[:, :1], prompt, hidden[:, 1 + replaced :]], dim=1)


def vpt(model: Any, *, tokens: int = 10, deep: bool = False) -> list[nn.Parameter]:
    """Insert prompts before the first block, or before each."""
    model.requires_grad_(False)
    tower = model.vision_model
    first = Prompts(tower, tokens, deep=deep)
    tower.embeddings.register_forward_hook(lambda module, inputs, output: first.insert(output))
    prompts = [first]
    for block in tower.encoder.layers[1:] if deep else ():
        prompt = Prompts(tower, tokens, deep=deep)
        block.register_forward_pre_hook(
            lambda module, inputs, prompt=prompt: (prompt.insert(inputs[0], tokens), *inputs[1:])
        )
        prompts.append(prompt)
    return [prompt.prompt for prompt in prompts]


def whole_tower(model: Any) -> list[nn.Parameter]:
    """Train the vision tower and the projection."""
    model.requires_grad_(False)
    weights = [*model.vision_model.parameters(), *model.visual_projection.parameters()]
    for weight in weights:
        weight.requires_grad_(True)
    return weights


def last_blocks(model: Any, *, n: int = 1) -> list[nn.Parameter]:
    """Train the last `n` blocks, the layer norm after them and the projection."""
    model.requires_grad_(False)
    tower = model.vision_model
    trained = [*tower.encoder.layers[-n:], tower.post_layernorm, model.visual_projection]
    weights = [weight for module in trained for weight in module.parameters()]
    for weight in weights:
        weight.requires_grad_(True)
    return weights
