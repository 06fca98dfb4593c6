"""Corruptions whose effect on the toy network is certain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from robench import Component, Corruption, ImageSet, RunContext, hookimpl


class Lights(Corruption):
    """``still`` changes next to nothing; ``mirrored`` shows light as dark from severity 2 on."""

    def names(self) -> tuple[str, ...]:
        return ("still", "mirrored")

    def severities(self) -> tuple[int, ...]:
        return (1, 2, 3)

    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        if name == "mirrored" and severity > 1:
            return (255 - images.images).astype(np.uint8)
        made = images.images.copy()
        made[:, 0, 0, 0] ^= 1
        return made


class Small(Lights):
    """Returns images of another size."""

    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        return images.images[:, :, 1:]


class Moody(Lights):
    """Depends on what is beside an image, on what it did before, and does not always change anything."""

    calls = 0

    def corrupted(
        self, name: str, severity: int, images: ImageSet, positions: NDArray[np.int64], context: RunContext
    ) -> NDArray[np.uint8]:
        Moody.calls += 1
        if name == "still":
            return images.images
        return images.images ^ np.uint8(len(positions) + Moody.calls % 2)


@hookimpl
def robench_components() -> list[Component]:
    return [
        Component(
            kind="corruption",
            name=kind.__name__.lower(),
            target=f"tests.helpers.toy_corruptions:{kind.__name__}",
            summary=f"toy {kind.__name__}",
        )
        for kind in (Lights, Small, Moody)
    ]
