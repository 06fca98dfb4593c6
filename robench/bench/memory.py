"""Peak memory of a run as the number of images grows a hundredfold: evaluation and a transfer attack, 32 pixels.

The images are a folder in the Hub's parquet layout, with the same thousand leaves repeated. Peak memory is that of the
whole process as the system counts it, including the resident part of memory-mapped files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robench.bench.process import python
from robench.bench.report import Row
from robench.bench.setting import Setting

COUNTS = (1_000, 10_000, 100_000)
TRAIN = 100
"""Training images for the surrogate, whose quality does not matter here."""
MOST = 1.1
"""The goal: at most this many times the memory of the smallest number of images."""
MIB = 2**20


def measure(setting: Setting) -> Iterator[Row]:
    """Measure each number of images in a process of its own, and compare it with the smallest number."""
    counts = (20, 40) if setting.quick else COUNTS
    data = setting.context.dataset.split("test", min(counts[0], 1000))
    first = 0.0
    for count in counts:
        folder = setting.folder / f"images-{count}"
        write_parquet(folder / "train-00000-of-00001.parquet", data.images, data.labels, TRAIN)
        write_parquet(folder / "test-00000-of-00001.parquet", data.images, data.labels, count)
        words = ["-m", "robench", "run", "--dataset", f"cifar10:path={folder}", "--model", "resnet20"]
        words += ["--attack", "fgsm-resnet20", "--no-white-box", "--checks", "off", "--test-size", str(count)]
        words += ["--results", f"results-{count}", "--cache-dir", f"cache-{count}", "--quiet"]
        usage = python([*words, "--device", str(setting.device)], setting.folder)
        peak = usage.peak_bytes / MIB
        first = first or peak
        yield Row(
            item="memory",
            case=f"{count:,} images, evaluated clean and under fgsm-resnet20",
            unit="MiB at most",
            robench=peak,
            target="" if count == counts[0] else f"{MOST:g} times that of {counts[0]:,}",
            met=None if count == counts[0] else peak <= MOST * first,
            note=f"{usage.seconds:.0f} s" + ("" if count == counts[0] else f"; {peak / first:.2f} times"),
        )


def write_parquet(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], count: int) -> None:
    """Write `count` images in the Hub's layout, repeating those given."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(buffer, format="PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema({"img": kind, "label": pa.int64()})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, len(encoded)):
            n = min(len(encoded), count - start)
            columns = [pa.array(encoded[:n], type=kind), pa.array(labels[:n].tolist(), type=pa.int64())]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
