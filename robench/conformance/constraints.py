"""The rules of a Constraint."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from robench.attack.perturbation import seeded
from robench.attack.projection import judged
from robench.conformance.finding import Finding, rule
from robench.contracts.constraint import Constraint
from robench.contracts.context import RunContext
from robench.contracts.types import ThreatModel
from robench.images.image_set import ImageSet, to_levels, to_pixels
from robench.records.limits import radius as recorded

CLOSE = 1e-6
"""Difference of two sizes, relative to them, that rounding explains."""


def check_constraint(constraint: Constraint, context: RunContext, data: ImageSet) -> Iterator[Finding]:
    """Yield the rules ``radius``, ``measure``, ``ball``, ``inside``, ``projection``, ``noise``, ``batches`` and
    ``inputs``: what robench judges every attack by must itself be right.
    """
    usual, device = constraint.usual, context.device
    written = constraint.written(usual)
    constraint.require(usual)
    yield rule("radius", recorded(written) == usual, f"{usual} is written {written!r}, and read as {recorded(written)}")
    clean = torch.from_numpy(data.images).to(device)
    images, given = to_pixels(data.images, device), clean.clone()
    with seeded(0, device):
        others = torch.rand_like(images)
        single = clean.clone()
        single[:, 0, 0, 0] ^= 255  # one value of one pixel
        still, least, most = (constraint.sizes(clean, each) for each in (clean, single, to_levels(others)))
        measured = bool((still == 0).all()) and bool((least > 0).all()) and bool((most >= least).all())
        yield rule(
            "measure",
            measured and still.shape == (len(clean),),
            f"the clean image {_span(still)}, one value changed {_span(least)}, random pixels {_span(most)}; expected "
            "0, then more, then as much or more, for each image",
        )
        yield from _ball(constraint, clean, {"random pixels": others, "one value": single.float() / 255}, usual)
        noisy = constraint.noise(images, usual)
        levels = to_levels(noisy.clamp(0, 1))
        far = int(constraint.far(clean, noisy, usual).sum())
        sizes, changed = constraint.sizes(clean, levels), int((levels != clean).flatten(1).any(dim=1).sum())
        reach = bool((sizes >= 0.5 * float(usual)).all()) or constraint.unit != ""
        seen = f"{changed} of {len(clean)} images change, {far} are outside, sizes {_span(sizes)} of {written}"
        yield rule("noise", far == 0 and changed >= len(clean) / 2 and reach, seen)
        alone = torch.cat([constraint.sizes(clean[at : at + 1], levels[at : at + 1]) for at in range(len(clean))])
        none = constraint.sizes(clean[:0], levels[:0])
        same = torch.allclose(alone, sizes, rtol=CLOSE, atol=0, equal_nan=False) and none.shape == (0,)
        yield rule("batches", same, f"images alone {_span(alone)}, together {_span(sizes)}; none returns {none.shape}")
    yield rule("inputs", torch.equal(clean, given), "images are unchanged", "images are changed in place")


def _ball(constraint: Constraint, clean: Tensor, tried: dict[str, Tensor], usual: Fraction) -> Iterator[Finding]:
    """Yield the rules about what becomes of images outside."""
    threat = ThreatModel(norm="constraint", eps=usual, knowledge="nothing", constraint=constraint)
    kept = {name: judged(clean, images, threat)[0] for name, images in tried.items()}
    sizes = torch.cat([constraint.sizes(clean, found) for found in kept.values()])
    within = bool((sizes <= float(usual) * (1 + CLOSE)).all())
    yield rule("ball", within, f"images that were outside end at sizes {_span(sizes)} of {constraint.written(usual)}")
    wrong = 0
    for found in (*kept.values(), *(to_levels(images) for images in tried.values())):
        small = constraint.sizes(clean, found) <= float(usual) * (1 + CLOSE)
        wrong += int((constraint.inside(clean, found, usual) != small).sum())
    yield rule("inside", wrong == 0, f"{wrong} images are inside by their size and not by `inside`, or the reverse")
    again = [torch.equal(judged(clean, found.float() / 255, threat)[0], found) for found in kept.values()]
    yield rule("projection", all(again), "images of the ball are left alone", "images of the ball are changed")


def _span(sizes: Tensor) -> str:
    return f"{float(sizes.min()):.4g} to {float(sizes.max()):.4g}" if len(sizes) else "none"
