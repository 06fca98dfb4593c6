"""Images and labels as they cross every interface: 8-bit, native resolution, labels within the classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError
from robench.images.memory_mapped import parts_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images with labels, in a fixed order whose every prefix is a fair sample.

    Attributes:
        images: ``uint8 (N, 3, H, W)``, an array or a memory map.
        labels: ``int64 (N,)`` in ``[0, n_classes)``.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(f"images must be uint8 of shape (N, 3, H, W) (got {self.images.dtype} {self.images.shape})")
        if self.labels.shape != (len(self.images),):
            raise DataError(f"{len(self.images)} images came with labels of shape {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int) -> ImageSet:
        """Return the first `n` images."""
        return ImageSet(images=self.images[:n], labels=self.labels[:n])

    def check_labels(self, n_classes: int) -> None:
        """Refuse labels outside the classes.

        Raises:
            DataError: Names the first such label and where it is.
        """
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= n_classes))
        if len(wrong):
            at = int(wrong[0])
            raise DataError(
                f"image {at} has label {self.labels[at]}; labels must be within 0 and {n_classes - 1} "
                f"({len(wrong)} of {len(self)} labels are outside)"
            )

    def fingerprint(self) -> str:
        """Return the SHA-256 (first 16 hex digits) of shape, pixels and labels."""
        digest = hashlib.sha256(str(self.images.shape).encode())
        for (part,) in parts_of(self.images):
            digest.update(np.ascontiguousarray(part).data)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return digest.hexdigest()[:16]


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return a copy of `array` on `device`; the copying does not wait for what a GPU is doing."""
    import torch

    # Straight into page-locked memory, of which torch keeps a pool; and memory maps are read-only.
    there = device.type == "cuda"
    copy = torch.empty(array.shape, dtype=getattr(torch, array.dtype.name), pin_memory=there)
    np.copyto(copy.numpy(), array)
    return copy.to(device, non_blocking=True)


def to_pixels(images: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Move ``uint8`` images to `device` and scale them to ``float32`` in ``[0, 1]`` there."""
    return to_device(images, device).float().div_(255)


def to_levels(pixels: torch.Tensor) -> torch.Tensor:
    """Return the ``uint8`` images that :func:`to_pixels` made `pixels` of, where they are."""
    return (pixels * 255).round().byte()


def to_bytes(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """Return the same as an array."""
    images: NDArray[np.uint8] = to_levels(pixels).cpu().numpy()
    return images
