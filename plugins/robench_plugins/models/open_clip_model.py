"""Models of open_clip as zero-shot classifiers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self

from robench import Field, RunContext, SpecError

from robench_plugins.models.class_prompts import Words
from robench_plugins.models.image_text import ImageText, ImageTextParams, Loaded
from robench_plugins.models.open_clip_files import OpenCLIPSource, readable


class OpenCLIPParams(ImageTextParams):
    """Parameters of open_clip's models."""

    model: str | None = Field(default=None, description="name of the architecture in open_clip, such as ViT-B-32")
    pretrained: str | None = Field(
        default=None, description="tag of open_clip's weights, such as laion2b_s34b_b79k, downloaded on first use"
    )
    path: str | None = Field(
        default=None,
        description="a folder with open_clip_config.json and weights, hf-hub:ORG/NAME, or with `model` a .pt or "
        ".safetensors file",
    )
    revision: str | None = Field(default=None, description="branch, tag or commit on the Hub")

    @classmethod
    def read(cls, values: dict[str, Any], owner: str, whole: Callable[[str, str], str] | None = None) -> Self:
        """Return the parameters; ``adapter=``, which `clip` has, is refused by name."""
        if "adapter" in values:
            raise SpecError(
                f"{owner} merges no adapter of peft; expected a CLIP of transformers: "
                f"clip:path=BASE,adapter={values['adapter']}"
            )
        return super().read(values, owner, whole)


class OpenCLIP(ImageText):
    """Zero-shot models of open_clip: CLIP, SigLIP, CoCa, with any of its vision towers.

    A plain vision transformer is computed by transformers' modules with the same weights, so that every adaptation
    works on it. Other towers stay open_clip's own; adaptations that do not find what they change refuse them.

    Source: Ilharco et al., OpenCLIP, 2021 (doi:10.5281/zenodo.5143773); Cherti et al., "Reproducible scaling laws for
    contrastive language-image learning", CVPR 2023.
    """

    Params = OpenCLIPParams
    params: OpenCLIPParams

    def load(self, context: RunContext) -> Loaded:
        """Read the files, or fetch them.

        Raises:
            DataError: open_clip is not installed, or weights are missing, damaged or incomplete, or cannot be fetched.
        """
        return self._source().load()

    def words(self, clip: Any) -> Words:
        """Read the tokenizer again."""
        return self._source().words()

    def readable(self) -> AbstractContextManager[None]:
        """Return a context that turns what open_clip raises for damaged files into a DataError."""
        return readable(self.params.path or str(self.params.model))

    def check_files(self) -> None:
        """Check the name, the tag and the files; nothing is downloaded."""
        super().check_files()
        self._source().check()

    def _source(self) -> OpenCLIPSource:
        params = self.params
        return OpenCLIPSource(
            model=params.model, pretrained=params.pretrained, path=params.path, revision=params.revision
        )
