"""Linear layers and dropout by other functions of torch, on processors where these are faster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from robench.compute.processor import maker

ROWS, MULTIPLICATIONS = 1024, 2**24
"""Rows, or multiplications, from which a convolution is faster; with fewer, starting it takes too long."""
DRAWS = 2**14
"""Numbers from which it is faster to draw them first and compare them afterwards."""


@contextlib.contextmanager
def fast_functions() -> Iterator[None]:
    """Within the block, compute large linear layers and dropout faster: in float32 on AMD processors with AVX-512.

    Elsewhere nothing changes. Linear layers become convolutions of one pixel: torch multiplies matrices by Intel's MKL,
    which uses half of what an AMD processor can do, and convolves by oneDNN, which uses all of it. Results differ by
    the order of their sums. Dropout draws the same random numbers and compares them afterwards; no bit differs.
    """
    with Faster(same_draws=_same_draws()) if _pays() else contextlib.nullcontext():
        yield


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


def _pays() -> bool:
    """Return whether torch multiplies by MKL on a processor that MKL does not use to the full."""
    both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return both and torch.backends.cpu.get_cpu_capability() == "AVX512" and "AMD" in maker()
