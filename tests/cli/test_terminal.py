"""What a terminal, a file or a pipe at the other end of robench can do must not end a command with an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from robench.errors import DataError
from robench.exchange.formats import read_foreign
from robench.sweep.plan import read_sweep


def robench(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "robench", *words], env={**os.environ, **environment}, capture_output=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("value", ["0", "please"])
def test_any_value_of_no_color_switches_colours_off(value: str) -> None:
    ended = robench("list", "tuners", NO_COLOR=value)
    assert ended.returncode == 0 and not ended.stderr
    assert b"\x1b" not in ended.stdout and b"tecoa" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "koi8-r"])
def test_a_name_that_the_terminal_cannot_print_ends_no_command(encoding: str, tmp_path: Path) -> None:
    ended = robench("run", "--dataset", "leaf:path=Blätter-листья-葉", "--dry-run", PYTHONIOENCODING=encoding)
    assert ended.returncode == 2
    assert b"unexpected" not in ended.stderr and b"Bl" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("words", [["list"], ["--help"]])
def test_a_reader_that_leaves_is_no_error(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run([sys.executable, "-m", "robench", *words], stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert ended.returncode in (0, 141) and not ended.stderr


def test_a_byte_order_mark_is_read_past(tmp_path: Path) -> None:
    sweep, foreign = tmp_path / "s.toml", tmp_path / "f.json"
    sweep.write_text('title = "leaves"\n[[rows]]\nname = "a"\n', encoding="utf-8-sig")
    foreign.write_text("{}", encoding="utf-8-sig")
    assert read_sweep(sweep).title == "leaves"
    with pytest.raises(DataError, match="expected"):
        read_foreign(foreign)
