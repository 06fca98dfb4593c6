"""What a run answered for every image, as a table."""

from __future__ import annotations

import csv
import io

from robench.present.harmless import cell
from robench.records.record import RunResult
from robench.records.samples import Samples


def per_image(record: RunResult, samples: Samples) -> str:
    """Return a CSV with a line for each scored image: its file, its class, and the predicted class in each column.

    An image without a name has its number. A column is empty where an attack was not made.
    """
    classes = record.data.class_names if record.data else ()
    columns = {"clean": samples.predictions, **{attack.label: attack.predictions for attack in samples.attacks}}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(map(cell, ("image", "class", *columns)))
    for at, label in enumerate(samples.labels):
        found = [classes[predicted[at]] if at < len(predicted) else "" for predicted in columns.values()]
        table.writerow(map(cell, (samples.names[at] if samples.names else str(at), classes[label], *found)))
    return text.getvalue().removesuffix("\n")
