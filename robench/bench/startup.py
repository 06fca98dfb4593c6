"""Seconds of the processor until the command line answers, in a new process, the second of two."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from robench.bench.process import python
from robench.bench.report import Row
from robench.bench.setting import Setting

COMMANDS = {("--help",): 0.3, ("list",): 0.3, ("run", "--dry-run"): 3.0}
"""What users type, and how many seconds it may take at most."""
RIVAL = "import torch, transformers"


def measure(setting: Setting) -> Iterator[Row]:
    """Measure each command beside the imports that a plain script begins with."""
    for words, most in COMMANDS.items():
        sides = {"robench": ["-m", "robench", *words], "rival": ["-c", RIVAL]}
        for arguments in sides.values():  # so that files are in memory
            python(arguments, setting.folder)
        pairs = [
            tuple(python(arguments, setting.folder).cpu_seconds for arguments in sides.values())
            for _ in range(setting.repeats)
        ]
        ratios = [theirs / ours for ours, theirs in pairs]
        seconds = median(ours for ours, _ in pairs)
        yield Row(
            item="startup",
            case=f"`robench {' '.join(words)}`",
            unit="s CPU",
            robench=seconds,
            rival=f"`{RIVAL}`",
            rival_figure=median(theirs for _, theirs in pairs),
            ratio=median(ratios),
            lowest=min(ratios),
            highest=max(ratios),
            target=f"under {most:g} s",
            met=seconds < most,
        )
