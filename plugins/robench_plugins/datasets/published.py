"""What all readers of published sets share: parts become splits, files arrays, templates prompts."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import model_validator
from robench import DataError, Dataset, Field, ImageSet, Later, Params, gather_images

from robench_plugins.datasets.readers.halves import Half, HalfSource, halved
from robench_plugins.datasets.readers.photographs import ReadsPhotographs, decoded, to_rgb, to_square
from robench_plugins.datasets.readers.texts import read_lines, read_prompts

VALIDATION_SHARE = 10
"""One training image in ten is locked away for validation where a set has no validation images."""
SPLIT_SEED = 0
BATCH = 256
"""Images decoded at a time."""


class Source(Protocol):
    """One form on disk: which parts there are, their labels, and their images as files.

    Attributes:
        notes: What was left out or decided.
        parts: Which of ``train``, ``validation``, ``test`` there are.
        class_names: Those that the files give, or None.
        templates: Prompt templates that the files give, with ``{c}`` or ``{}`` for the class; empty without any.
    """

    notes: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class names that the files give, or None."""

    @property
    def templates(self) -> tuple[str, ...]:
        """The prompt templates that the files give."""

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``."""

    def images(self, part: str, positions: NDArray[np.int64]) -> Iterator[tuple[str, bytes | Image.Image]]:
        """Yield what errors call it, and the file or image, for each of `positions`, which ascend."""


class PublishedParams(Params):
    """How the images of any published set are brought to one size, and what its classes are called."""

    size: Literal["native"] | Annotated[int, Field(ge=16, le=1024)] = Field(
        default="native",
        description="pixels at which images are attacked: each is cropped to its central square and resized; native "
        "leaves images of one size as they are",
    )
    classes: str = Field(default="", description="file with the class names, one a line, in the order of the labels")
    prompts: str = Later("", description="file of prompts: a template such as 'a photo of a {}.' a line, or JSON")
    half: Half = Later(
        "all",
        description="base: only the first half of the classes, in the order of the labels and with the middle one; "
        "new: only the others",
    )
    template: str = Later(
        "",
        description="one prompt with {} for the class name in place of those of the set; first: the first of the set's",
    )

    @model_validator(mode="after")
    def _place_for_the_name(self) -> Self:
        if self.template not in ("", "first") and "{}" not in self.template:
            raise ValueError(
                f"template {self.template!r} has no {{}} for the class name; expected one such as 'a photo of a {{}}.'"
            )
        if self.template and self.prompts:
            raise ValueError(f"template={self.template} and prompts={self.prompts} are both given; expected one")
        return self


class Published(ReadsPhotographs, Dataset):
    """A set that others published, in the parts they published.

    Where there are no validation images, one training image in ten is drawn for them, the same in every run. Every
    split is shuffled once, so that its first n images are a fair sample.
    """

    Params: ClassVar[type[Params]] = PublishedParams
    params: PublishedParams

    @classmethod
    def files(cls, params: PublishedParams) -> Mapping[str, Path]:
        """Return the folder and the files of classes and prompts; a name may be that of another folder by chance."""
        return {name: path for name, path in super().files(params).items() if name in ("path", "classes", "prompts")}

    @abstractmethod
    def open(self) -> Source:
        """Return the files.

        Raises:
            DataError: There are none, or some are missing.
        """

    @cached_property
    def whole(self) -> Source:
        """The files, opened once."""
        return self.open()

    @cached_property
    def source(self) -> Source:
        """The files, of the chosen half of the classes."""
        half = self.params.half
        return self.whole if half == "all" else HalfSource(self.whole, halved(len(self.all_class_names), half))

    @property
    def called(self) -> str:
        """What messages call the set."""
        return "the set"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the chosen half."""
        names = self.all_class_names
        return names if self.params.half == "all" else names[halved(len(names), self.params.half)]

    @cached_property
    def all_class_names(self) -> tuple[str, ...]:
        """All classes: those of ``classes=FILE``, else those that the files give."""
        if self.params.classes:
            return distinct_lines(Path(self.params.classes).expanduser(), "class name")
        if (names := self.whole.class_names) is None:
            raise DataError(f"{self.called} does not name its classes; pass classes=FILE with one name a line")
        return names

    def check_files(self) -> None:
        """Check that the files are there, all of them, and that their classes have names."""
        if not self.class_names or not self.source.parts:
            raise DataError(f"{self.called} holds no images")
        _ = self._given_prompts

    @cached_property
    def _given_prompts(self) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
        """The prompts in a file of the user, and notes on those that are not used; empty without a file."""
        if not self.params.prompts:
            return (), ()
        return read_prompts(Path(self.params.prompts).expanduser(), {name: name for name in self.class_names})

    def notes(self) -> tuple[str, ...]:
        """Return what was left out, and at which size images were read."""
        return (*self.source.notes, *self._given_prompts[1])

    def size(self, name: str) -> int:
        """Return how many images a split has."""
        return len(self._positions(name)[1])

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Read a split, decoding only the images asked for; a large one is mapped to disk.

        Raises:
            DataError: Files are missing or damaged, sizes differ, or the split has too few images.
        """
        part, positions = self._positions(name)
        if limit is not None and limit > len(positions):
            raise DataError(f"{self.called} has {len(positions):,} {name} images; {limit:,} were asked for")
        return self._read(part, positions[:limit])

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split, ``int64 (N,)``, without loading images."""
        part, positions = self._positions(name)
        return self.source.labels(part)[positions]

    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Return the images at `positions` of a split, without loading others."""
        part, there = self._positions(name)
        return self._read(part, there[positions])

    def at_hand(self) -> bool:
        """Return whether the files lie in a folder; a set of the Hub is not opened before a run needs it."""
        return bool(getattr(self.params, "path", ""))

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of ``prompts=FILE``, else the templates that the files give; else "a photo of a NAME."."""
        given = fill(self.chosen(self.source.templates), self.class_names)
        return self._given_prompts[0] or given or super().prompts()

    def chosen(self, templates: tuple[str, ...]) -> tuple[str, ...]:
        """Return the prompt templates that the parameters choose, given those of the set."""
        if self.params.template == "first":
            return templates[:1]
        return (self.params.template,) if self.params.template else templates

    def _read(self, part: str, chosen: NDArray[np.int64]) -> ImageSet:
        images = gather_images(len(chosen), self._decoded(part, chosen))
        return ImageSet(images=images, labels=self.source.labels(part)[chosen])

    def _positions(self, name: str) -> tuple[str, NDArray[np.int64]]:
        parts = self.source.parts
        part = "train" if name == "validation" and "validation" not in parts else name
        if part not in parts:
            raise DataError(f"{self.called} has no {name} images; it has {', '.join(parts) or 'none at all'}")
        n = len(self.source.labels(part))
        # RandomState's streams are frozen for good, so these orders are too.
        order = np.random.RandomState(SPLIT_SEED).permutation(n)
        if part == "train" and "validation" not in parts:
            held_out = n // VALIDATION_SHARE
            order = order[:held_out] if name == "validation" else order[held_out:]
        return part, order

    def _decoded(
        self, part: str, positions: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        order, start = np.argsort(positions, kind="stable"), 0
        encoded = iter(self.source.images(part, positions[order]))
        first: tuple[int, ...] = ()
        with ThreadPoolExecutor() as pool:  # of which PIL lets several decode at once
            while batch := [*islice(encoded, BATCH)]:
                images = [*pool.map(self._pixels, batch)]
                first = first or images[0].shape
                for (name, _), pixels in zip(batch, images, strict=True):
                    if pixels.shape != first:
                        raise DataError(
                            f"{self.called} has images of different sizes, such as {first[1:]} and "
                            f"{pixels.shape[1:]} ({name}); pass size=224 or another number of pixels"
                        )
                yield order[start : start + BATCH], np.stack(images)
                start += BATCH

    def _pixels(self, named: tuple[str, bytes | Image.Image]) -> NDArray[np.uint8]:
        name, content = named
        try:
            image = decoded(io.BytesIO(content))[0] if isinstance(content, bytes) else to_rgb(content)
        except Exception as error:  # a damaged file leads PIL's readers to any of them, SyntaxError included
            raise DataError(f"{name} is damaged: {error}") from error
        if self.params.size != "native":
            return to_square(image, self.params.size)
        return np.asarray(image).transpose(2, 0, 1)


def fill(templates: tuple[str, ...], names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the prompts of each class; none without templates."""
    if not templates:
        return ()
    return tuple(tuple(each.replace("{c}", name).replace("{}", name) for each in templates) for name in names)


def distinct_lines(path: Path, what: str) -> tuple[str, ...]:
    """Return the lines of a text file, each a `what`; a blank line at the end is none.

    Raises:
        DataError: The file is missing, no text, or has an empty line or a name twice.
    """
    lines = read_lines(path, f"one {what} a line")
    if not lines or "" in lines:
        raise DataError(f"{path} has an empty line; expected one {what} a line")
    if twice := next((line for line in lines if lines.count(line) > 1), None):
        raise DataError(f"{path} has the {what} {twice!r} twice; each class needs its own")
    return lines


def numbered_names(names: Any) -> tuple[str, ...]:
    """Return class names, with the number of the class where a set calls two classes alike, as ImageNet does."""
    names = tuple(str(name) for name in names)
    return tuple(f"{name} ({at})" if names.count(name) > 1 else name for at, name in enumerate(names))
