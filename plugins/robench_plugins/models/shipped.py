"""The folders of weights that come with robench."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped_path(name: str) -> Path:
    """Return the folder of the weights called `name`, whether or not it exists."""
    return Path(str(files("robench_plugins") / "weights" / name))
