"""Lint, format and types are part of the test command, so that there is one command to run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=["lint", "format", "types"]
)
def test_the_tree_is_clean(root: Path, command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_is_short_enough_to_read(root: Path) -> None:
    long = {
        path.relative_to(root).as_posix(): lines
        for folder in ("robench", "plugins")
        for path in (root / folder).rglob("*.py")
        if (lines := path.read_text().count("\n")) > 280
    }
    assert not long


def test_nothing_in_the_tree_names_a_machine(root: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(?<![\w.])/(?:work|home/\w+|Users/\w+)/\w")
    named = [
        name
        for name in tracked.stdout.splitlines()
        if Path(name).suffix in {".py", ".md", ".toml", ".json", ".cff", ""}
        and (root / name).is_file()
        and pattern.search((root / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert not named
