"""The interface of a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robench.contracts import returned
from robench.contracts.configured import Configured
from robench.errors import DataError
from robench.images.image_set import ImageSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SplitName = Literal["train", "validation", "test"]


def _split(found: Any, call: Mapping[str, Any]) -> str:
    limit = call.get("limit")
    right = isinstance(found, ImageSet) and limit in (None, len(found))
    return "" if right else "a robench.ImageSet" + ("" if limit is None else f" of {limit} images")


class Dataset(Configured, ABC):
    """Labelled images at their native resolution, in three disjoint splits.

    ``validation`` is taken from the training data; settings are chosen on it, never on ``test``.
    """

    @property
    @abstractmethod
    @returned.returns(returned.texts)
    def class_names(self) -> tuple[str, ...]:
        """The classes; a label is an index into them."""

    @abstractmethod
    @returned.returns(_split)
    def split(self, name: SplitName, limit: int | None = None) -> ImageSet:
        """Load a split, or its first `limit` images, in a fixed order. The first n are a fair sample for every n.

        Raises:
            DataError: Files are missing or damaged, or the split has fewer than `limit` images.
        """

    @returned.returns(returned.count)
    def size(self, name: SplitName) -> int:
        """Return the number of images of a split. Override it if that is known without loading them."""
        return len(self.split(name))

    @returned.returns(returned.labels)
    def labels(self, name: SplitName) -> NDArray[np.int64]:
        """Return all labels of a split, ``int64 (N,)``. Override it if they are known without loading the images."""
        return self.split(name).labels

    @returned.returns(returned.instance(ImageSet, "a robench.ImageSet"))
    def take(self, name: SplitName, positions: NDArray[np.int64]) -> ImageSet:
        """Return the images at `positions` of a split. Override it if they can be loaded without the others."""
        whole = self.split(name)
        return ImageSet(images=whole.images[positions], labels=whole.labels[positions])

    def read_image(self, file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return an image that is not of this dataset as an image of it would be read, ``uint8 (3, H, W)``.

        ``robench predict`` calls it. By default the image is turned upright, converted to RGB, cropped to the largest
        central part of the shape of `size`, and resized. Override it if the dataset reads its own files otherwise. It
        is called by several threads.

        Args:
            size: Height and width of the images that the network was scored on.

        Raises:
            DataError: The file is no image, is damaged, or cannot be an image of this dataset.
        """
        import numpy as np
        from PIL import Image, ImageOps

        try:
            with Image.open(file) as opened:
                if opened.mode[0] in "IF":
                    raise ValueError(f"its pixels have the mode {opened.mode}; expected 8 bits a channel")
                upright = ImageOps.exif_transpose(opened).convert("RGB")
        except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
            raise DataError(f"{file} cannot be read as an image: {error}") from error
        fitted = ImageOps.fit(upright, size[::-1], Image.Resampling.LANCZOS)
        return np.asarray(fitted).transpose(2, 0, 1)

    def at_hand(self) -> bool:
        """Return whether classes, prompts, notes and sizes are known at once: nothing is downloaded, no image loaded.

        Then a dry run shows them, and a run that needs more images is refused at its start. By default they are not.
        """
        return False

    @returned.returns(returned.texts)
    def notes(self) -> tuple[str, ...]:
        """Return notes on the files for users and the record, such as how many were skipped."""
        return ()

    @returned.returns(returned.groups)
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class; an image-text model uses the mean of their embeddings."""
        return tuple((f"a photo of a {name.replace('_', ' ')}.",) for name in self.class_names)

    def require_classes(self, named: Sequence[str], file: Path) -> None:
        """Check that the classes that `file` was trained on are those of this dataset, in the same order.

        Raises:
            DataError: They are others, or in another order; the message names the first that differs.
        """
        here = self.class_names
        if tuple(named) == here:
            return
        if sorted(named) == sorted(here):
            raise DataError(f"{file} has the classes of the dataset in another order: {', '.join(named)}"[:300])
        pairs = zip(named, here, strict=False)
        first = next(((a, b) for a, b in pairs if a != b), (f"{len(named)} classes", f"{len(here)}"))
        raise DataError(f"{file} was trained on other classes: {first[0]!r} where the dataset has {first[1]!r}"[:300])
