"""The rules of a Dataset."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from robench.conformance.finding import Finding, rule
from robench.contracts.dataset import Dataset, SplitName
from robench.errors import DataError, PluginError
from robench.images.image_set import ImageSet, repeated

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
LOOKED_AT = 40
"""Images that are loaded of each split."""
COMPARED = 1024
"""Images of each split that are compared with those of the others; a run compares all that it uses."""


def check_dataset(build: Callable[[], Dataset]) -> Iterator[Finding]:
    """Yield the rules ``classes`` and ``prompts``; for each split ``limit``, ``labels``, ``again``, ``prefix`` and
    ``too many``, or ``none`` if it has no images; ``files``; and ``disjoint``.
    """
    dataset = build()
    names = dataset.class_names
    named = len(set(names)) == len(names) > 1 and all(name.strip() for name in names)
    yield rule("classes", named, f"{len(names)} classes: {', '.join(names)[:80]}")
    prompts = dataset.prompts()
    told = len(prompts) == len(names) and all(prompts)
    yield rule("prompts", told, f"{sum(map(len, prompts))} prompts for {len(prompts)} classes")
    some: dict[SplitName, ImageSet] = {}
    for split in SPLITS:
        if split != "test" and not dataset.size(split):
            yield rule(f"{split}: none", True, "no images, so only runs that train nothing can use it")
            continue
        data = dataset.split(split, min(LOOKED_AT, dataset.size(split)))
        yield from _split(dataset, build(), split, data, len(names))
        some[split] = dataset.split(split, min(COMPARED, dataset.size(split)))
    yield _files(dataset, some["test"])
    shared = {(a, b): repeated(some[b], some[a]) for i, b in enumerate(some) for a in list(some)[:i]}
    count = sum(map(len, shared.values()))
    first = next(
        (f"; first: {b} {pairs[0][0]} is {a} {pairs[0][1]}" for (a, b), pairs in shared.items() if len(pairs)), ""
    )
    left_out = any(dataset.size(split) > COMPARED for split in SPLITS)
    what = f"the first {COMPARED:,} images of each split" if left_out else "all images"
    rest = "; a run compares all that it uses" if left_out else ""
    yield rule("disjoint", count == 0, f"{count} of {what} are in another split too{first}{rest}")


def _files(dataset: Dataset, data: ImageSet) -> Finding:
    """Look whether an image of the dataset, saved as PNG, is read as it was."""
    from PIL import Image

    image = data.images[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(file)
        read = dataset.read_image(file, (image.shape[1], image.shape[2]))
    same = read.dtype == np.uint8 and read.shape == image.shape and bool((read == image).all())
    told = "the same" if same else f"another image, {read.dtype} {read.shape}"
    return rule("files", same, f"an image that is saved and read with read_image is {told}")


def _split(dataset: Dataset, another: Dataset, split: SplitName, data: ImageSet, n_classes: int) -> Iterator[Finding]:
    size, n = dataset.size(split), len(data)
    yield rule(f"{split}: limit", n == min(LOOKED_AT, size) > 0, f"{n} of {size} images, {data.images.shape[1:]}")
    within = data.labels.dtype == np.int64 and bool(((data.labels >= 0) & (data.labels < n_classes)).all())
    yield rule(f"{split}: labels", within, f"{data.labels.dtype}, {np.unique(data.labels).tolist()}")
    same = another.split(split, n).fingerprint() == data.fingerprint()
    yield rule(f"{split}: again", same, f"a second instance loads {'the same' if same else 'different'} images")
    half = dataset.split(split, -(-n // 2))
    prefix = half.fingerprint() == data.first(len(half)).fingerprint()
    yield rule(f"{split}: prefix", prefix, f"{len(half)} images are {'' if prefix else 'not '}the first of {n}")
    try:
        more = dataset.split(split, size + 1)
    except DataError as error:
        yield rule(f"{split}: too many", True, str(error))
    except PluginError as error:
        yield rule(f"{split}: too many", False, f"{size + 1} images were asked for; expected a DataError: {error}")
    else:
        seen = f"{size + 1} images were asked for and {len(more)} came; expected a DataError"
        yield rule(f"{split}: too many", False, seen)
