"""The name of the processor."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def model_name() -> str:
    """Return the processor's name, such as ``AMD EPYC 9354``, or what the platform calls it."""
    return _read("model name") or platform.processor() or platform.machine()


def _read(key: str) -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
