"""The common corruptions of Hendrycks and Dietterich, made on the spot."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from robench import DataError, Field, ImageSet, Params, RunContext

from robench_plugins.corruptions import blur, digital, noise, weather
from robench_plugins.corruptions.chosen import Chosen, Only, Severities
from robench_plugins.corruptions.resampling import Images
from robench_plugins.corruptions.spatter import spatter
from robench_plugins.corruptions.strengths import CIFAR, IMAGENET

FUNCTIONS: dict[str, Callable[..., Images]] = {
    **{name: getattr(noise, name) for name in ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")},
    **{
        name: getattr(blur, name)
        for name in ("gaussian_blur", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur")
    },
    **{name: getattr(weather, name) for name in ("snow", "frost", "fog")},
    **{name: getattr(digital, name) for name in ("brightness", "contrast", "saturate", "elastic_transform")},
    **{name: getattr(digital, name) for name in ("pixelate", "jpeg_compression")},
    "spatter": spatter,
}
SMALL = 96
"""Sides up to this number of pixels have the strengths of CIFAR-10-C by default."""
FROST_SHRUNK = 0.2
"""CIFAR-10-C shrinks pictures of frost to this share of their side."""


class CommonParams(Params):
    """Which corruptions are made, and how strong they are."""

    only: Only = Field(
        default="main",
        description="main for the 15 of the benchmark, extra for the 4 that are for choosing settings, all for 19, or "
        "names joined by +, such as fog+snow",
    )
    severities: Severities = Field(default="1+2+3+4+5", description="severities joined by +, such as 1+3+5")
    strengths: Literal["auto", "cifar", "imagenet"] = Field(
        default="auto",
        description=f"published strengths to use: auto takes those of CIFAR-10-C up to {SMALL} pixels a side, and "
        "those of ImageNet-C above",
    )
    frost: Path | None = Field(
        default=None, description="folder with pictures of frost, such as those of ImageNet-C; without it, drawn"
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of noise; the same in every run unless it is set")


class Common(Chosen):
    """Noise, blur, weather and digital changes, as in CIFAR-10-C and ImageNet-C.

    Each image has a random stream of its own, the same at every severity.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019 (arXiv:1903.12261), and their programs. Deviations: frost is drawn unless `frost` names a folder of
    pictures; distances to the edges of drops are exact; random numbers are others, so that single images differ from
    the published files.
    """

    Params = CommonParams
    params: CommonParams

    def check_files(self) -> None:
        """Open the pictures of frost."""
        _ = self._pictures

    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        """Return the corrupted images; values are cut off at whole levels, as in the published files."""
        small = self._is_small(images.images.shape)
        strength: Any = (CIFAR if small else IMAGENET)[name][severity - 1]
        stream = zlib.crc32(name.encode())
        random = [RandomState([self.params.seed, stream, int(position)]) for position in positions]
        change = FUNCTIONS[name]
        if name == "frost":
            change = partial(change, pictures=self._shrunk if small else self._pictures)
        changed = change(images.images.astype(np.float32) / 255, random, strength)
        return (np.clip(changed, 0, 1) * 255 + 1e-3).astype(np.uint8)

    def _is_small(self, shape: tuple[int, ...]) -> bool:
        if self.params.strengths == "auto":
            return max(shape[-2:]) <= SMALL
        return self.params.strengths == "cifar"

    @cached_property
    def _pictures(self) -> tuple[Images, ...]:
        return tuple(_picture(file, 1.0) for file in self._files())

    @cached_property
    def _shrunk(self) -> tuple[Images, ...]:
        return tuple(_picture(file, FROST_SHRUNK) for file in self._files())

    def _files(self) -> list[Path]:
        if (folder := self.params.frost) is None:
            return []
        folder = folder.expanduser()
        if not folder.is_dir():
            raise DataError(f"no folder {folder}; pass --corruption common:frost=DIR with pictures of frost")
        found = sorted(each for each in folder.iterdir() if each.suffix.lower() in (".png", ".jpg", ".jpeg"))
        if not found:
            raise DataError(f"{folder} holds no .png or .jpg; expected pictures of frost, such as frost1.png")
        return found


def _picture(file: Path, share: float) -> Images:
    from PIL import Image

    try:
        with Image.open(file) as opened:
            colour = opened.convert("RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from error
    if share != 1:
        width, height = (max(1, round(side * share)) for side in colour.size)
        colour = colour.resize((width, height), Image.Resampling.BILINEAR)
    found: Images = np.asarray(colour).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return found
