"""The dataset `hub`: image classification of the Hugging Face Hub, or a folder in its form."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator
from robench import DataError, Field, SpecError

from robench_plugins.datasets.published import Published, PublishedParams, Source
from robench_plugins.datasets.readers.hub_cache import commit_of, snapshot
from robench_plugins.datasets.readers.hub_folder import HubSource
from robench_plugins.datasets.readers.tar_shards import TarSource


class HubParams(PublishedParams):
    """Which set, and which of its columns and splits."""

    repository: str = Field(
        default="", examples=["ORG/NAME"], description="ORG/NAME on the Hub; hub:ORG/NAME is short for it"
    )
    path: str = Field(default="", description="a folder instead, such as one of `hf download --local-dir`")
    revision: str = Field(default="main", description="branch, tag or commit of the repository; kept as the commit")
    config: str = Field(default="", description="which of several configurations")
    image: str = Field(default="", description="column of the images, where there are two")
    label: str = Field(default="", description="column of the labels, where there are two")
    train: str = Field(default="", description="split to train on, if it has no usual name")
    validation: str = Field(default="", description="split for validation, if it has no usual name")
    test: str = Field(default="", description="split to test on, if it has no usual name")

    @model_validator(mode="after")
    def _commit(self) -> Self:
        if self.repository:
            if Path(self.repository).is_dir():
                raise ValueError(f"{self.repository} is a folder here; expected hub:path={self.repository}")
            if self.repository.count("/") != 1:
                raise ValueError(f"{self.repository} is no set of the Hub; expected ORG/NAME")
            # Not a value that was set: labels stay short, and records have it.
            object.__setattr__(self, "revision", commit_of(self.repository, self.revision))
        return self


class Hub(Published):
    """Images of a column, classes of another, found by their features: image and ClassLabel.

    Parquet files, image folders with metadata and webdatasets are read with Hugging Face `datasets`, one batch after
    another. A cell that names a file outside of the set is refused.
    """

    Params = HubParams
    params: HubParams

    def __init__(self, params: HubParams | None = None) -> None:
        super().__init__(params)
        if bool(self.params.repository) == bool(self.params.path):
            raise SpecError("hub needs one place; expected hub:ORG/NAME or hub:path=DIR")

    @property
    def called(self) -> str:
        """What messages call the set."""
        return self.params.repository or self.params.path

    def check_files(self) -> None:
        """Check a folder; a set of the Hub is looked at only if it is in its cache."""
        if self.params.path:
            super().check_files()
            return
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE:
            snapshot(self.params.repository, self.params.revision, "--dataset hub:path=DIR", fetch=False)

    def notes(self) -> tuple[str, ...]:
        """Return which revision was read, and what was left out."""
        told = (f"{self.params.repository} at revision {self.params.revision}",) if self.params.repository else ()
        return (*told, *super().notes())

    def open(self) -> Source:
        """Return the folder, or the snapshot of the Hub, which is fetched if it is not in the cache."""
        if self.params.path:
            root = Path(self.params.path).expanduser()
            if not root.is_dir():
                raise DataError(f"no folder {self.params.path}; pass --dataset hub:path=DIR")
        else:
            root = snapshot(self.params.repository, self.params.revision, "--dataset hub:path=DIR", fetch=True)
        asked = {part: getattr(self.params, part) for part in ("train", "validation", "test")}
        if TarSource.is_at(root) and (root / "classnames.txt").is_file() and not any(asked.values()):
            return TarSource(root)
        return HubSource(
            root.absolute(),
            config=self.params.config,
            image=self.params.image,
            label=self.params.label,
            named={part: name for part, name in asked.items() if name},
        )
