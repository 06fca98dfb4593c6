"""Join the processes that ``accelerate launch`` or ``torchrun`` started together.

accelerate's `PartialState` starts the group. It does not choose the device, because it would put two processes on one
GPU if there are too few, and would let each process do the whole run where it knows neither GPU nor ``cpu=True``.

This file imports nothing heavy at the top, since every command reads it.
"""

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
"""Longest wait for another process, which may itself wait for a set that another run makes. A process that ends is
noticed at once."""


def launched() -> int:
    """Return how many processes were started together, this one included; 1 without a launcher."""
    size = os.environ.get("WORLD_SIZE", "")
    return int(size) if size.isdigit() and "LOCAL_RANK" in os.environ else 1


def speaks() -> bool:
    """Return whether this process prints errors: the first one of each machine does."""
    return launched() == 1 or os.environ["LOCAL_RANK"] == "0"


@contextmanager
def joined(device: str) -> Iterator[tuple[World, str]]:
    """Join the processes that were started together with this one, and leave them afterwards.

    Args:
        device: As given by ``--device``.

    Yields:
        The processes, and the device of this one. Without a launcher: this process alone, and `device` as it is.

    Raises:
        SpecError: There is no device for each process.
    """
    from robench.compute.world import ALONE, World

    if launched() == 1:
        yield ALONE, device
        return
    from accelerate import PartialState

    own = own_device(device, launched())
    # Objects and arrays are sent between CPUs, so they take no memory of a GPU. Gradients are sent between GPUs.
    backend = {"backend": "cpu:gloo,cuda:nccl"} if own.startswith("cuda") else {}
    state = PartialState(cpu=own == "cpu", timeout=WAIT, **backend)
    try:
        yield World(size=state.num_processes, rank=state.process_index), own
    finally:
        state.destroy_process_group()


def own_device(device: str, size: int) -> str:
    """Return the device of this process, one of `size`.

    Args:
        device: As given by ``--device``.

    Raises:
        SpecError: `device` is a single one, or there are fewer than processes.
    """
    import torch

    from robench.compute.device import resolve_device

    if ":" in device:
        raise SpecError(f"--device {device} is one device for {size} processes; use auto, cuda or cpu")
    kind = resolve_device("auto").type if device == "auto" else device
    if kind == "cpu":
        return kind
    if kind != "cuda":
        raise SpecError(f"--device {device}: {size} processes of one run need CUDA devices, or cpu")
    number, available = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= available:
        raise SpecError(f"this machine has {available} CUDA devices and each process needs its own; start fewer")
    return f"cuda:{number}"
