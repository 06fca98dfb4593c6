"""The software and the device that a run computes with: versions, the state of the source, names."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from robench.compute.processor import model_name

if TYPE_CHECKING:
    import torch

DISTRIBUTIONS = (
    "robench",
    "torch",
    "torchvision",
    "transformers",
    "peft",
    "torchattacks",
    "pyautoattack",
    "timm",
    "numpy",
    "pillow",
    "scikit-learn",
    "imagehash",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the distributions that influence the numbers."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def software(device: torch.device, processes: int = 1) -> dict[str, str]:
    """Return what must stay the same for an interrupted training to go on with the same result."""
    found = {**versions(), "source": git_state() or "installed package", "device": device_name(device)}
    return found | ({"number of processes": str(processes)} if processes > 1 else {})


def device_name(device: torch.device) -> str:
    """Return the kind of a device and its name, such as ``cpu: AMD EPYC 9354``."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else model_name()
    return f"{device.type}: {name}"


def git_state() -> str | None:
    """Return the commit of the checkout that robench runs from, ``+dirty`` if files differ; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # Runs add results, which do not change what the code computes.
        dirty = _git(root, "status", "--porcelain", "--", ":!results")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+dirty" if dirty else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
