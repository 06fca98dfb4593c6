"""CPU seconds until the command line answers, in a new process; each command ran once before."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from robench.bench.process import python
from robench.bench.report import Row, compared
from robench.bench.setting import Setting

COMMANDS = {("--help",): 0.3, ("list",): 0.3, ("run", "--dry-run"): 3.0}
"""What users type, and how many CPU seconds it may take."""
RIVAL = "import torch, transformers"


def measure(setting: Setting) -> Iterator[Row]:
    """Measure each command beside the imports that a plain script begins with."""
    for words, most in COMMANDS.items():
        sides = {"robench": ["-m", "robench", *words], "rival": ["-c", RIVAL]}
        for arguments in sides.values():  # so that files are in memory
            python(arguments, setting.folder)
        pairs = [
            [python(arguments, setting.folder).cpu_seconds for arguments in sides.values()]
            for _ in range(setting.repeats)
        ]
        ours, theirs = zip(*pairs, strict=True)
        yield compared(
            ours,
            theirs,
            item="startup",
            case=f"`robench {' '.join(words)}`",
            unit="s CPU",
            rival=f"`{RIVAL}`",
            target=f"under {most:g} s",
            met=median(ours) < most,
        )
