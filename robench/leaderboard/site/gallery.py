"""Sample images of a run for the page: clean, amplified change and adversarial side by side."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from robench.present.figures.examples import MOST_ROWS, amplified
from robench.records.record import RunResult
from robench.records.samples import Samples


def gallery(result: RunResult, samples: Samples) -> list[dict[str, Any]]:
    """Return a row of pictures for each sample image.

    ``right`` tells whether the network classifies a picture correctly; None for pictures of a change.
    """
    assert result.data is not None
    names = result.data.class_names
    rows: list[dict[str, Any]] = []
    for row, index in enumerate(samples.indices[:MOST_ROWS]):
        label = int(samples.labels[index])
        clean = samples.clean[row]
        pictures = [_picture(clean, "clean", *_answer(samples.logits[row], label, names))]
        for attack in samples.attacks:
            change, factor, largest = amplified(clean, attack.images[row])
            drawn = np.rint(255 * change).astype(np.uint8)
            pictures += [
                _picture(drawn, f"change x {factor:.3g}", f"largest {largest:.0f}/255", None),
                _picture(attack.images[row], attack.label, *_answer(attack.logits[row], label, names)),
            ]
        rows.append({"title": f"{names[label]}, image {int(index)}", "pictures": pictures})
    return rows


def _picture(image: NDArray[Any], title: str, text: str, right: bool | None) -> dict[str, Any]:
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1))).save(content, "png")
    inside = base64.b64encode(content.getvalue()).decode()
    return {"source": f"data:image/png;base64,{inside}", "title": title, "text": text, "right": right}


def _answer(logits: NDArray[np.float32], label: int, names: tuple[str, ...]) -> tuple[str, bool]:
    """Return the predicted class with its softmax probability, and whether it is right."""
    found = int(logits.argmax())
    return f"{names[found]}, {softmax(logits)[found]:.0%}", found == label
