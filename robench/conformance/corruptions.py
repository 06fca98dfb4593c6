"""The rules of a Corruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from robench.conformance.finding import Finding, rule
from robench.contracts.context import RunContext
from robench.contracts.corruption import Corruption
from robench.errors import PluginError
from robench.images.image_set import ImageSet


def check_corruption(build: Callable[[], Corruption], context: RunContext, data: ImageSet) -> Iterator[Finding]:
    """Yield the rules ``names``, ``images``, ``inputs``, ``repeatable``, ``batches`` and ``change``."""
    corruption, twin = build(), build()
    names, severities = corruption.names(), corruption.severities()
    fits = bool(names) and len(set(names)) == len(names) and bool(severities)
    yield rule("names", fits, f"{len(names)} corruptions, severities {', '.join(map(str, severities))}")
    if not fits:
        return
    everyone = np.arange(len(data))
    before = data.images.copy()

    def made(whom: Corruption, name: str, severity: int, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        few = ImageSet(images=data.images[positions], labels=data.labels[positions])
        return whom.corrupted(name, severity, few, positions, context)

    ends = dict.fromkeys((severities[0], severities[-1]))
    try:
        first = {(name, severity): made(corruption, name, severity, everyone) for name in names for severity in ends}
    except PluginError as error:
        yield rule("images", False, str(error))
        return
    yield rule("images", True, f"all are uint8 {before.shape}")
    same = np.array_equal(before, data.images)
    yield rule("inputs", same, "images are unchanged", "images are changed in place")
    other = [
        name
        for name in names
        if not np.array_equal(made(twin, name, severities[-1], everyone), first[name, severities[-1]])
    ]
    yield rule(
        "repeatable", not other, "a second instance makes the same images", f"other images of {', '.join(other)}"
    )
    last = everyone[len(data) // 2 :]
    other = [
        name
        for name in names
        if not np.array_equal(made(corruption, name, severities[-1], last), first[name, severities[-1]][last])
    ]
    yield rule("batches", not other, "images do not depend on those beside them", f"they do in {', '.join(other)}")
    still = [name for name in names if np.array_equal(first[name, severities[-1]], before)]
    yield rule("change", not still, "every corruption changes images", f"{', '.join(still)} changes nothing")
