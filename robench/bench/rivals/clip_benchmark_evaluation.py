"""Clean evaluation as CLIP_benchmark does it: PIL images, preprocessed one by one in the workers of a loader.

Source: LAION-AI/CLIP_benchmark, metrics/zeroshot_classification.py, without autocast and without the progress bar; the
preprocessing is open_clip's for evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

if TYPE_CHECKING:
    from robench.bench.clips import Clip

BATCH = 64
"""The default of CLIP_benchmark."""


class Pictures(Dataset[tuple[Tensor, int]]):
    """PIL images in memory, with labels."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64], transform: Any) -> None:
        self.pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
        self.labels, self.transform = labels, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), int(self.labels[index])


def loader(clip: Clip, images: NDArray[np.uint8], labels: NDArray[np.int64], workers: int) -> DataLoader[Any]:
    """Return the loader; making it is not timed."""
    steps = [
        transforms.Resize(clip.image_size, transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(clip.image_size),
        lambda picture: picture.convert("RGB"),
        transforms.ToTensor(),
        transforms.Normalize(clip.mean.flatten().tolist(), clip.std.flatten().tolist()),
    ]
    return DataLoader(Pictures(images, labels, transforms.Compose(steps)), batch_size=BATCH, num_workers=workers)


def predictions(clip: Clip, pictures: DataLoader[Any]) -> Tensor:
    """Return the predicted class of each image, ``int64 (N,)``."""
    device, classifier = clip.text.device, clip.text.T
    clip.model.eval()
    found = []
    with torch.no_grad():
        for images, _ in pictures:
            features = clip.model.get_image_features(pixel_values=images.to(device)).pooler_output
            logits = 100.0 * F.normalize(features, dim=-1) @ classifier
            found.append(logits.float().cpu().argmax(dim=1))
    return torch.cat(found)
