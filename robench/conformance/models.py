"""The rules of a Model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from robench.checks import probes
from robench.conformance.finding import Finding, rule
from robench.conformance.parts import check_parts
from robench.contracts.context import RunContext
from robench.contracts.model import Model
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.evaluate import evaluation_mode, fingerprint

CLOSE = 1e-3
"""Largest change of a logit that rounding explains, relative to the largest logit."""


def check_model(model: Model, context: RunContext, data: ImageSet) -> Iterator[Finding]:
    """Yield the rules ``logits``, ``inputs``, ``modes``, ``extremes``, ``determinism``, ``batches``, ``gradients``,
    ``weights``, ``again``, ``save and load``, those of :func:`check_parts` and, if there is a GPU, ``devices``.
    """
    device, n_classes = context.device, len(context.dataset.class_names)
    network = model.build(context).to(device)
    images, labels = to_pixels(data.images, device), torch.from_numpy(data.labels).to(device)
    given, before = images.clone(), fingerprint(network)
    with evaluation_mode(network):
        with torch.no_grad():
            logits = network(images)
        shape = tuple(logits.shape)
        fits = shape == (len(data), n_classes) and logits.is_floating_point() and bool(logits.isfinite().all())
        yield rule("logits", fits, f"{logits.dtype} {shape} for {len(data)} images and {n_classes} classes")
        same = torch.equal(images, given)
        yield rule("inputs", same, "images are unchanged", "images are changed in place")
        training = sum(module.training for module in network.modules())
        yield rule("modes", training == 0, f"{training} modules switched to training mode")
        if not (fits and same):
            return
        with torch.no_grad():
            extremes = network(torch.stack([torch.zeros_like(images[0]), torch.ones_like(images[0])]))
        finite = bool(extremes.isfinite().all())
        yield rule("extremes", finite, f"logits of a black and a white image are {'' if finite else 'not '}finite")
        _, size = probes.disagreement(network, images)
        yield rule("determinism", size < CLOSE, f"logits of two passes differ by {size:.1e} of the largest")
        _, size = probes.neighbours(network, images)
        yield rule("batches", size < CLOSE, f"logits in batches of 2 and 1 differ by {size:.1e} of the largest")
        largest = probes.gradients(network, images, labels)
        without = int((largest == 0).sum())
        reach = without < len(data) / 2 and bool(largest.isfinite().all())
        yield rule("gradients", reach, f"{len(data) - without} of {len(data)} images have a non-zero gradient")
    yield rule("weights", fingerprint(network) == before, "unchanged by evaluation", "changed by evaluation")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        twin = model.build(context).to(device)
    same = fingerprint(twin) == before
    yield rule("again", same, f"a second build has {'the same' if same else 'different'} weights")
    other = model.build(replace(context, seed=context.seed + 1)).to(device)
    other.load_state_dict(network.state_dict())
    with evaluation_mode(other), torch.no_grad():
        loaded = other(images)
    same = torch.equal(loaded, logits)
    yield rule(
        "save and load", same, f"another build with these weights gives {'the same' if same else 'other'} logits"
    )
    with evaluation_mode(network):
        yield from check_parts(model, network, images)
    if torch.cuda.is_available():
        with evaluation_mode(network), torch.no_grad():
            there = network.to("cuda")(images.to("cuda")).cpu()
        far = float((there - logits.cpu()).abs().max() / logits.abs().max())
        yield rule("devices", far < 10 * CLOSE, f"logits on CPU and GPU differ by {far:.1e} of the largest")
