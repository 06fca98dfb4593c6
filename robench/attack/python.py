"""An attack from Python: ``robench.attack``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.perturbation import check_ball, perturb_set, told_outside
from robench.attack.seen import seen_by
from robench.compute.device import resolve_device
from robench.compute.precision import ieee
from robench.contracts.context import stream
from robench.errors import DataError, SpecError
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.borrowed import Borrowed, borrowed
from robench.networks.entrance import ENTERING, enter
from robench.networks.evaluate import evaluation_mode
from robench.networks.fast_functions import fast_functions
from robench.registry.registry import discover

Array = TypeVar("Array", NDArray[np.uint8], Tensor)
OFF_GRID = 1e-3
"""Largest distance, in levels, of a float pixel from the 8-bit level that it stands for."""


@ieee()
@fast_functions()
def attack(
    network: nn.Module,
    images: Array,
    labels: NDArray[np.int64] | Tensor | Iterable[int],
    attack: str,
    *,
    seed: int = 0,
    device: str = "auto",
    plugins: Iterable[str | Path] = (),
) -> Array:
    """Return adversarial versions of images, as a run would make and check them: within the ball, of 8 bits.

    The first images of a split with the seed of a run give the bytes of that run's white-box attack. The network is
    given back as it was: modes, weights and device.

    Args:
        network: From images ``float32 (N, 3, H, W)`` in ``[0, 1]`` to logits; gradients come from it. For a transfer
            attack give the surrogate.
        images: ``(N, 3, H, W)``, ``uint8``, or float in ``[0, 1]`` whose values are multiples of 1/255.
        labels: The class of each image, ``(N,)``.
        attack: As typed after ``--attack``, such as ``apgd-ce:eps=4/255``.
        seed: Of everything random.
        device: Where the network runs: auto, cpu, cuda or cuda:N.
        plugins: Single-file plugins, as of ``--plugin``.

    Returns:
        ``uint8 (N, 3, H, W)``: a tensor on the device of `images` if they are a tensor, else an array.

    Raises:
        SpecError: The attack is unknown or a value is wrong; or it names a surrogate or ``n=``.
        DataError: Images or labels are not as above.
        PluginError: The network returns no logits, or the attack a wrong shape, NaN or infinity.
    """
    if not isinstance(network, nn.Module):
        raise SpecError(f"the network is of type {type(network).__name__}; expected a torch.nn.Module")
    if seed < 0:
        raise SpecError(f"seed must not be negative (got {seed})")
    resolved = discover(files=[str(path) for path in plugins]).resolve_attack(attack)
    if resolved.surrogate is not None:
        own = attack.replace(f"-{resolved.surrogate.name}", "", 1)
        raise SpecError(f"{attack!r} names a surrogate; give the surrogate as the network and ask for {own!r}")
    if resolved.n is not None:
        raise SpecError(f"{attack!r} asks for n={resolved.n} images; give that many images instead")
    if resolved.aware != "yes":
        raise SpecError(f"{attack!r} sets aware, but nothing defends the network; leave aware out")
    data = ImageSet(images=_levels(images), labels=_labels(labels))
    if not len(data):
        raise DataError("there are no images to attack; expected at least one")
    where = resolve_device(device)

    def warn(message: str) -> None:
        warnings.warn(message, stacklevel=2)

    def say_outside(positions: NDArray[np.int64]) -> None:
        if len(positions):
            warn(told_outside(resolved, len(positions), len(data)))

    with borrowed(network):
        given = Borrowed(network).to(where)
        first = to_pixels(data.images[:ENTERING], where)
        with evaluation_mode(given), torch.no_grad():
            shape: tuple[int, ...] = tuple(getattr(given(first), "shape", ()))
        n_classes = shape[1] if len(shape) == 2 else int(data.labels.max()) + 1
        enter(given, first, n_classes, warn)
        data.check_labels(n_classes)
        made, _ = perturb_set(
            resolved.build(),
            seen_by(resolved, given),
            data,
            threat=resolved.threat(),
            device=where,
            seed=stream(seed, "attack/test"),
            warn=warn,
            stage=f"attack {resolved.label}",
            found_outside=say_outside,
        )
    check_ball(data.images, made, resolved.threat())
    return torch.from_numpy(np.array(made)).to(images.device) if isinstance(images, Tensor) else np.asarray(made)


def _levels(images: NDArray[np.uint8] | Tensor) -> NDArray[np.uint8]:
    """Return images as ``uint8``.

    Raises:
        DataError: They are of another shape or type, outside ``[0, 1]``, or between the levels of 8 bits.
    """
    found = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if found.ndim != 4 or found.shape[1] != 3:
        last = found.ndim == 4 and found.shape[3] == 3
        cure = "; put the channels second, as in images.transpose(0, 3, 1, 2) of numpy" if last else ""
        raise DataError(f"images have shape {found.shape}; expected (N, 3, H, W){cure}")
    if found.dtype == np.uint8:
        return found
    if not np.issubdtype(found.dtype, np.floating):
        raise DataError(f"images are of type {found.dtype}; expected uint8, or float in [0, 1]")
    low, high = float(found.min(initial=0)), float(found.max(initial=0))
    if not (low >= 0 and high <= 1):  # also NaN
        raise DataError(f"images reach from {low:.4g} to {high:.4g}; expected [0, 1]: the network normalises itself")
    levels = found.astype(np.float64) * 255
    rounded = levels.round()
    if (away := float(np.abs(levels - rounded).max(initial=0))) > OFF_GRID:
        raise DataError(
            f"images have values between the 256 levels of 8 bits, up to {away:.2g} of a level away; round them first, "
            "as in (images * 255).round() / 255"
        )
    return rounded.astype(np.uint8)


def _labels(labels: NDArray[np.int64] | Tensor | Iterable[int]) -> NDArray[np.int64]:
    found = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if not np.issubdtype(found.dtype, np.integer):
        raise DataError(f"labels are of type {found.dtype}; expected whole numbers, the index of each image's class")
    return found.astype(np.int64)
