"""Linear layers and dropout by other functions of torch, on machines where a measurement finds these faster."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from robench.compute.processor import model_name
from robench.storage.plain_file import read_plain
from robench.storage.whole_file import whole_file

ROWS, MULTIPLICATIONS = 1024, 2**24
"""Rows, or multiplications, from which a convolution is faster; with fewer, starting it takes too long."""
DRAWS = 2**14
"""Numbers from which it is faster to draw them first and compare them afterwards."""
GAIN = 1.2
"""How many times faster convolutions must be; below it the speed is not worth other roundings."""
MEASURED, TIMES = ((4096, 128, 512), (4096, 512, 128)), 9
"""Rows, inputs and outputs of the linear layers that are timed, as in a small ViT, and how often."""


@contextlib.contextmanager
def fast_functions() -> Iterator[None]:
    """Within the block, compute large linear layers and dropout faster, on machines where that gains ``GAIN``.

    Linear layers become convolutions of one pixel: torch multiplies matrices by Intel's MKL, which uses half of what
    some AMD processors can do, and convolves by oneDNN, which uses all of it. Results differ by the order of their
    sums. Dropout draws the same random numbers and compares them afterwards; no bit differs. Which way is faster is
    measured once a machine and kept in the cache, so that the runs of a machine are computed alike.
    """
    with Faster(same_draws=_same_draws()) if gain() >= GAIN else contextlib.nullcontext():
        yield


def gain() -> float:
    """Return how many times faster this machine computes linear layers as convolutions, with the present threads.

    It is measured once and kept in the user's cache, not in ``ROBENCH_CACHE``, which machines may share. It is 0 where
    torch lacks one of the two libraries or AVX-512. A cache that cannot be written to costs a measurement in each
    process.
    """
    both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    if not both or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return 0.0
    return _gain(f"{model_name()}, torch {torch.__version__}, {torch.get_num_threads()} threads")


def way() -> str:
    """Return how large linear layers are computed on this machine, and what the measurement found."""
    found = gain()
    return f"{'as convolutions' if found >= GAIN else 'as matrix products'} ({found:.2f})" if found else ""


@functools.cache
def _gain(machine: str) -> float:
    path = user_cache_path("robench") / "machines" / f"{hashlib.sha256(machine.encode()).hexdigest()[:16]}.json"
    if (kept := _known(path)) is not None:
        return kept
    found = _measured()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if (kept := _known(path)) is not None:  # another process was faster; all must compute alike
            return kept
        with whole_file(path) as draft:
            draft.write_text(json.dumps({"machine": machine, "gain": found}), encoding="ascii")
    return found


def _known(path: Path) -> float | None:
    """Return what was measured before; None if nothing was, or if the file is damaged."""
    try:
        found = json.loads(read_plain(path, 2**16))["gain"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return None
    return found if isinstance(found, float) and 0 <= found < 100 else None


def _measured() -> float:
    """Time linear layers both ways in turns, and return the ratio of the shortest times, all layers together."""
    shortest = {False: 0.0, True: 0.0}
    for rows, inputs, outputs in MEASURED:
        # Zeros, and no layer that draws its weights: a measurement leaves random numbers as they were.
        images, weight, bias = torch.zeros(rows, inputs), torch.zeros(outputs, inputs), torch.zeros(outputs)
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(TIMES):
            for convolved in (False, True):
                with torch.inference_mode(), Faster(same_draws=False) if convolved else contextlib.nullcontext():
                    start = time.perf_counter()
                    F.linear(images, weight, bias)
                    times[convolved].append(time.perf_counter() - start)
        for convolved, found in times.items():
            shortest[convolved] += min(found)
    return round(shortest[False] / shortest[True], 2)


class Faster(TorchFunctionMode):
    """Computes large linear layers as convolutions, and dropout by ``uniform_`` if that draws the same numbers."""

    def __init__(self, *, same_draws: bool) -> None:
        super().__init__()
        self.same_draws = same_draws
        # On a single thread torch leaves a convolution of one pixel to MKL, unless it is dilated, which changes nothing
        # for one pixel. The number of threads is read here, because torch's compiler cannot read it.
        self.dilation = (2, 1) if torch.get_num_threads() == 1 else (1, 1)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute `func`, any function of torch."""
        if func is F.linear:
            return self._linear(*args, **(kwargs or {}))
        if func is F.dropout and self.same_draws:
            return _dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # the names that torch uses
        if not _large(input, weight):
            return F.linear(input, weight, bias)
        width = input.shape[-1]
        # Rows are the pixels of one image, and values its channels, which come last in memory: nothing is copied.
        image = input.reshape(1, -1, 1, width).permute(0, 3, 1, 2)
        convolved = F.conv2d(image, weight[:, :, None, None], bias, dilation=self.dilation)
        return convolved.permute(0, 2, 3, 1).reshape(*input.shape[:-1], weight.shape[0])


def _large(input: Tensor, weight: Tensor) -> bool:
    if not (_plain(input) and _plain(weight)) or torch.is_autocast_enabled("cpu"):
        return False
    rows = input.numel() // max(1, input.shape[-1])
    return rows >= ROWS or rows * weight.numel() >= MULTIPLICATIONS


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if inplace or not training or not 0 < p < 1 or not _plain(input):
        return F.dropout(input, p, training, inplace)
    if input.numel() < DRAWS or not input.is_contiguous():
        return F.dropout(input, p, training)
    return input * _kept(input.shape, 1 - p).div_(1 - p)


def _kept(shape: torch.Size, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Return what ``bernoulli_(share)`` returns, if that also compares float64 numbers of the same stream."""
    return torch.empty(shape, dtype=torch.float64).uniform_(generator=generator).lt_(share).float()


def _same_draws() -> bool:
    """Return whether `_kept` is ``bernoulli_`` bit by bit; Intel's library on Intel's processors draws otherwise."""
    first, second = (torch.Generator().manual_seed(0) for _ in range(2))
    theirs = torch.empty(DRAWS).bernoulli_(0.9, generator=first)
    ours = _kept(theirs.shape, 0.9, second)
    return torch.equal(ours, theirs) and torch.equal(first.get_state(), second.get_state())


def _plain(each: Tensor) -> bool:
    return type(each) in (Tensor, nn.Parameter) and each.is_cpu and each.dtype == torch.float32
