"""Prompt-based classification with a CLIP model, and the normalisation of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer


@dataclass(frozen=True)
class Normalization:
    """Channel means and standard deviations of pixels in ``[0, 1]``."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: torch.Tensor) -> Normalization:
        """Measure uint8 images ``(N, 3, H, W)``, to four decimals."""
        channels = images.transpose(0, 1).flatten(1).double() / 255
        mean, std = (tuple(round(value, 4) for value in row.tolist()) for row in (channels.mean(1), channels.std(1)))
        return cls(mean, std)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise float32 pixels ``(N, 3, H, W)``."""
        return (pixels - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(-1, 1, 1)


def class_weights(model: CLIPModel, tokenizer: CLIPTokenizer, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
    """Return one unit vector a class, ``(C, D)``: the mean of its prompts' unit embeddings.

    Source: Radford et al. 2021, section 3.1.4 (prompt ensembling).
    """
    rows = []
    for texts in prompts:
        tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        features = functional.normalize(model.get_text_features(**tokens).pooler_output, dim=1)
        rows.append(functional.normalize(features.mean(dim=0), dim=0))
    return torch.stack(rows)


@torch.no_grad()
def n_correct(
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    normalization: Normalization,
    prompts: Sequence[Sequence[str]],
    images: torch.Tensor,
    labels: torch.Tensor,
) -> int:
    """Count the uint8 images ``(N, 3, H, W)`` that the class prompts classify correctly."""
    model.eval()
    weights = class_weights(model, tokenizer, prompts)
    correct = 0
    for start in range(0, len(images), 250):
        part = slice(start, start + 250)
        features = model.get_image_features(normalization(images[part].float() / 255)).pooler_output
        correct += int(((features @ weights.T).argmax(dim=1) == labels[part]).sum())
    return correct
