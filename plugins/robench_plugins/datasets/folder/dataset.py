"""The dataset `folder`: its parameters, its classes and prompts, and its splits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, model_validator
from robench import DataError, Dataset, Field, ImageSet, Later, Params, SpecError, augment, gather_images

from robench_plugins.datasets.folder.dividing import divide
from robench_plugins.datasets.folder.index import index_of
from robench_plugins.datasets.folder.listing import list_folder
from robench_plugins.datasets.folder.manifest import list_manifest
from robench_plugins.datasets.readers.near_duplicates import BITS
from robench_plugins.datasets.readers.photographs import ReadsPhotographs, read_photograph, to_square
from robench_plugins.datasets.readers.texts import read_class_names, read_prompts

READ_AT_ONCE = 256
"""Photographs decoded before they are put into the array."""
LARGEST = 4096


def _whole(value: Any, word: str, first: int, last: int, what: str) -> Any:
    """Return `value` as a whole number from `first` to `last`, or as `word`."""
    text = str(value)
    if text == word:
        return word
    if text.isdecimal() and first <= int(text) <= last:
        return int(text)
    raise ValueError(f"expected {word}, or {what} from {first} to {last}")


def read_size(value: Any) -> Any:
    """Return a size in pixels, or ``native``."""
    return _whole(value, "native", 8, LARGEST, "a size in pixels")


def read_alike(value: Any) -> Any:
    """Return a number of bits, or ``off``."""
    return _whole(value, "off", 0, BITS - 1, "bits")


Size = Annotated[int | Literal["native"], BeforeValidator(read_size)]
Alike = Annotated[int | Literal["off"], BeforeValidator(read_alike)]


class FolderParams(Params):
    """Where the photographs are, what their classes are called, and how they are divided."""

    path: str = Field(
        default="", description="folder of class folders, or of train, validation and test folders of them"
    )
    size: Size = Field(
        default=224,
        description="pixels at which images are attacked: each is cropped to its central square and resized; native "
        "leaves images of one size as they are",
    )
    protocol: Literal["locked", "study", "test"] = Field(
        default="locked",
        description="locked: 80/10/10 unless it comes divided; test: all are test images; study: 90/10 and tested on "
        "the validation images",
    )
    split_seed: int = Field(default=0, ge=0, description="another seed divides the photographs otherwise")
    alike: Alike = Field(
        default="off",
        description=f"bits of {BITS} in which the hashes of near-duplicates may differ, which stay in one part, such "
        "as 76; or off",
    )
    balance: int = Field(
        default=0,
        ge=0,
        description="with protocol=study: augmented or dropped to this many a class before splitting, as the study did",
    )
    manifest: str = Later(
        "", description="CSV, TSV, JSON or JSON lines file with the columns file, label and split, in place of folders"
    )
    classes: str = Later("", description="file of class names: one a line, or JSON such as {FOLDER: NAME}")
    prompts: str = Later("", description="file of prompts: a template such as 'a photo of a {}.' a line, or JSON")

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if self.balance and self.protocol != "study":
            raise ValueError(
                f"balance={self.balance} before splitting leaks copies into the scored images, so it needs "
                "protocol=study; balance=... of a tuner balances training images alone"
            )
        return self


class Folder(ReadsPhotographs, Dataset):
    """Images in class folders, or in a table of files and labels, as photographs of one size.

    Whatever is left out is counted and named in the notes. Images that do not come divided are divided 80/10/10,
    stratified and seeded.
    """

    Params: ClassVar[type[FolderParams]] = FolderParams
    params: FolderParams
    called = "folder"
    """The name in messages."""

    def __init__(self, params: FolderParams | None = None) -> None:
        super().__init__(params)
        given = self.params
        if not (given.path or given.manifest):
            raise SpecError(f"{self.called} needs path=DIR, a folder of class folders, or manifest=FILE")
        manifest = Path(given.manifest).expanduser() if given.manifest else None
        self._root = Path(given.path).expanduser() if given.path or not manifest else manifest.parent
        listing = list_manifest(manifest, self._root) if manifest else list_folder(self._root, self.called)
        keys = in_order(set(listing.keys))
        if given.classes:
            names, notes = read_class_names(Path(given.classes).expanduser(), keys)
        else:
            names, notes = self.names(keys)
        self._index = index_of(self._root, listing, tuple(names.items()))
        self._divided = divide(
            self._index, given.protocol, given.split_seed, given.alike, given.balance, given.path or given.manifest
        )
        self._prompts, more = (
            read_prompts(Path(given.prompts).expanduser(), self._index.names)
            if given.prompts
            else (self.own_prompts(self._index.names), ())
        )
        self._notes = (*self._index.notes, *notes, *more, *self._sizes(), *self._divided.notes)

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """Return the files that parameters name, and the folder of a manifest, which its images are below."""
        found = dict(super().files(params))
        if "manifest" in found and "path" not in found:
            found["images"] = found["manifest"].parent
        return found

    def names(self, keys: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the class name of each of `keys`, what the data call the classes, in label order, and notes."""
        if all(re.fullmatch(r"n?\d+", key) for key in keys):
            return {key: key for key in keys}, (f"classes are called {keys[0]} and so on; classes=FILE names them",)
        return {key: key for key in keys}, ()

    def own_prompts(self, names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class if no file has them."""
        return tuple((f"a photo of a {re.sub('[_ ]+', ' ', name)}.",) for name in dict.fromkeys(names.values()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of their folders, or in that of a list of class names."""
        return self._index.class_names

    def at_hand(self) -> bool:
        """Return true: a folder is looked through at the start."""
        return True

    def size(self, name: str) -> int:
        """Return how many images a split has."""
        return len(self._divided.splits[name])

    def notes(self) -> tuple[str, ...]:
        """Return what was skipped, converted, kept together or leaked."""
        return self._notes

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of a file, or those of the class names."""
        return self._prompts

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        """Read the first `limit` photographs of a split.

        Raises:
            DataError: The split has fewer, or a file has become unreadable.
        """
        there = self.size(name)
        if not there:
            raise DataError(self._lacks(name))
        if limit is not None and limit > there:
            option = "--train-size" if name == "train" else "--test-size"
            raise DataError(
                f"{self.called} has {there:,} {name} images; {limit:,} were asked for ({option} all takes all)"
            )
        return self._read(self._divided.splits[name][:limit])

    def labels(self, name: str) -> NDArray[np.int64]:
        """Return all labels of a split, without reading a photograph."""
        labels: NDArray[np.int64] = self._index.labels[self._divided.photographs[self._divided.splits[name]]]
        return labels

    def take(self, name: str, positions: NDArray[np.int64]) -> ImageSet:
        """Read the photographs at `positions` of a split."""
        return self._read(self._divided.splits[name][positions])

    def _lacks(self, name: str) -> str:
        """Return a message on a split that has no images."""
        where = self.params.manifest or self.params.path
        if name == "train":
            return f"{where} has no training images, so only runs that train nothing, such as --tuner none, can use it"
        there = [split for split in ("test", "validation") if self.size(split)]
        hint = f"; --split {there[0]} scores its {there[0]} images" if there else ""
        return f"{where} has no {name} images{hint}"

    def _read(self, chosen: NDArray[np.int64]) -> ImageSet:
        photographs, copies = self._divided.photographs[chosen], self._divided.copies[chosen]
        images = gather_images(len(chosen), self._decoded(photographs))
        copied = np.flatnonzero(copies)
        if len(copied):
            # A copy's number and its photograph decide what it looks like, in whichever split it lands.
            seeds = photographs[copied] * 100_000 + copies[copied]
            images[copied] = augment(images[copied], seeds, "study-cnn")
        names = tuple(self._index.files[at].relative_to(self._root).as_posix() for at in photographs)
        return ImageSet(images=images, labels=self._index.labels[photographs], names=names)

    def _decoded(self, photographs: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(photographs), READ_AT_ONCE):
                places = np.arange(start, min(start + READ_AT_ONCE, len(photographs)))
                files = [self._index.files[photographs[place]] for place in places]
                yield places, np.stack(list(pool.map(self._pixels, files)))

    def _pixels(self, file: Path) -> NDArray[np.uint8]:
        image = read_photograph(file)
        if self.params.size == "native":
            return np.asarray(image).transpose(2, 0, 1)
        return to_square(image, self.params.size)

    def _sizes(self) -> tuple[str, ...]:
        """Return a note on photographs that are enlarged.

        Raises:
            DataError: Images should stay as they are, and differ in size.
        """
        sizes, size = self._index.sizes, self.params.size
        if size == "native":
            found, first, counts = np.unique(sizes, axis=0, return_index=True, return_counts=True)
            if len(found) > 1:
                common, rare = counts.argmax(), counts.argmin()
                odd = self._index.files[first[rare]]
                raise DataError(
                    f"size=native needs images of one size; {counts[common]:,} are {_by(found[common])}, but {odd} is "
                    f"{_by(found[rare])}; pass size=N, such as size=224"
                )
            return ()
        small = int((sizes.min(axis=1) < size).sum())
        return (f"{small} photographs enlarged: their shorter side is below {size} pixels",) if small else ()


def _by(size: NDArray[np.int64]) -> str:
    return f"{size[0]}x{size[1]}"


def in_order(keys: set[str]) -> tuple[str, ...]:
    """Return what the data call the classes by name, or by number if all are numbers."""
    return tuple(sorted(keys, key=lambda key: (int(key), key)) if all(map(str.isdecimal, keys)) else sorted(keys))
