"""Find the processes that a launcher, accelerate's or torchrun, started together with this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from robench.errors import SpecError

if TYPE_CHECKING:
    from robench.compute.world import World

WAIT = timedelta(hours=6)
"""Longest wait for another process, which may be waiting itself for a set that another run makes. One that dies is
noticed at once."""


def launched() -> int:
    """Return how many processes were started together, this one included; 1 without a launcher."""
    size = os.environ.get("WORLD_SIZE", "")
    return int(size) if size.isdigit() and "LOCAL_RANK" in os.environ else 1


def speaks() -> bool:
    """Return whether this process prints errors: of those on one machine, the first does."""
    return launched() == 1 or os.environ["LOCAL_RANK"] == "0"


@contextmanager
def joined(device: str) -> Iterator[tuple[World, str]]:
    """Join the processes that were started together with this one, and leave them afterwards.

    Args:
        device: As of ``--device``.

    Yields:
        All processes, and the device that is this one's; without a launcher nothing but what was given.

    Raises:
        SpecError: There is no device for each process.
    """
    from robench.compute.world import ALONE, World

    if launched() == 1:
        yield ALONE, device
        return
    from accelerate import PartialState

    own = own_device(device, launched())
    # Objects and arrays go through the CPU, which costs no memory of a GPU; gradients stay where they are.
    backend = {"backend": "cpu:gloo,cuda:nccl"} if own.startswith("cuda") else {}
    state = PartialState(cpu=own == "cpu", timeout=WAIT, **backend)
    try:
        yield World(size=state.num_processes, rank=state.process_index), own
    finally:
        state.destroy_process_group()


def own_device(device: str, size: int) -> str:
    """Return the device of this process, one of `size`, given that of ``--device``.

    Raises:
        SpecError: It is one device for all, or there are fewer than processes.
    """
    import torch

    from robench.compute.device import resolve_device

    kind, colon, _ = device.partition(":")
    if colon:
        raise SpecError(f"--device {device} is one device for {size} processes; use auto, cuda or cpu")
    if kind == "auto":
        kind = resolve_device("auto").type
    if kind == "cpu":
        return kind
    if kind != "cuda":
        raise SpecError(f"--device {device}: {size} processes of one run need CUDA devices, or cpu")
    here, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if here >= there:
        raise SpecError(f"this machine has {there} CUDA devices, one for each of so many processes; start no more")
    return f"cuda:{here}"
