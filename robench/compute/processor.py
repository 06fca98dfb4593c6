"""What the processor says of itself."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def model_name() -> str:
    """Return the processor's name, such as ``AMD EPYC 9354``, or what the platform has in its place."""
    return _told("model name") or platform.processor() or platform.machine()


def maker() -> str:
    """Return who made the processor, such as ``AuthenticAMD``; where that is not told, what holds it besides."""
    return _told("vendor_id") or platform.processor()


def _told(key: str) -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
