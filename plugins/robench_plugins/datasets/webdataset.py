"""The dataset `webdataset`: tar shards in the layout of CLIP_benchmark."""

from __future__ import annotations

from pathlib import Path

from robench import DataError, Field

from robench_plugins.datasets.published import Published, PublishedParams, Source
from robench_plugins.datasets.readers.tar_shards import TarSource


class WebDatasetParams(PublishedParams):
    """Where the shards are."""

    path: str = Field(description="folder with test/0.tar, test/nshards.txt and classnames.txt, perhaps train/ as well")


class WebDataset(Published):
    """Tar shards below ``train`` and ``test``; classes and prompt templates from the text files beside them.

    Source: the webdatasets of CLIP_benchmark (https://github.com/LAION-AI/CLIP_benchmark), on the Hub as
    clip-benchmark/wds_*.
    """

    Params = WebDatasetParams
    params: WebDatasetParams

    @property
    def called(self) -> str:
        """What messages call the set."""
        return self.params.path

    def open(self) -> Source:
        """Return the shards."""
        root = Path(self.params.path).expanduser()
        if not root.is_dir():
            raise DataError(f"no folder {self.params.path}; pass --dataset webdataset:path=DIR")
        return TarSource(root)
