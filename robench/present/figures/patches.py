"""The encoded patches of an image, as the first block of a network gets them."""

from __future__ import annotations

from matplotlib.figure import Figure

from robench.present.figures.canvas import headline, show
from robench.records.record import RunResult
from robench.records.samples import Samples


def patches(result: RunResult, samples: Samples) -> Figure:
    """Draw the first sample and the output of the patch-and-position encoder for it, patches by features."""
    assert samples.patches is not None and result.data is not None
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    picture, heat = figure.subplots(1, 2, width_ratios=[1, 2])
    headline(figure, result, "An image, and what the first block gets of it")
    show(picture, samples.clean[0])
    picture.set_title(f"{result.spec.split} image {samples.indices[0]}", fontsize=8)
    limit = float(abs(samples.patches).max())
    drawn = heat.imshow(samples.patches, cmap="gray", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    heat.set_xlabel("feature")
    heat.set_ylabel("patch, row by row")
    heat.set_title("encoded patches with their positions", fontsize=8)
    figure.colorbar(drawn, ax=heat)
    return figure
