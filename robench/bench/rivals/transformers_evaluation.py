"""Clean evaluation as a bare loop around transformers' CLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robench.bench.rivals.clip_logits import logits_of, pixels_of

if TYPE_CHECKING:
    from robench.bench.clips import Clip


@torch.inference_mode()
def predictions(clip: Clip, images: Tensor, batch: int) -> Tensor:
    """Return the predicted class of each of `images`, ``uint8 (N, 3, H, W)``, on the CPU: ``int64 (N,)``."""
    clip.model.eval()
    found = [logits_of(clip.model, clip, pixels_of(part, clip)).argmax(dim=1) for part in images.split(batch)]
    return torch.cat(found).cpu()
