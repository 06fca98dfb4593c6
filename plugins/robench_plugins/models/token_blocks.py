"""How the blocks of vision transformers take their tokens, for towers that are not in transformers' layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from robench import Tokens
from torch import Tensor, nn


def tokens_of(tower: Any, blocks: nn.Module | None, run: Callable[[], Tensor]) -> Tokens | None:
    """Return how `blocks` of a tower of timm or open_clip take tokens; None if they take no more than there are.

    Whether they take more, which positions inside the blocks may prevent, only trying shows.

    Args:
        run: Lets the tower look at one image.
    """
    if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not len(blocks):
        return None
    patch = getattr(getattr(tower, "patch_embed", tower), "patch_size", None)
    if isinstance(getattr(tower, "num_prefix_tokens", None), int):  # of timm
        first, width, batch_first = tower.num_prefix_tokens, getattr(tower, "embed_dim", None), True
    elif hasattr(tower, "class_embedding") and hasattr(tower, "transformer"):  # of open_clip
        first, width = 1, tower.class_embedding.shape[-1]
        batch_first = bool(getattr(tower.transformer, "batch_first", False))
    else:
        return None
    size = patch[0] if isinstance(patch, tuple | list) else patch
    if not isinstance(width, int) or not isinstance(size, int):
        return None
    found = Tokens(width=width, first=first, patch_size=size, batch_first=batch_first)
    return found if _takes_one_more(blocks, found, run) else None


@torch.no_grad()
def _takes_one_more(blocks: Any, tokens: Tokens, run: Callable[[], Tensor]) -> bool:
    at, axis = tokens.first, 1 if tokens.batch_first else 0

    def put(block: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        before, after = given[0].tensor_split([at], dim=axis)
        if before.ndim != 3 or before.shape[2] != tokens.width:
            raise ValueError("no sequence of tokens")
        more = torch.zeros_like(given[0].narrow(axis, 0, 1))
        return torch.cat([before, more, after], dim=axis), *given[1:]

    def drop(block: nn.Module, given: object, output: Tensor) -> Tensor:
        before, _, after = output.tensor_split([at, at + 1], dim=axis)
        return torch.cat([before, after], dim=axis)

    hooks = [blocks[0].register_forward_pre_hook(put), blocks[-1].register_forward_hook(drop)]
    try:
        run()
    except (AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        for hook in hooks:
            hook.remove()
    return True
