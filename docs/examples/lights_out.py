"""A corruption in one file: darker images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from robench import Component, Corruption, ImageSet, RunContext, hookimpl


class LightsOut(Corruption):
    """Takes a quarter of the light away with each severity."""

    def names(self) -> tuple[str, ...]:
        """Return the one corruption."""
        return ("lights_out",)

    def severities(self) -> tuple[int, ...]:
        """Return the severities, the mildest first."""
        return (1, 2, 3)

    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        """Return darker images."""
        return (images.images * (1 - 0.25 * severity)).astype(np.uint8)


@hookimpl
def robench_components() -> list[Component]:
    """Return the corruption."""
    return [
        Component(kind="corruption", name="lights-out", target="lights_out:LightsOut", summary="images with less light")
    ]
