"""What is found out about single files, kept in the cache until a file changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from robench.storage.content import SETTLED, stat_of
from robench.storage.location import cache_folder
from robench.storage.plain_file import read_plain
from robench.storage.whole_file import whole_file

MOST_THREADS = 16
MOST_BYTES = 2**30


def remembered(name: str, files: Sequence[Path], make: Callable[[Path], Any]) -> list[Any]:
    """Return what `make` returns for each of `files`. It is called again only for files that are new or have changed.

    Answers are kept in the user's cache (``ROBENCH_CACHE``), by the path, size and times of each file. A cache that
    cannot be written to costs time and nothing else.

    Args:
        name: All else that decides the answers, such as the folder, what is asked and the version of the reader.
        files: Files, which may be missing.
        make: Returns JSON values; it is called in several threads at once.
    """
    kept_at = cache_folder() / "by-file" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.json"
    kept = _kept(kept_at)
    paths = [str(file.absolute()) for file in files]
    states = [_state(file) for file in files]
    old = [
        kept[path][1] if state and kept.get(path, [None])[0] == state else None
        for path, state in zip(paths, states, strict=True)
    ]
    missing = [at for at, answer in enumerate(old) if answer is None]
    if not missing:
        return [answer[0] for answer in old if answer is not None]
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for at, answer in zip(missing, pool.map(make, [files[at] for at in missing]), strict=True):
            old[at] = [answer]
    newest = time.time_ns() - SETTLED
    found = {
        path: [state, answer]
        for path, state, answer in zip(paths, states, old, strict=True)
        if state and max(state[1:]) < newest
    }
    with contextlib.suppress(OSError):
        kept_at.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(kept_at) as temporary:
            temporary.write_text(json.dumps(found), encoding="ascii")
    return [answer[0] for answer in old if answer is not None]


def _state(file: Path) -> list[int] | None:
    """Return the size and the times of a file; None if it is missing."""
    found = stat_of(file)
    return None if found is None else [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _kept(path: Path) -> dict[str, Any]:
    """Return what is kept: for each path the state of the file, and the answer in a list; nothing if it is damaged."""
    try:
        found = json.loads(read_plain(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    whole = isinstance(found, dict) and all(
        isinstance(each, list) and len(each) == 2 and isinstance(each[1], list) and len(each[1]) == 1
        for each in found.values()
    )
    return found if whole else {}
