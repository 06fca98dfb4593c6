"""A plugin that is one file: loaded by name, named in the record, and never chosen by one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from robench.registry.registry import FILES

from tests.conftest import command

SALT = '''
import torch
from robench import Attacker, Component, hookimpl

class Salt(Attacker):
    """Every pixel a full step up or down, at random."""

    def perturb(self, network, images, labels):
        eps = float(self.params.eps)
        return (images + eps * torch.sign(torch.randn_like(images))).clamp(0, 1)

@hookimpl
def robench_components():
    return [Component(kind="attacker", name="salt", target="salt_plugin:Salt", summary="random signs")]
'''


@pytest.fixture
def salt(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "salt_plugin.py"
    path.write_text(SALT)
    yield path
    sys.modules.pop("salt_plugin", None)


def test_a_file_is_a_plugin_for_one_command(salt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--results", tmp_path / "results"]
    size = ["--test-size", 20, "--checks", "off", "--quiet"]
    command(capsys, "run", "--plugin", salt, "--attack", "salt:eps=4/255", *size, *where)
    assert FILES not in os.environ
    (path,) = (tmp_path / "results").glob("*.json")
    made = json.loads(path.read_text())["provenance"]
    origin = made["plugins"]["attacker salt"]
    assert origin.startswith("salt_plugin.py ") and origin.endswith(made["code"]["salt_plugin"])
    assert made["code"].keys() == {"robench", "robench_plugins", "salt_plugin"}
    assert f"--plugin {salt}" in made["command"]
    assert "with salt_plugin.py" in command(capsys, "leaderboard", *where)[0]
    listed, _ = command(capsys, "list", "attacks", "--plugin", salt)
    assert "salt_plugin.py" in listed
    assert "unknown attack 'salt'" in command(capsys, "run", "--attack", "salt", code=2)[1]
    assert "keeps all" in command(capsys, "check", "salt", "--plugin", salt)[0]


def test_a_record_does_not_choose_what_code_is_run(
    salt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--results", tmp_path / "results"]
    size = ["--test-size", 20, "--checks", "off", "--quiet"]
    command(capsys, "run", "--plugin", salt, "--attack", "salt", *size, *where)
    (path,) = (tmp_path / "results").glob("*.json")
    proof = tmp_path / "proof"
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(proof)!r}, 'w')")
    path.write_text(path.read_text().replace(str(salt), str(evil)))
    _, errors = command(capsys, "reproduce", path.stem, *where, code=2)
    assert (
        "unknown attacker 'salt'" in errors and "was made with --plugin salt_plugin.py" in errors and not proof.exists()
    )
    assert "bit for bit" in command(capsys, "reproduce", path.stem, "--plugin", salt, *where)[0]


def test_the_environment_names_files_too(
    salt: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILES, str(salt))
    assert "salt_plugin.py" in command(capsys, "plugins")[0]
    command(capsys, "describe", "salt", "--plugin", salt)  # given twice, loaded once
    assert os.environ[FILES] == str(salt)


def test_a_file_in_a_folder_that_python_searches_is_a_plugin_all_the_same(
    salt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the README's, written beside an installation with ``pip install -e .``."""
    monkeypatch.syspath_prepend(salt.parent)
    assert "random signs" in command(capsys, "list", "attacks", "--plugin", salt)[0]
    assert "random signs" in command(capsys, "list", "attacks", "--plugin", salt)[0], "loaded already"


def test_a_file_that_is_missing_broken_or_called_like_another_module_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no such file" in command(capsys, "list", "--plugin", tmp_path / "none.py", code=2)[1]
    broken = tmp_path / "broken_plugin.py"
    broken.write_text("import no_such_module\n")
    _, errors = command(capsys, "run", "--plugin", broken, "--dry-run", code=2)
    assert "No module named 'no_such_module'" in errors and "has the traceback" in errors
    out, _ = command(capsys, "plugins", "--plugin", broken)
    assert "broken_plugin.py" in out and "Traceback" in out
    taken = tmp_path / "json.py"
    taken.write_text(SALT)
    assert "rename the file" in command(capsys, "list", "--plugin", taken, code=2)[1]
    assert "json" in sys.modules and not hasattr(sys.modules["json"], "Salt")
