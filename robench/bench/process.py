"""Run a command and measure its time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.errors import RobenchError, SpecError


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a process used: seconds, CPU seconds and peak memory in bytes; and its output."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def python(arguments: Sequence[str], folder: Path) -> Usage:
    """Run this Python with `arguments`, and wait for it.

    Args:
        folder: The folder to run in, which also gets its output.

    Raises:
        SpecError: This system cannot measure a process.
        RobenchError: The process failed; the message ends with the last line of its errors.
    """
    if not hasattr(os, "wait4"):
        raise SpecError("this item needs os.wait4, which this system lacks; measure others, such as attack")
    output, errors = folder / "output.txt", folder / "errors.txt"
    with output.open("w") as out, errors.open("w") as err:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=err, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = errors.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise RobenchError(f"{' '.join(arguments[:3])} failed with {process.returncode}: {lines[-1]}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes on Linux
    return Usage(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * unit,
        output=output.read_text(),
    )
