"""What the network of a recorded run answers for images without labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robench.attack.adversary import Adversaries
from robench.attack.perturbation import seeded
from robench.compute.precision import ieee
from robench.contracts.context import Progress, Report, RunContext, silent
from robench.contracts.dataset import Dataset
from robench.errors import DataError, PluginError, SpecError
from robench.networks.evaluate import logits_of
from robench.networks.fast_functions import fast_functions
from robench.records.record import RunResult
from robench.run.defences import behind
from robench.run.plan import Plan
from robench.run.tuning_stage import tune
from robench.storage.location import Location
from robench.train.adapters import read_adapter

BATCH = 64
"""Images read and classified at a time."""
OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"}
"""What operating systems leave in folders, in lower case."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer for one image.

    Attributes:
        file: The image, as it was named.
        classes: Classes with their probabilities in ``[0, 1]``, the softmax of the logits, the most probable first.
    """

    file: Path
    classes: tuple[tuple[str, float], ...]


def image_files(paths: Iterable[Path]) -> list[Path]:
    """Return files, and in place of each folder all files below it by name; hidden files are left out.

    Raises:
        SpecError: A path does not exist, or a folder holds no files.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            if not (below := sorted(_below(path))):
                raise SpecError(f"{path} holds no files; expected images, or a folder of images")
            found |= dict.fromkeys(below)
        elif os.path.lexists(path):
            found[path] = None
        else:
            raise SpecError(f"no file or folder {path}; expected images, or a folder of images")
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:  # a link back to a folder that holds it
            folders.clear()
            continue
        seen.add(real)
        folders[:] = filter(_shown, folders)
        yield from (Path(here) / name for name in files if _shown(name))


def _shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in OF_SYSTEMS


@ieee()
@fast_functions()
def predicted(
    plan: Plan,
    record: RunResult,
    files: Iterable[Path],
    *,
    device: torch.device,
    cache_dir: Location,
    adapter: Path | None = None,
    top: int = 1,
    warn: Callable[[str], None] = lambda message: None,
    report: Report = silent,
) -> tuple[list[Prediction], dict[Path, str]]:
    """Return the answers of the network of `record` for `files`, and why some of them could not be read.

    The dataset of the run reads the files as it reads its own.

    Args:
        plan: The plan of `record`.
        adapter: The file of ``--save-adapter`` of that run, if it trained its network.
        top: Classes to return for each image.

    Raises:
        SpecError: There is no adapter for a network that was trained, or one for another.
        DataError: The classes or weights are others than those of the record.
    """
    _check(record, adapter)
    assert record.data is not None
    dataset: Dataset = plan.dataset.build()
    names = tuple(dataset.class_names)
    if names != record.data.class_names:
        raise DataError(
            f"{plan.dataset.label} has the classes {', '.join(names)[:80]}; run {record.run_id} was made with "
            f"{', '.join(record.data.class_names)[:80]}"
        )
    context = plan.context(dataset, device, cache_dir, warn=warn, report=report)
    network = _network(plan, record, context, adapter)
    found: list[Prediction] = []
    unread: dict[Path, str] = {}
    files = list(files)
    for start in range(0, len(files), BATCH):
        images = _read(dataset, files[start : start + BATCH], record.data.image_size, unread)
        if images:
            with seeded(context.stream(f"prediction {start}"), device):  # a random defence answers the same again
                logits = logits_of(network, np.stack(list(images.values())), device, context.precision.evaluation)
            if logits.shape != (len(images), len(names)) or not np.isfinite(logits).all():
                raise PluginError(f"the model returned logits {logits.shape}, or NaN; expected one for each class")
            found += (_prediction(file, row, names, top) for file, row in zip(images, logits, strict=True))
        report(Progress(stage="prediction", done=min(start + BATCH, len(files)), total=len(files)))
    return found, unread


def _check(record: RunResult, adapter: Path | None) -> None:
    spec = record.spec
    if record.status != "completed":
        raise SpecError(f"run {record.run_id} is {record.status}; only completed runs have a network to ask")
    trained = spec.train_size is not None
    if not trained and adapter is not None:
        has = f"loads {spec.adapter.path}" if spec.adapter else f"tunes with {spec.tuner.label}, which trains nothing"
        raise SpecError(f"--adapter {adapter}: run {record.run_id} {has}; leave --adapter out")
    if trained and adapter is None:
        raise SpecError(
            f"run {record.run_id} trained its network, and a record holds no weights; repeat it with "
            f"`{record.provenance.command} --save-adapter FILE` and pass --adapter FILE"
        )
    if trained and adapter is not None:
        _, made_with = read_adapter(adapter)
        if (made := made_with.get("run_id", "unknown")) != spec.run_id():
            raise SpecError(f"adapter {adapter} was saved by run {made}, not by {spec.run_id()}; pass that of this run")


def _network(plan: Plan, record: RunResult, context: RunContext, adapter: Path | None) -> nn.Module:
    """Return the tuned network of `record` behind its defences; warn if its weights are others than those recorded."""
    model = plan.model.build()
    network: nn.Module = model.build(context).to(context.device)
    tuned = tune(plan, context, Adversaries.of(context), network, model.adaptable(network), None, trained=adapter)
    then = record.tuning.tuned_fingerprint if record.tuning else None
    if then != tuned.tuned_fingerprint:
        context.warn(
            f"the weights are {tuned.tuned_fingerprint} here and were {then} in run {record.run_id}, so answers may "
            f"differ; `robench reproduce {record.run_id}` shows how much"
        )
    return behind(plan.defences, network, model, context)


def _read(
    dataset: Dataset, files: list[Path], size: tuple[int, int], unread: dict[Path, str]
) -> dict[Path, NDArray[np.uint8]]:
    """Return the images that can be read, and tell `unread` of the others."""

    def read(file: Path) -> NDArray[np.uint8] | str:
        if not file.is_file():
            return f"{file} is no regular file, or a link to nothing"
        try:
            return dataset.read_image(file, size)
        except DataError as error:
            return str(error)

    images = {}
    with ThreadPoolExecutor() as pool:
        for file, found in zip(files, pool.map(read, files), strict=True):
            if isinstance(found, str):
                unread[file] = found
            elif found.dtype != np.uint8 or found.shape != (3, *size):
                raise PluginError(
                    f"the dataset read {file} as {found.dtype} {found.shape}; expected uint8 {(3, *size)}"
                )
            else:
                images[file] = found
    return images


def _prediction(file: Path, logits: NDArray[np.float32], names: tuple[str, ...], top: int) -> Prediction:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = powers / powers.sum()
    best = np.argsort(-probabilities, kind="stable")[:top]
    return Prediction(file=file, classes=tuple((names[at], float(probabilities[at])) for at in best))
