"""Images with labels: 8-bit, at the dataset's native resolution."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
    """Images with labels, in a fixed order. The first n images are a fair sample for every n.

    Attributes:
        images: ``uint8 (N, 3, H, W)``, an array or a memory map.
        labels: ``int64 (N,)`` in ``[0, n_classes)``.
        names: What each image is called, such as its file; empty if images have no names. It decides nothing.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("images", "labels"):
            if not isinstance(array := getattr(self, name), np.ndarray):
                raise DataError(f"{name} of an ImageSet must be a numpy array (got {type(array).__name__})")
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise DataError(f"images must be uint8 of shape (N, 3, H, W) (got {self.images.dtype} {self.images.shape})")
        if self.labels.shape != (len(self.images),):
            raise DataError(
                f"{len(self.images)} images need labels of shape ({len(self.images)},) (got {self.labels.shape})"
            )
        if self.names and len(self.names) != len(self.images):
            raise DataError(f"{len(self.images)} images need as many names, or none (got {len(self.names)})")

    def __len__(self) -> int:
        return len(self.images)

    def first(self, n: int) -> ImageSet:
        """Return the first `n` images."""
        return ImageSet(images=self.images[:n], labels=self.labels[:n], names=self.names[:n])

    def only(self, places: NDArray[np.int64]) -> ImageSet:
        """Return the images at `places`, ``int64 (m,)``, in that order and without their names."""
        return ImageSet(images=self.images[places], labels=self.labels[places])

    def check_labels(self, n_classes: int) -> None:
        """Check that all labels are in ``[0, n_classes)``.

        Raises:
            DataError: A label is outside; the message names the first one and its position.
        """
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= n_classes))
        if len(wrong):
            at = int(wrong[0])
            raise DataError(
                f"image {at} has label {self.labels[at]}; labels must be within 0 and {n_classes - 1} "
                f"({len(wrong)} of {len(self)} labels are outside)"
            )

    def fingerprint(self) -> str:
        """Return the first 16 hex digits of the SHA-256 of shape, pixels and labels."""
        digest = hashlib.sha256(str(self.images.shape).encode())
        for (part,) in parts_of(self.images):
            digest.update(np.ascontiguousarray(part).data)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return digest.hexdigest()[:16]


def repeated(images: ImageSet, among: ImageSet) -> NDArray[np.int64]:
    """Return the positions of `images` whose pixels are also an image of `among`, ``int64 (k, 2)``: here and there."""
    there: dict[bytes, int] = {}
    for position, digest in enumerate(_digests(among)):
        there.setdefault(digest, position)
    pairs = [(here, there[digest]) for here, digest in enumerate(_digests(images)) if digest in there]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _digests(data: ImageSet) -> Iterator[bytes]:
    shape = str(data.images.shape[1:]).encode()
    for (part,) in parts_of(data.images):
        for image in part:
            yield hashlib.sha256(shape + image.tobytes()).digest()


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return a copy of `array` on `device`, without waiting for work that a GPU is doing."""
    import torch

    # Only from page-locked memory does a GPU copy without waiting; torch keeps a pool of it.
    pinned = device.type == "cuda"
    copy = torch.empty(array.shape, dtype=getattr(torch, array.dtype.name), pin_memory=pinned)
    np.copyto(copy.numpy(), array)
    return copy.to(device, non_blocking=True)


def to_pixels(images: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Return ``uint8`` images as pixels ``float32`` in ``[0, 1]`` on `device`."""
    return to_device(images, device).float().div_(255)


def to_levels(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels in ``[0, 1]``, rounded to ``uint8``, on their device: the inverse of :func:`to_pixels`."""
    return (pixels * 255).round().byte()


def to_bytes(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """Return :func:`to_levels` of `pixels` as an array on the CPU."""
    images: NDArray[np.uint8] = to_levels(pixels).cpu().numpy()
    return images
