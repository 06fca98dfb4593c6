"""CLIP and SigLIP of transformers as zero-shot classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from robench import Field, Later, RunContext

from robench_plugins.models.class_prompts import Words
from robench_plugins.models.clip_adapter import check_adapter
from robench_plugins.models.clip_files import (
    check_kind,
    check_processor,
    load_clip,
    load_words,
    locate,
    readable,
)
from robench_plugins.models.image_text import ImageText, ImageTextParams, Loaded
from robench_plugins.models.shipped import shipped_path


class CLIPParams(ImageTextParams):
    """Parameters of CLIP."""

    path: str = Field(description="a folder with config.json and weights, or ORG/NAME on the Hub")
    revision: str | None = Field(default=None, description="branch, tag or commit on the Hub")
    processor: str | None = Later(
        None, description="folder, or ORG/NAME, of the tokenizer and the normalisation, if `path` has only weights"
    )
    adapter: str | None = Later(None, description="folder of a peft adapter, which is merged into the weights")


class CLIP(ImageText):
    """Zero-shot CLIP or SigLIP: it compares images with prompts that describe the classes.

    The folder's config.json decides which of them it is. SigLIP was trained with a sigmoid loss and has a bias.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021. Zhai et
    al., "Sigmoid loss for language image pre-training", ICCV 2023.
    """

    Params = CLIPParams  # type: ignore[assignment]  # a subclass, as in every model
    params: CLIPParams

    @classmethod
    def files(cls, params: CLIPParams) -> Mapping[str, Path]:
        """Return the folder of the weights, also of those that come with robench."""
        files = super().files(params)
        if params.path.startswith("shipped:"):
            return {**files, params.path: shipped_path(params.path.removeprefix("shipped:"))}
        return files

    def load(self, context: RunContext) -> Loaded:
        """Read the folder, or fetch it from the Hub.

        Raises:
            DataError: The weights are missing, damaged or incomplete, or the Hub cannot be reached.
        """
        params = self.params
        return load_clip(
            self._source(), params.revision, processor=params.processor, adapter=params.adapter, warn=context.warn
        )

    def words(self, clip: Any) -> Words:
        """Read the tokenizer again."""
        where = locate(self._source()) if self.params.processor is None else self.params.processor
        return load_words(where, self.params.revision if self.params.processor is None else None, clip)

    def readable(self) -> AbstractContextManager[None]:
        """Return a context that turns what transformers raises for damaged files into a DataError."""
        return readable(self._source())

    def check_files(self) -> None:
        """Check that a folder holds a whole CLIP; one of the Hub is not looked at."""
        super().check_files()
        where = locate(self._source())
        check_processor(where, self.params.processor)
        if Path(where).is_dir():
            with self.readable():
                check_kind(where, Path(where) / "config.json")
        if self.params.adapter is not None:
            check_adapter(Path(self.params.adapter).expanduser())

    def _source(self) -> str:
        path = self.params.path
        return str(shipped_path(path.removeprefix("shipped:"))) if path.startswith("shipped:") else path
