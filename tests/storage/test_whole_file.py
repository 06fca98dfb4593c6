"""Files are replaced whole or stay as they were, and what killed processes leave is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from robench.storage.content import UNREADABLE, content_hash
from robench.storage.plain_file import read_plain
from robench.storage.whole_file import draft_beside, remove_abandoned, whole_files, write_whole

DEAD = """
import sys
from pathlib import Path
from robench.storage.whole_file import draft_beside
draft = draft_beside(Path(sys.argv[1]))
if sys.argv[2] == "folder":
    draft.mkdir()
    draft = draft / "inner"
draft.write_text("half")
"""


def test_several_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        write_whole(path, b"old")
    with pytest.raises(OSError, match="full"), whole_files() as draft:
        draft(first).write_bytes(b"new")
        draft(second).write_bytes(b"n")
        raise OSError("full")
    assert [path.read_bytes() for path in (first, second)] == [b"old"] * 2
    assert sorted(tmp_path.iterdir()) == [first, second]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_drafts_of_dead_processes_are_removed(tmp_path: Path, what: str) -> None:
    subprocess.run([sys.executable, "-c", DEAD, str(tmp_path / "file.json"), what], check=True)
    assert len(list(tmp_path.iterdir())) == 1
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_drafts_of_living_processes_other_machines_and_other_programs_stay(tmp_path: Path) -> None:
    mine = draft_beside(tmp_path / "file.json")
    machine = mine.name.split(".")[-2][:8]
    theirs = mine.with_name(mine.name.replace(machine, "0" * 8).replace(f"-{os.getpid()}-", "-99999999-"))
    stay = [mine, theirs, tmp_path / ".editor.tmp", tmp_path / "notes.tmp"]
    for path in stay:
        path.write_text("half")
    for path in stay[2:]:
        os.utime(path, (0, 0))
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(stay)
    for path in stay:
        os.utime(path, (time.time() - 90_000,) * 2)
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(stay[2:])
    remove_abandoned(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["pipe", "loop", "folder", "outside"])
def test_only_regular_files_of_a_folder_are_read_or_hashed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "in" / "file"
    path.parent.mkdir()
    {
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path),
        "folder": path.mkdir,
        "outside": lambda: path.symlink_to(__file__),
    }[kind]()
    with pytest.raises(OSError, match=r"regular file|link|symbolic"):
        read_plain(path, 100_000)
    if kind == "pipe":
        assert content_hash(path, tmp_path / "cache") == UNREADABLE[:16]
