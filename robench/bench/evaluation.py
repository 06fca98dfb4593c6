"""Clean images per second: robench on a CLIP, and two loops with the same weights.

All get the same bytes, at 32 pixels, and resize them to the input size of the model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from robench.bench.clips import as_rivals_have_it, clips
from robench.bench.report import Row, compared
from robench.bench.rivals import clip_benchmark_evaluation, transformers_evaluation
from robench.bench.setting import Setting
from robench.bench.timing import Prepare, in_turns
from robench.networks.evaluate import predict

LEAST = 0.97
BATCHES = (32, 64, 250)
"""Batch sizes for the bare loop, which takes the fastest."""
MOST_WORKERS = 4
"""CLIP_benchmark's default."""


def measure(setting: Setting) -> Iterator[Row]:
    """Compare on each CLIP."""
    for name, model in clips(setting).items():
        yield from _on(setting, name, setting.network(model))


def _on(setting: Setting, name: str, network: nn.Module) -> Iterator[Row]:
    clip = as_rivals_have_it(network)
    data = setting.context.dataset.split("test", _count(setting, clip.image_size))
    images, n_classes = torch.from_numpy(data.images), len(setting.context.dataset.class_names)

    def bare(batch: int) -> object:
        return transformers_evaluation.predictions(clip, images, batch).numpy()

    batch = fastest(bare, [size for size in BATCHES if size <= len(data)] or [len(data)])
    workers = 0 if setting.quick else min(MOST_WORKERS, os.cpu_count() or 1)
    pictures = clip_benchmark_evaluation.loader(clip, data.images, data.labels, workers)
    sides: dict[str, Prepare] = {
        "robench": lambda: lambda: predict(network, data.images, n_classes=n_classes, device=setting.device),
        f"transformers, batches of {batch}": lambda: lambda: bare(batch),
        "CLIP_benchmark's way": lambda: lambda: clip_benchmark_evaluation.predictions(clip, pictures).numpy(),
    }
    timed = in_turns(sides, setting.repeats, setting.device)
    ours = timed.pop("robench")
    for number, (rival, theirs) in enumerate(timed.items()):
        alike = float(np.mean(ours.result == theirs.result))
        yield compared(
            ours.seconds,
            theirs.seconds,
            amount=len(data),
            least=LEAST,
            item="evaluation",
            case=f"{name}, {len(data):,} images",
            unit="images/s",
            rival=rival,
            check=f"{100 * alike:.1f} % of predictions alike",
            # The second rival rounds to bytes after resizing.
            same=alike >= (0.95 if number else 1 - 1e-3),
        )


def fastest(work: Callable[[int], object], choices: Sequence[int]) -> int:
    """Return the choice for which `work` is fastest; each is tried once, after a warm-up."""
    work(choices[0])
    seconds = {}
    for choice in choices if len(choices) > 1 else ():
        start = time.perf_counter()
        work(choice)
        seconds[choice] = time.perf_counter() - start
    return min(seconds, key=lambda choice: seconds[choice]) if seconds else choices[0]


def _count(setting: Setting, image_size: int) -> int:
    if setting.quick:
        return 40
    if setting.device.type == "cuda":
        return 5000
    return 1000 if image_size <= 64 else 128
