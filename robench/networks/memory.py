"""Batches that shrink when memory runs out, and memory that is kept for the next tensors."""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Callable

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**31 - 1
"""Of a threshold of malloc, in bytes."""
OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What CUDA and its libraries say where they, and not torch, ask for memory: often, other processes have it."""


def keep_freed_memory() -> None:
    """Let this process keep freed memory for the next tensors of the same sizes, if it uses glibc.

    By default glibc returns a large tensor's memory to the system, which hands it out again page by page, cleared. For
    small networks this takes a good part of a gradient's time.
    """
    _keep(mapped_from=LARGEST, trimmed_from=LARGEST)


def keep_memory_as_usual() -> None:
    """Set glibc's thresholds to the largest values that they reach by themselves."""
    _keep(mapped_from=32 * 2**20, trimmed_from=64 * 2**20)


def _keep(*, mapped_from: int, trimmed_from: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, mapped_from)
        libc.mallopt(M_TRIM_THRESHOLD, trimmed_from)


def free_memory() -> None:
    """Free the memory of networks that nobody uses any more, which are in cycles, and what torch keeps on a GPU."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where CUDA is not in use


def out_of_memory(error: Exception) -> bool:
    """Return whether `error` says that the device or the machine has no memory left."""
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, MemoryError | torch.OutOfMemoryError) or should_reduce_batch_size(error):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in OUT_OF_MEMORY)


def in_batches(n: int, size: int, work: Callable[[slice], None], warn: Callable[[str], None], stage: str) -> int:
    """Call `work` with slices of ``range(n)`` of at most `size`, which is halved for good when memory runs out.

    Args:
        warn: Is told of every halving.
        stage: What the work is, for the warning.

    Returns:
        The last size.

    Raises:
        Exception: Whatever `work` raises; also that memory ran out, if one image is too much.
    """
    start = 0
    while start < n:
        part = slice(start, min(start + size, n))
        short = False
        try:
            work(part)
        except Exception as error:
            if part.stop - part.start == 1 or not out_of_memory(error):
                raise
            short = True
        if short:  # outside the except block, whose traceback would keep the batch in memory
            size = halve(part.stop - part.start, warn, stage)
        else:
            start = part.stop
    return size


def halve(size: int, warn: Callable[[str], None], stage: str) -> int:
    """Free memory, warn, and return half of `size`."""
    free_memory()
    warn(f"{stage}: out of memory with {size} images at a time; went on with {size // 2}")
    return size // 2
