"""Time two or more ways of doing the same work, in turns, and compare them pair by pair."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from robench.networks.fast_functions import fast_functions
from robench.networks.memory import keep_freed_memory, keep_memory_as_usual

OURS = "robench"
"""The first word of the sides that get the memory and compute settings of a run; others get those of torch."""
Prepare = Callable[[], Callable[[], Any]]
"""Prepares the work, untimed, and returns the function that is timed."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The seconds of one side in each turn, and what it returned in its warm-up."""

    seconds: tuple[float, ...]
    result: Any


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times faster one side is than another: the median over pairs of turns, and the extremes."""

    median: float
    lowest: float
    highest: float


def in_turns(
    sides: Mapping[str, Prepare], repeats: int, device: torch.device, *, settle: bool = True
) -> dict[str, Timed]:
    """Time all sides A, B, A, B, ... so that whatever slows the machine down slows all of them.

    Each side first warms up once, untimed.

    Args:
        settle: Give robench the memory settings of its runs, and others those that are best with glibc.
    """
    results = {}
    for name, prepare in sides.items():
        with _conditions(name, settle):
            results[name] = prepare()()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, prepare in sides.items():
            with _conditions(name, settle):
                work = prepare()
                gc.collect()
                _wait(device)
                start = time.perf_counter()
                work()
                _wait(device)
                seconds[name].append(time.perf_counter() - start)
    return {name: Timed(seconds=tuple(seconds[name]), result=results[name]) for name in sides}


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare the seconds of two sides pair by pair; above 1, ours is faster."""
    pairs = [their / our for our, their in zip(ours, theirs, strict=True)]
    return Ratio(median=median(pairs), lowest=min(pairs), highest=max(pairs))


@contextlib.contextmanager
def _conditions(name: str, settle: bool) -> Iterator[None]:
    ours = name.partition(" ")[0] == OURS
    if settle and ours:
        keep_freed_memory()
    elif settle:
        keep_memory_as_usual()
    with fast_functions() if ours else contextlib.nullcontext():
        yield


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
