"""What machines share of their caches by a URL: each thing is made by one of them, and copied by the others.

An adversarial set is ``adversarial/<key>/<sha256>.npy`` and ``adversarial/<key>/meta.json`` there. The second, which is
created only where there is none, makes it a set: whoever comes too late takes the set that is there for its own.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from robench.storage.lease import leased
from robench.storage.shared_folder import SharedFolder

T = TypeVar("T")

MAKING = "making"
"""Folder of the leases of what is being made."""
SETS = "adversarial"


def made_once(shared: SharedFolder, name: str, fetch: Callable[[bool], T | None], make: Callable[[], T]) -> T:
    """Return what `fetch` finds in `shared`; if it finds nothing, what `make` makes there, on one machine at a time.

    Args:
        fetch: Is told whether to take away what it cannot use, as only the one may who is to make it again.

    Raises:
        DataError: The place cannot be reached.
    """
    found = fetch(False)
    if found is not None:
        return found
    with leased(shared, f"{MAKING}/{name}", wait=True):
        found = fetch(True)  # the one who had the lease before may have made it
        return make() if found is None else found


def fetch_set(shared: SharedFolder, path: Path) -> bool:
    """Copy the set that is called as the folder `path` to there, and return whether there is one; nothing is judged.

    Raises:
        DataError: The place cannot be reached.
        OSError: The folder cannot be written to.
    """
    there = f"{SETS}/{path.name}"
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{path.name}.", suffix=".tmp"))
    try:
        meta = shared.read(f"{there}/meta.json")
        (temporary / "meta.json").write_bytes(meta)
        shared.download(f"{there}/{_images_name(meta)}", temporary / "images.npy")
        temporary.replace(path)
    except FileNotFoundError:
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def publish_set(shared: SharedFolder, path: Path) -> bool:
    """Give the set in the folder `path` to all, and return whether it is the one that is there now.

    Raises:
        DataError: The place cannot be reached.
    """
    there, meta = f"{SETS}/{path.name}", (path / "meta.json").read_bytes()
    shared.upload(path / "images.npy", f"{there}/{_images_name(meta)}")
    try:
        shared.create(f"{there}/meta.json", meta)
    except FileExistsError:
        return False
    return True


def withdraw_set(shared: SharedFolder, key: str) -> None:
    """Take away what there is of the set `key`, of which no copy can be used.

    Raises:
        DataError: The place cannot be reached.
    """
    for name in sorted(shared.entries(f"{SETS}/{key}"), key="meta.json".__ne__):  # first what makes it a set
        shared.remove(f"{SETS}/{key}/{name}")


def _images_name(meta: bytes) -> str:
    """Return the file of images of a set; something that is not there if `meta` is damaged."""
    try:
        return f"{json.loads(meta)['sha256']}.npy"
    except (ValueError, KeyError, TypeError):
        return "damaged.npy"
