"""The sets that the field scores on, by name: CIFAR-100, ImageNet and others, in whichever form they lie on disk.

``named.json`` has the facts of each: class names in the order of the labels, prompt templates, where it is had, how
many images it has, its licence, and the source of the names.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator
from robench import DataError, Field

from robench_plugins.datasets.catalogue import facts
from robench_plugins.datasets.published import Published, PublishedParams, Source, fill, numbered_names
from robench_plugins.datasets.readers.hub_cache import commit_of, snapshot
from robench_plugins.datasets.readers.hub_folder import HubSource
from robench_plugins.datasets.readers.named_folders import NamedFolderSource, folded
from robench_plugins.datasets.readers.tar_shards import TarSource
from robench_plugins.datasets.readers.torchvision_sets import TorchvisionSource


class NamedParams(PublishedParams):
    """Which set, and where its files are."""

    set: str = Field(description="its name in robench")
    path: str = Field(
        default="",
        description="folder with webdataset shards, parquet, torchvision's layout or class folders; by default the "
        "set is had from the Hub",
    )
    revision: str = Field(default="main", description="branch, tag or commit on the Hub; kept as the commit")

    @model_validator(mode="after")
    def _commit(self) -> Self:
        if not self.path and (repository := facts()[self.set]["hub"]):
            # Not a value that was set: labels stay short, and records have it.
            object.__setattr__(self, "revision", commit_of(repository, self.revision))
        return self


class Named(Published):
    """A set that papers score on, with the class names and prompt templates that the field uses for it."""

    Params = NamedParams
    params: NamedParams

    @property
    def called(self) -> str:
        """What messages call the set."""
        return self.params.set

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the set."""
        return facts()[self.params.set]

    @cached_property
    def all_class_names(self) -> tuple[str, ...]:
        """The field's names, in the order of the labels of the files."""
        if self.params.classes or not self._here:
            return super().all_class_names if self.params.classes else numbered_names(self.facts["classes"])
        known, given = self.facts["classes"], self.whole.class_names
        if isinstance(self.whole, TarSource) and given and abs(len(given) - len(known)) <= 1:  # with a background
            return numbered_names(given)  # its order is that of its labels, which may be others than torchvision's
        if given is None or len(given) == len(known):
            return numbered_names(self._in_order(given) if given else known)
        if isinstance(self.whole, TorchvisionSource) and len(given) in (len(known) - 1, len(known) - 2):
            return numbered_names(given)  # Caltech-101 without its background
        raise DataError(f"{self.called} has {len(known)} classes; {self.params.path} has {len(given)}")

    def _in_order(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """Return the field's names in the order of the files, or the files' own names if these cannot be matched."""
        known = tuple(self.facts["classes"])
        keys = {folded(name): name for name in known}
        keys.update(zip(map(folded, self.facts.get("synsets", ())), known, strict=False))
        matched = [keys.get(folded(name)) for name in given]
        if None not in matched:
            return tuple(name for name in matched if name)
        if any(found not in (None, here) for found, here in zip(matched, known, strict=True)):
            return given  # the files have another order
        return known

    @property
    def _here(self) -> bool:
        return bool(self.params.path)

    def check_files(self) -> None:
        """Check a folder; a set of the Hub is looked at only if it cannot be fetched."""
        if self.params.path:
            super().check_files()
            return
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE or not self.facts["hub"]:
            self._snapshot(fetch=False)

    def notes(self) -> tuple[str, ...]:
        """Return which revision was read, and what was left out."""
        told = () if self.params.path else (f"{self.facts['hub']} at revision {self.params.revision}",)
        return (*told, *super().notes())

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of ``prompts=FILE``, else the templates of the files or, without any, of the field."""
        given = self.source.templates if self._here else ()
        names = tuple(re.sub(r" \(\d+\)$", "", name) for name in self.class_names)  # of numbered_names
        return self._given_prompts[0] or fill(self.chosen(given or tuple(self.facts["templates"])), names)

    def open(self) -> Source:
        """Return the files in the form in which they lie in the folder or come from the Hub."""
        known = self.facts
        root = Path(self.params.path).expanduser() if self.params.path else self._snapshot(fetch=True)
        if not root.is_dir():
            raise DataError(f"no folder {self.params.path}; pass --dataset {self.called}:path=DIR")
        keys = known.get("synsets") or known["classes"]
        if TarSource.is_at(root):
            return TarSource(root)
        if next(root.rglob("*.parquet"), None):
            return HubSource(root.absolute(), n_classes=len(known["classes"]))
        if NamedFolderSource.is_at(root, keys):
            return NamedFolderSource(root, keys, numbered_names(known["classes"]))
        if known["torchvision"]:
            return TorchvisionSource(known["torchvision"], root)
        raise DataError(
            f"{root} holds no {known['title']}: expected webdataset shards (test/0.tar), parquet, or class folders "
            f"such as {keys[0]}"
        )

    def _snapshot(self, *, fetch: bool) -> Path:
        typed = f"--dataset {self.called}:path=DIR"
        if not self.facts["hub"]:
            where = self.facts["site"]
            raise DataError(f"{self.facts['title']} is not on the Hub; get it from {where} and pass {typed}")
        return snapshot(self.facts["hub"], self.params.revision, typed, fetch=fetch)
