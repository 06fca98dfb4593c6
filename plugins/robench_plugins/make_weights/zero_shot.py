"""Zero-shot classification with a CLIP, and the normalisation of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import CLIPModel, CLIPTokenizer

from robench_plugins.models.class_prompts import TransformersWords, embed_classes
from robench_plugins.models.clip_network import CLIPNetwork


@dataclass(frozen=True)
class Normalization:
    """Channel means and standard deviations of pixels in ``[0, 1]``."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, images: torch.Tensor) -> Normalization:
        """Return those of uint8 images ``(N, 3, H, W)``, rounded to four decimals."""
        channels = images.transpose(0, 1).flatten(1).double() / 255
        mean, std = (tuple(round(value, 4) for value in row.tolist()) for row in (channels.mean(1), channels.std(1)))
        return cls(mean, std)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return normalised pixels, of ``float32 (N, 3, H, W)``."""
        return (pixels - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(-1, 1, 1)


@torch.no_grad()
def n_correct(
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    normalization: Normalization,
    prompts: Sequence[Sequence[str]],
    images: torch.Tensor,
    labels: torch.Tensor,
) -> int:
    """Return how many uint8 images ``(N, 3, H, W)`` the class prompts classify correctly."""
    names = [str(number) for number in range(len(prompts))]
    texts = embed_classes(model, TransformersWords(tokenizer, model), names, prompts, lambda message: None)
    network = CLIPNetwork(model, normalization.mean, normalization.std, texts).eval()
    parts = zip(images.split(250), labels.split(250), strict=True)
    return sum(int((network(part.float() / 255).argmax(dim=1) == classes).sum()) for part, classes in parts)
