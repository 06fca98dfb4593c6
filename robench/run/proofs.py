"""Certified accuracy: what the defence of a run proves of the first images of the split."""

from __future__ import annotations

import torch

from robench.attack.perturbation import seeded
from robench.compute.precision import computing
from robench.contracts.context import Progress, RunContext
from robench.contracts.types import format_pixels
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.defended import Defended
from robench.networks.evaluate import evaluation_mode
from robench.records.record import CertifiedScore

BATCH = 10
"""Images given to a proof at a time; each may take thousands of answers."""


def certified_scores(network: Defended, test: ImageSet, context: RunContext) -> tuple[CertifiedScore, ...]:
    """Return the images that are right and proved, at each radius of the defence; none if it proves nothing.

    Raises:
        PluginError: What the defence returns are no classes and radii.
    """
    defence = network.defence
    n = min(defence.certified_images(), len(test))
    if n == 0:
        return ()
    classes, radii = [], []
    inference = torch.inference_mode(not defence.uses_gradients)
    with (
        seeded(context.stream("certified"), context.device),
        evaluation_mode(network),
        inference,
        computing(context.precision.evaluation, context.device),
    ):
        for start in range(0, n, BATCH):
            images = to_pixels(test.images[start : min(start + BATCH, n)], context.device)
            found = defence.certify(network.network, images, len(context.dataset.class_names))
            classes.append(found.classes.cpu())
            radii.append(found.radii.double().cpu())
            context.report(Progress(stage="certified accuracy", done=start + len(images), total=n))
    right, proved = torch.cat(classes).numpy() == test.labels[:n], torch.cat(radii).numpy()
    written = format_pixels if defence.norm == "Linf" else str
    return tuple(
        CertifiedScore.of(right & (proved >= float(level)), norm=defence.norm, eps=written(level))
        for level in defence.levels
    )
