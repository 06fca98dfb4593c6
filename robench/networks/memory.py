"""Work through images in batches that shrink when memory runs out."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep memory that was freed, for the next tensors of the same sizes.

    Otherwise glibc hands a large tensor's memory back as soon as it is freed, and the system gives it out again page by
    page, cleared, which for small networks takes a good part of a gradient's time. Elsewhere nothing is done.
    """
    _keep(mapped_from=MOST, trimmed_from=MOST)


def keep_memory_as_usual() -> None:
    """Let this process keep as much as glibc comes to keep by itself, the most that its thresholds grow to."""
    _keep(mapped_from=32 * 2**20, trimmed_from=64 * 2**20)


def _keep(*, mapped_from: int, trimmed_from: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, mapped_from)
        libc.mallopt(M_TRIM_THRESHOLD, trimmed_from)


def out_of_memory(error: Exception) -> bool:
    """Return whether `error` says that the device, or the machine, has no memory left."""
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or should_reduce_batch_size(error)


def in_batches(n: int, size: int, work: Callable[[slice], None], warn: Callable[[str], None], stage: str) -> int:
    """Call `work` with slices of ``range(n)`` of at most `size`, halved for good whenever memory runs out.

    Args:
        warn: Hears of every halving; the record keeps it.
        stage: What the work is, for the warning.

    Returns:
        The size that was left.

    Raises:
        Exception: Whatever `work` raises, and its want of memory if one image is too much.
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
        if short:  # outside the handler, whose traceback would keep the batch in memory
            size = halve(part.stop - part.start, warn, stage)
        else:
            start = part.stop
    return size


def halve(size: int, warn: Callable[[str], None], stage: str) -> int:
    """Free what is cached on the device, and return half of `size`."""
    torch.cuda.empty_cache()
    warn(f"{stage}: out of memory with {size} images at a time; went on with {size // 2}")
    return size // 2
