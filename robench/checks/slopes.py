"""Do gradients tell the truth? Slopes that autograd claims, compared with finite differences of the network itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from robench.attack.perturbation import seeded
from robench.checks import probes
from robench.checks.verdict import Subject, check
from robench.networks.defended import Defended
from robench.records.record import Check

IMAGES = 32
"""Images of the sample that are looked at."""
IMAGES_AWAY, AWAY = 16, 8 / 255
"""Images that are looked at once more with noise of this size in every pixel, because gradients may lie away from clean
images alone."""
LEVEL = 1 / 255
STEPS = (0.25 * LEVEL, LEVEL)
"""Lengths at which an attack relies on gradients: a quarter level and one level in every pixel."""
SMALLEST, LARGEST = 2e-6, 0.25 * LEVEL
"""Range of the shortest length. Below it, rounding of the pixels themselves is no longer small."""
AGREES = (0.25, 4.0)
"""Observed over claimed slope along the gradient, as the median of images, outside which a step is misled."""
HOLDS = (0.5, 2.0)
"""The same, within which an estimate of the gradient, such as a straight-through one, still serves an attack."""
BENDS = (0.2, 5.0)
"""The same for one level alone, outside which to warn: sound networks bend less over a level."""
DEVIATES = (0.10, 0.50)
"""Deviation from the claimed slope at the shortest length above which to warn, and, without ``HOLDS``, to fail."""
SCATTERS, NEAR = (0.10, 0.30), 0.125 * LEVEL
"""Deviation in random directions, relative to the slopes there, and how far to go in each. Above the first, warn if it
is so over very short steps, too, where networks hardly bend; above the second, warn in any case."""
DIRECTIONS = 4
"""Random directions; along them parts of the input count that have no gradient, or one of another size."""
ABOVE_ROUNDING = 200.0
"""A claimed change must be so many times the rounding of a logit to be compared."""


def slopes(subject: Subject) -> Check | None:
    """Compare claimed slopes of the margin with central differences along the gradient and two random directions.

    The margin is the top logit minus the runner-up of the unperturbed image, which no temperature or softmax bends
    as it bends the cross-entropy. A failure means that steps of an attack do not lead where gradients say. If nothing
    is wrong at the images, the same is done at noisy ones, where an attack goes. A random defence draws the same in
    every pass. Behind a defence whose gradients are an approximation, the network itself is looked at.
    """
    network, about = subject.network, ""
    if isinstance(network, Defended) and not network.differentiable:
        network, about = network.undefended, "without the defence, whose gradients are an approximation, "
    elif subject.random:
        network = _SameDraws(network)
    images = subject.tensors()[0][:IMAGES]
    found = _compared(network, images, about)
    if found is None or found.verdict != "pass":
        return found
    images = images[:IMAGES_AWAY]
    with seeded(0, subject.context.device):  # so that later checks draw what they drew before
        there = _compared(network, images + torch.randn_like(images).sign() * AWAY, about)
    if there is not None and there.verdict == "pass":
        return found
    away = f"{255 * AWAY:g}/255 from the images"
    if there is None:
        return check("slopes", "fail", f"{away} the network has no gradient, and at the images it has; an attack stops")
    return check("slopes", there.verdict, f"{away}, {there.reason}")


def _compared(network: nn.Module, images: Tensor, about: str) -> Check | None:
    # Off the grid of 8-bit levels and away from 0 and 1, where rounding and clamping have their kinks.
    images = (images + (torch.rand_like(images) - 0.5) * LEVEL).clamp(2 * LEVEL, 1 - 2 * LEVEL)
    precision = _lowest_precision(network, images)
    if (found := _margin(network, images)) is None:
        return None
    margin, gradient = found
    rounding = torch.finfo(precision).eps * margin.largest
    along = gradient.sign()
    claimed = (gradient * along).flatten(1).double().sum(dim=1)
    long = []
    for length in STEPS:
        clear = claimed * length > 4 * rounding
        if int(clear.sum()) >= min(8, len(images) / 2):
            observed = margin.difference(images, along, length) / (2 * length)
            long.append(float((observed / claimed)[clear].median()))
    shortest = (ABOVE_ROUNDING * rounding / claimed.clamp_min(1e-30)).clamp_min(SMALLEST)
    clear = shortest < LARGEST
    deviation, compared = None, int(clear.sum())
    if precision == torch.float32 and compared >= min(8, len(images) / 2):
        deviation = _deviation(margin, images, gradient, [along], shortest.clamp_max(LARGEST), clear)
    scatter, closer = _scatter(margin, images, gradient, rounding) if precision == torch.float32 else (None, None)
    if not long:
        return check(
            "slopes",
            "warn",
            f"the network is too flat to compare its gradients with finite differences on {len(images)} images; "
            "saturated outputs?",
        )
    misled = not any(AGREES[0] <= ratio <= AGREES[1] for ratio in long)
    estimated = deviation is not None and deviation > DEVIATES[0]
    if deviation is not None and deviation > DEVIATES[1]:
        misled = misled or not all(HOLDS[0] <= ratio <= HOLDS[1] for ratio in long)
    # Two lengths: what bends a network fades over short steps, and what rounding does fades over longer ones.
    partial = scatter is not None and scatter > SCATTERS[0 if closer is not None and closer > SCATTERS[0] else 1]
    bent = not BENDS[0] <= long[-1] <= BENDS[1]
    ratios = " and ".join(f"{ratio:.2f}" for ratio in long)
    reason = (
        f"{about}a step along the gradient of a quarter level and of one level changes the margin by {ratios} of what "
    )
    reason += f"the gradient says (median of {len(images)} images)"
    if deviation is None:
        reason += f"; shorter steps drown in the rounding of {str(precision).removeprefix('torch.')}"
    else:
        reason += f"; very short steps deviate by {100 * deviation:.0f} %"
    reason += f", random directions by {100 * scatter:.0f} %" if scatter is not None else ""
    reason += f" and very short ones by {100 * closer:.0f} %" if closer is not None else ""
    if misled:
        reason += "; the gradients are not those of this network, or shattered"
    elif estimated:
        reason += "; the gradients are estimates: quantised, detached in part, or of another network?"
    elif partial:
        reason += "; parts of the input have no gradient, or one that is scaled, blurred or of another function"
    elif bent:
        reason += "; the gradient holds over less than the step of an attack: shattered?"
    return check("slopes", "fail" if misled else "warn" if estimated or partial or bent else "pass", reason)


class _SameDraws(nn.Module):
    """A random network that draws the same random numbers in every pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with seeded(0, images.device):
            logits: Tensor = self.network(images)
        return logits


class _Margin:
    """Top logit minus runner-up, with both classes fixed at the unperturbed images."""

    def __init__(self, network: nn.Module, logits: Tensor) -> None:
        self.network = network
        self.classes = logits.detach().topk(2, dim=1).indices
        self.probabilities = probes.are_probabilities(logits)
        self.largest = self._two(logits.detach()).abs().amax(dim=1).clamp_min(1.0 if self.probabilities else 0.0)

    def _two(self, logits: Tensor) -> Tensor:
        both = logits.gather(1, self.classes).double()
        # The logarithm of a probability has digits left where the probability itself is as good as 0 or 1.
        return both.clamp_min(1e-37).log() if self.probabilities else both

    def of(self, logits: Tensor) -> Tensor:
        both = self._two(logits)
        return both[:, 0] - both[:, 1]

    @torch.no_grad()
    def difference(self, images: Tensor, direction: Tensor, length: Tensor | float) -> Tensor:
        """Return the margin `length` ahead minus that `length` behind, ``float64 (n,)``."""
        step = direction * (length.float().view(-1, 1, 1, 1) if isinstance(length, Tensor) else length)
        return self.of(self.network(images + step)) - self.of(self.network(images - step))


def _margin(network: nn.Module, images: Tensor) -> tuple[_Margin, Tensor] | None:
    pixels = images.clone().requires_grad_()
    with torch.enable_grad():
        logits = network(pixels)
        if logits.shape[1] < 2 or not logits.requires_grad:
            return None
        margin = _Margin(network, logits)
        (gradient,) = torch.autograd.grad(margin.of(logits).sum(), pixels, allow_unused=True)
    if gradient is None or not bool(gradient.isfinite().all()) or not bool((gradient != 0).any()):
        return None  # the check of gradients says so
    return margin, gradient


def _deviation(
    margin: _Margin, images: Tensor, gradient: Tensor, directions: list[Tensor], length: Tensor, clear: Tensor
) -> float:
    """Return the median over images of the mean deviation from the claimed slopes, relative to the largest of them."""
    # Random halves of the gradient: along them a network with its own gradients changes as claimed, every time.
    directions = directions + [gradient.sign() * (torch.rand_like(gradient) < 0.5) for _ in range(2)]
    far = []
    for direction in directions:
        claimed = (gradient * direction).flatten(1).double().sum(dim=1)
        # What float32 makes of the two points, so that their rounding is no deviation.
        observed = margin.difference(images, direction, length) / (2 * length)
        far.append(((observed - claimed).abs() / claimed.abs().clamp_min(1e-30))[clear])
    return float(torch.stack(far).mean(dim=0).median())


def _scatter(margin: _Margin, images: Tensor, gradient: Tensor, rounding: Tensor) -> tuple[float | None, float | None]:
    """Return the deviation from claimed slopes in random directions, relative to the slopes that are observed.

    Both figures are medians over images: at ``NEAR``, and as short as rounding allows. None if the changes of most
    images are no larger than rounding; the second also where the first is so small that no warning can follow.
    A gradient that misses or bends parts of the input may still point the right way along itself.
    """
    generator = torch.Generator().manual_seed(0)  # of its own, so that later checks draw what they drew before
    drawn = [2.0 * torch.randint(2, gradient.shape, generator=generator) - 1 for _ in range(DIRECTIONS)]
    directions = [signs.to(gradient) for signs in drawn]
    claimed = torch.stack([(gradient * direction).flatten(1).double().sum(dim=1) for direction in directions])
    usual = claimed.square().mean(dim=0).sqrt().clamp_min(1e-30)
    shortest = (2 * ABOVE_ROUNDING * rounding / usual).clamp(SMALLEST, NEAR)

    def deviation(length: Tensor) -> float | None:
        observed = torch.stack([margin.difference(images, each, length) for each in directions]) / (2 * length)
        size = observed.square().mean(dim=0).sqrt()
        clear = size * length > 20 * rounding
        if int(clear.sum()) < len(images) / 2:
            return None
        return float(((observed - claimed).square().mean(dim=0).sqrt() / size)[clear].median())

    near = deviation(torch.full_like(usual, NEAR))
    return near, None if near is None or near <= SCATTERS[0] else deviation(shortest)


class _Precisions(TorchDispatchMode):
    """Notes the coarsest floating-point type that an operation returns."""

    coarsest = torch.float32

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for each in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(each, Tensor) and each.dtype in (torch.float16, torch.bfloat16):
                self.coarsest = max(self.coarsest, each.dtype, key=lambda dtype: torch.finfo(dtype).eps)
        return found


@torch.no_grad()
def _lowest_precision(network: nn.Module, images: Tensor) -> torch.dtype:
    """Return the coarsest type the network computes in, ``float32`` if it is that or finer."""
    with _Precisions() as noted:
        network(images[:1])
    coarsest: torch.dtype = noted.coarsest
    return coarsest
