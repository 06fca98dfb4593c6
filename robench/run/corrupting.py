"""The scores of a tuned network on corrupted images."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from torch import nn

from robench.attack.adversary import predictions
from robench.contracts.context import RunContext
from robench.contracts.corruption import Corruption
from robench.images.image_set import ImageSet
from robench.records.corrupted import CorruptedScore, CorruptionRecord

AT_A_TIME, PIXELS = 256, 4_000_000
"""Most images that a component corrupts together, and most of their pixels, so that memory is bounded."""
THREADS = 8
"""Most threads that corrupt images at the same time."""


def corruption_record(
    corruption: Corruption, label: str, network: nn.Module, data: ImageSet, context: RunContext
) -> CorruptionRecord:
    """Return the scores of `network` on all corrupted versions of `data`.

    Raises:
        PluginError: The component returned something else than its contract says.
    """
    start = time.perf_counter()
    scores = []
    for name in corruption.names():
        for severity in corruption.severities():
            images = _corrupted(corruption, name, severity, data, context)
            found = predictions(network, images, context, f"evaluation, {name} {severity}")
            digest = hashlib.sha256(images.tobytes()).hexdigest()[:16]
            scores.append(CorruptedScore.of(found == data.labels, name=name, severity=severity, images=digest))
    return CorruptionRecord(label=label, scores=tuple(scores), seconds=round(time.perf_counter() - start, 2))


def _corrupted(
    corruption: Corruption, name: str, severity: int, data: ImageSet, context: RunContext
) -> NDArray[np.uint8]:
    height, width = data.images.shape[2:]
    each = max(1, min(AT_A_TIME, PIXELS // (height * width)))

    def made(start: int) -> NDArray[np.uint8]:
        place = slice(start, min(start + each, len(data)))
        clean = ImageSet(images=data.images[place], labels=data.labels[place], names=data.names[place])
        return corruption.corrupted(name, severity, clean, np.arange(place.start, place.stop), context)

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return np.concatenate(list(pool.map(made, range(0, len(data), each))))
