"""Read sets by the classes of torchvision.datasets, from the folder that torchvision itself fills."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from robench import DataError

SPLITS = {"train": ("train", "trainval"), "validation": ("val", "valid"), "test": ("test",)}


class TorchvisionSource:
    """One class of torchvision, with ``download=False``."""

    templates: tuple[str, ...] = ()

    def __init__(self, name: str, root: Path) -> None:
        self._sets = dict(_opened(name, root))
        self.parts = tuple(self._sets)
        whole = f"{name} publishes no splits; all of its images are test images"
        self.notes: tuple[str, ...] = () if len(self.parts) > 1 else (whole,)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names that torchvision gives, or None."""
        first = next(iter(self._sets.values()))
        names = getattr(first, "classes", None) or getattr(first, "categories", None)
        if not isinstance(names, list | tuple):
            return None
        return tuple(" ".join(name) if isinstance(name, tuple) else str(name) for name in names)

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``."""
        data = self._sets[part]
        for attribute in ("targets", "labels", "_labels", "y"):
            found = getattr(data, attribute, None)
            if found is not None and len(found) == len(data) and np.asarray(found).dtype.kind in "iu":
                return np.asarray(found, np.int64)
        return np.array([int(data[at][1]) for at in range(len(data))], np.int64)

    def images(self, part: str, positions: NDArray[np.int64]) -> Iterator[tuple[str, Image.Image]]:
        """Yield the images at `positions`."""
        for position in positions:
            try:
                image = self._sets[part][int(position)][0]
            except Exception as error:  # a damaged file leads PIL's readers to any of them
                raise DataError(f"{part} image {position} is damaged: {error}") from error
            yield f"{part} image {position}", image


def _opened(name: str, root: Path) -> Iterator[tuple[str, Any]]:
    from torchvision import datasets

    kinds = {each.lower(): each for each in datasets.__all__}
    if (exact := kinds.get(name.lower())) is None:
        close = get_close_matches(name, datasets.__all__, n=1) or ["Flowers102"]
        raise DataError(f"torchvision has no set {name!r}; did you mean {close[0]!r}?")
    make = getattr(datasets, exact)
    known = inspect.signature(make.__init__).parameters
    errors = []
    found = False
    for part, splits in SPLITS.items():
        if "split" in known:
            choices: list[dict[str, Any]] = [{"split": split} for split in splits]
        elif "train" in known:
            choices = [] if part == "validation" else [{"train": part == "train"}]
        else:
            choices = [{}] if part == "test" else []
        for choice in choices:
            try:
                made = make(str(root), **choice, **({"download": False} if "download" in known else {}))
            except Exception as error:  # of missing or damaged files its classes raise any of them
                errors.append(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                continue
            found = True
            yield part, made
            break
    if not found:
        told = next((each for each in errors if "Unknown value" not in each), errors[0])
        raise DataError(f"{root} holds no {exact} as torchvision lays it out ({told}); pass path=DIR")
