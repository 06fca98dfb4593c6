"""Which files a folder holds: their classes and parts, and what is left out."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from robench import DataError

from robench_plugins.datasets.readers.folders import SYSTEM, contents, files_below, is_hidden, note

PARTS = {
    "train": ("train", "training", "trn"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "tst"),
}
"""What folders of a dataset that comes split may be called."""
_AROUND = "data|dataset|images|imgs|photos|set|split"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of a data set before any is opened.

    Attributes:
        files: All of them.
        keys: For each what the data call its class.
        parts: For each ``train``, ``validation`` or ``test``; empty where nothing is said.
        notes: What is left out.
        loose: Whether classes may be missing in a part, because a table says so.
    """

    files: tuple[Path, ...]
    keys: tuple[str, ...]
    parts: tuple[str, ...]
    notes: tuple[str, ...]
    loose: bool = False


def list_folder(root: Path, name: str) -> Listing:
    """Return the files of class folders, or of ``train``, ``validation`` and ``test`` folders of them.

    Args:
        name: Of the data set, for messages.

    Raises:
        DataError: There is no such folder, there are no classes or only one, or a class or its meaning is unclear.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; pass --dataset {name}:path=DIR")
    return _Found(root).listing()


class _Found:
    """What is found in a folder, by part and class."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listed: list[tuple[str, str, list[Path]]] = []
        self.hidden: list[Path] = []
        self.beside: list[Path] = []
        self.folders: list[Path] = []
        for part, folder in self._parts():
            self._look_at(part, folder)

    def listing(self) -> Listing:
        hidden = [path for path in self.hidden if not _of_the_system(path)]
        tables = [path for path in self.beside if _is_table(path)]
        notes = (
            *(f"{path.name} is not read; manifest={path} reads it in place of the folders" for path in tables),
            *note("files outside of class folders left out", [p for p in self.beside if p not in tables], self.root),
            *(f"folder {path.name} left out: it is no part that robench knows" for path in self.folders),
            *note("hidden files left out", hidden, self.root),
        )
        each = [(part, key, file) for part, key, files in self.listed for file in files]
        each = self._divided_within(each)
        return Listing(
            files=tuple(file for _, _, file in each),
            keys=tuple(key for _, key, _ in each),
            parts=tuple(part for part, _, _ in each),
            notes=notes,
        )

    def _parts(self) -> list[tuple[str, Path]]:
        """Return the folders that hold class folders, each with its part: train, validation, test, or empty."""
        folders, beside, hidden = contents(self.root)
        parts: dict[str, Path] = {}
        for path in folders:
            part = part_named(path.name)
            if part and any(inner.is_dir() and not is_hidden(inner) for inner in path.iterdir()):
                if part in parts:
                    raise DataError(f"{parts[part]} and {path} are both the {part} images; put them in one folder")
                parts[part] = path
        if not parts:
            return [("", self.root)]
        self.folders = [path for path in folders if path not in parts.values()]
        if self.folders and list(parts) in (["test"], ["validation"]):
            (only,) = parts.values()
            raise DataError(
                f"{only} is beside {self.folders[0].name} and may be a part or a class; pass "
                f"path={only},protocol=test, or give it another name"
            )
        self.hidden += hidden
        self.beside += beside
        return [(part, parts[part]) for part in PARTS if part in parts]

    def _look_at(self, part: str, folder: Path) -> None:
        folders, beside, hidden = contents(folder)
        self.hidden += hidden
        self.beside += beside
        if len(folders) < 2:
            what = f"only the class {folders[0].name}" if folders else "no class folders"
            inner = [path for path in folders[0].iterdir() if path.is_dir()] if folders else []
            hint = f"; did you mean path={folders[0]}?" if len(inner) > 1 else ""
            if tables := [path for path in beside if _is_table(path)]:
                hint = f"; to read {tables[0].name} pass manifest={tables[0]}"
            raise DataError(
                f"{folder} holds {what}; expected a folder of photographs for each of two or more classes{hint}"
            )
        for path in folders:
            files, unseen = files_below(path)
            self.hidden += unseen
            if not files:
                raise DataError(f"{path} holds no images; expected files such as *.jpg, or no such folder")
            self.listed.append((part, unicodedata.normalize("NFC", path.name), files))

    def _divided_within(self, each: list[tuple[str, str, Path]]) -> list[tuple[str, str, Path]]:
        """Read ``CLASS/train/...`` as ``train/CLASS/...`` if every file is in such a folder."""
        if any(part for part, _, _ in each):
            return each
        inside = [file.relative_to(self.root).parts[1:-1] for _, _, file in each]
        named = [part_named(folders[0]) if folders else None for folders in inside]
        if None in named:
            return each
        return [(part or "", key, file) for part, (_, key, file) in zip(named, each, strict=True)]


def part_named(folder: str) -> str | None:
    """Return the part that a folder such as ``Test`` or ``training_set`` is called after, or None."""
    name = re.sub(r"[^a-z]", "", folder.lower())
    bare = re.sub(rf"({_AROUND})$", "", name)
    behind = re.sub(rf"^({_AROUND})", "", name)
    return next((part for part, names in PARTS.items() if {name, bare, behind} & set(names)), None)


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv", ".jsonl") or path.name in ("labels.json", "manifest.json")


def _of_the_system(path: Path) -> bool:
    """Return whether a file is of the operating system's own, which nobody misses."""
    return path.name == ".DS_Store" or path.name.startswith("._") or path.name.lower() in SYSTEM
