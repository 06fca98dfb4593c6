"""Scripts for Slurm, read back by a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from robench.sweep.slurm import slurm_script

HOSTILE = (
    "a b",
    "it's",
    '"',
    "$(touch owned)",
    "`touch owned`",
    "; touch owned",
    "a\nb\ntouch owned",
    "*",
    "ä",
    "#",
    "",
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("word", HOSTILE)
def test_words_and_variables_reach_the_command_as_they_are(tmp_path: Path, word: str) -> None:
    (tmp_path / "srun").write_text('#!/bin/bash\nprintf "%s\\0" "$ROBENCH_PLUGINS" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    script = slurm_script(["robench", "sweep", word], tasks=1, cpus=1, gpus=0, environment={"ROBENCH_PLUGINS": word})
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(["bash"], input=script, text=True, capture_output=True, cwd=tmp_path, env={"PATH": path})
    assert said.stdout.split("\0") == [word, "robench", "sweep", word, ""], said.stderr
    assert not (tmp_path / "owned").exists()
