"""Which share of a default run its certificate takes, by the wall time of each stage that the record keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from robench.bench.process import python
from robench.bench.report import Row
from robench.bench.setting import Setting

RUNS: tuple[tuple[str, ...], ...] = ((), ("--tuner", "tecoa"))
"""What users type after ``robench run``, in this order: the second takes its transferred test images from the first."""
MOST = 15.0
"""The goal, in percent."""


def measure(setting: Setting) -> Iterator[Row]:
    """Carry out both runs anew for each repetition."""
    found: dict[tuple[str, ...], list[tuple[float, float]]] = {words: [] for words in RUNS}
    few = ["--test-size", "20", "--train-size", "20"] if setting.quick else []
    for turn in range(setting.repeats):
        folder = setting.folder / f"certificate-{turn}"
        for number, words in enumerate(RUNS):
            results = folder / f"results-{number}"
            where = ["--results", str(results), "--cache-dir", str(folder / "cache"), "--device", str(setting.device)]
            python(["-m", "robench", "run", *words, *(few if words else few[:2]), *where, "--quiet"], setting.folder)
            found[words].append(_seconds(results))
    for words, seconds in found.items():
        checks, total = (median(each) for each in zip(*seconds, strict=True))
        share = median(100 * part / whole for part, whole in seconds)
        yield Row(
            item="certificate",
            case=f"its share of `{' '.join(('robench run', *words))}`",
            unit="%",
            robench=share,
            target=f"at most {MOST:g} %",
            met=share <= MOST,
            note=f"{checks:.1f} of {total:.1f} s",
        )


def _seconds(results: Path) -> tuple[float, float]:
    """Return how long the checks took and how long all took, of the only record in `results`."""
    (record,) = results.glob("*.json")
    stages: dict[str, float] = json.loads(record.read_text())["seconds"]
    return stages["checks"], stages["total"]
