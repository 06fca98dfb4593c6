"""What a run answered for every image, as a table."""

from __future__ import annotations

from robench.present.grid import csv_text
from robench.records.record import RunResult
from robench.records.samples import Samples


def per_image(record: RunResult, samples: Samples) -> str:
    """Return a CSV with a line for each scored image: its file, its class, and the predicted class in each column.

    An image without a name has its number. A column is empty where an attack was not made.
    """
    classes = record.data.class_names if record.data else ()
    columns = {"clean": samples.predictions, **{attack.label: attack.predictions for attack in samples.attacks}}
    rows = []
    for at, label in enumerate(samples.labels):
        found = [classes[predicted[at]] if at < len(predicted) else "" for predicted in columns.values()]
        rows.append((samples.names[at] if samples.names else str(at), classes[label], *found))
    return csv_text(("image", "class", *columns), rows).removesuffix("\n")
