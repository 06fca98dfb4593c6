"""The dataset of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Source:
    """Captioned images, class prompts, and validation images.

    Attributes:
        images: uint8 ``(N, 3, H, W)`` in ``[0, 255]``, square, ``H`` a multiple of 8.
        labels: int64 ``(N,)``.
        captions: The texts that describe each image, of which every step uses one. Equal texts are the same caption.
        class_prompts: The prompts of each class; their mean embedding is the class's zero-shot weight.
        validation_images: uint8 ``(M, 3, H, W)``, never trained on.
        validation_labels: int64 ``(M,)``.
    """

    images: torch.Tensor
    labels: torch.Tensor
    captions: tuple[tuple[str, ...], ...]
    class_prompts: tuple[tuple[str, ...], ...]
    validation_images: torch.Tensor
    validation_labels: torch.Tensor

    def __post_init__(self) -> None:
        n, channels, height, width = self.images.shape
        if channels != 3 or height != width or height % 8:
            shape = tuple(self.images.shape)
            raise ValueError(f"images must be (N, 3, H, H) with H a multiple of 8 (got {shape})")
        if len(self.labels) != n or len(self.captions) != n:
            raise ValueError(
                f"{n} images need as many labels (got {len(self.labels)}) and captions (got {len(self.captions)})"
            )
