"""The precision that each stage of a run computes in: float32 or bfloat16."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Float = Literal["float32", "bfloat16"]
Level = Literal["mixed", "float32", "bfloat16", "bfloat16-attacks"]
LEVELS: tuple[Level, ...] = ("mixed", "float32", "bfloat16", "bfloat16-attacks")

DEFAULT: Level = "mixed"
"""At this level the precision is not part of a run's identity: older records lack it."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The precision of each stage's forward passes, and of the gradients of attacks.

    ``bfloat16`` is torch's autocast: weights, their gradients, the optimiser and all inputs and outputs stay float32.
    """

    tuning: Float = "float32"
    evaluation: Float = "float32"
    attacks: Float = "float32"


def judging(level: Level) -> tuple[Float, Float]:
    """Return the precision of evaluation and of attacks at `level`, the same on every device."""
    return (
        "bfloat16" if level in ("bfloat16", "bfloat16-attacks") else "float32",
        "bfloat16" if level == "bfloat16-attacks" else "float32",
    )


def precision_on(level: Level, device: torch.device) -> Precision:
    """Return the precision of each stage at `level` on `device`.

    ``mixed`` tunes in bfloat16 on CUDA devices that have it in hardware, where it is faster.
    """
    import torch

    evaluation, attacks = judging(level)
    hardware = False
    if device.type == "cuda":
        with torch.cuda.device(device):
            hardware = torch.cuda.is_bf16_supported(including_emulation=False)
    tuned = evaluation == "bfloat16" or (level == "mixed" and hardware)
    return Precision(tuning="bfloat16" if tuned else "float32", evaluation=evaluation, attacks=attacks)


def computing(number: Float, device: torch.device) -> torch.autocast:
    """Return a context in which networks on `device` compute in `number`, whatever autocast surrounds it."""
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=number == "bfloat16")


@contextlib.contextmanager
def ieee() -> Iterator[None]:
    """Within the block, multiply float32 numbers as float32 in matrix products, convolutions and recurrent layers.

    By default torch lets cuDNN round the factors of a convolution to TF32, which keeps 10 of 23 bits; a library or a
    user may allow the same elsewhere, also on a CPU. The former settings return afterwards. Within the block torch's
    older switches, ``torch.backends.cudnn.allow_tf32`` and ``cudnn.flags()``, raise an error.
    """
    from torch import backends

    places = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]  # type: ignore[attr-defined]
    places += [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


def tf32() -> bool:
    """Return whether a CUDA device may round the factors of float32 products to TF32."""
    from torch import backends

    places = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)  # type: ignore[attr-defined]
    return any(place.fp32_precision == "tf32" for place in places)
