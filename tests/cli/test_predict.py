"""robench predict: answers for images without labels."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from robench import DataError
from robench.contracts.dataset import Dataset
from robench.registry.registry import Registry

from tests.cli.test_cli import Terminal
from tests.conftest import entry_point, registry_of
from tests.helpers import toy, toy_defences
from tests.helpers.toy import Dots


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    for module in ("run", "predict"):
        monkeypatch.setattr(f"robench.cli.{module}.discover", lambda **_: registry)
    monkeypatch.chdir(tmp_path)
    return Terminal(capsys, tmp_path)


def recorded(terminal: Terminal, tuner: str, *more: str) -> str:
    words = ["run", "--dataset", "dots", "--tuner", tuner, "--attack", "sign", "--test-size", "40", "--checks", "off"]
    terminal(*words, "--train-size", "20", *more)
    return max(Path("results").glob("*.json"), key=os.path.getmtime).stem


def saved(folder: Path, suffix: str = "png") -> list[Path]:
    """Write the test images of the dots, and return their files."""
    folder.mkdir(parents=True)
    files = []
    for at, image in enumerate(Dots().split("test").images):
        files.append(folder / f"{at:02}.{suffix}")
        Image.fromarray(image.transpose(1, 2, 0)).save(files[-1])
    return files


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_images_get_the_answers_that_the_record_has(terminal: Terminal) -> None:
    run = recorded(terminal, "none")
    files = saved(Path("new/deep"))
    (Path("new") / ".DS_Store").write_text("x")
    Path("new/loop").symlink_to(Path.cwd() / "new")
    answers = rows(terminal("predict", run[:6], "new"))
    assert [row["file"] for row in answers] == [file.as_posix() for file in files]
    of_record = rows(terminal("show", run, "--images"))
    assert [row["class"] for row in answers] == [row["clean"] for row in of_record]
    assert {row["class"] for row in answers} == {"dark", "light"}
    both = rows(terminal("predict", run, str(files[0]), str(files[1]), "--top", "2"))
    assert [row["class"] for row in both[::2]] == [row["class"] for row in answers[:2]]
    for first, second in zip(both[::2], both[1::2], strict=True):
        assert first["file"] == second["file"] and first["class"] != second["class"]
        assert float(first["probability"]) >= 0.5
        assert float(first["probability"]) + float(second["probability"]) == pytest.approx(1, abs=2e-4)


def test_the_defence_of_the_run_answers(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry_of(entry_point("toy", toy.__name__, "toy"), entry_point("more", toy_defences.__name__, "more"))
    for module in ("run", "predict"):
        monkeypatch.setattr(f"robench.cli.{module}.discover", lambda **_: known)
    run = recorded(terminal, "none", "--defence", "mirror")
    saved(Path("new"))
    answers = [row["class"] for row in rows(terminal("predict", run, "new"))]
    assert answers == [row["clean"] for row in rows(terminal("show", run, "--images"))]
    plain = [row["class"] for row in rows(terminal("predict", recorded(terminal, "none"), "new"))]
    assert [{"dark": "light", "light": "dark"}[each] for each in plain] == answers


def test_files_that_are_no_images_are_named_and_counted(terminal: Terminal) -> None:
    run = recorded(terminal, "none")
    good = saved(Path("new"))[:2]
    Path("new/notes.txt").write_text("no image")
    Path("new/link.png").symlink_to("nowhere")
    assert terminal("predict", run, "new", "--output", "answers.csv", code=1) == "40 images: answers.csv\n"
    assert len(rows(Path("answers.csv").read_text())) == 40
    assert "new/notes.txt cannot be read as an image" in terminal.errors
    assert "new/link.png is no regular file, or a link to nothing" in terminal.errors
    assert terminal.errors.endswith("2 of 42 files could not be read\n")
    Path("empty").mkdir()
    for words, message in (
        (["new/notes.txt"], "none of 1 files could be read as an image"),
        (["nix"], "no file or folder nix; expected images, or a folder of images"),
        (["empty"], "empty holds no files"),
        ([str(good[0]), "--adapter", "a.safetensors"], "tunes with none, which trains nothing; leave --adapter out"),
        ([str(good[0]), "--output", "no/a.csv"], "there is no folder no; make it first"),
        ([str(good[0]), "--output", "new"], "--output new is a folder; expected the name of a file"),
        ([str(good[0]), "--top", "0"], "0 is not in the range"),
    ):
        terminal("predict", run, *words, code=2)
        assert message in terminal.errors and "Traceback" not in terminal.errors
    terminal("predict", "nix", "new", code=2)


def test_a_trained_network_needs_the_adapter_of_its_run(terminal: Terminal) -> None:
    run = recorded(terminal, "bias", "--save-adapter", "own.safetensors")
    recorded(terminal, "bias", "--seed", "1", "--save-adapter", "other.safetensors")
    files = saved(Path("new"))
    terminal("predict", run, str(files[0]), code=2)
    assert "a record holds no weights; repeat it with `robench run" in terminal.errors
    assert "--save-adapter FILE` and pass --adapter FILE" in terminal.errors
    terminal("predict", run, str(files[0]), "--adapter", "other.safetensors", code=2)
    assert f"not by {run}; pass that of this run" in terminal.errors
    answers = rows(terminal("predict", run, "new", "--adapter", "own.safetensors"))
    assert terminal.errors == ""
    loaded = recorded(terminal, "none", "--adapter", "own.safetensors")
    assert rows(terminal("predict", loaded, "new")) == answers
    terminal("predict", loaded, "new", "--adapter", "own.safetensors", code=2)
    assert f"run {loaded} loads own.safetensors; leave --adapter out" in terminal.errors
    assert [row["class"] for row in answers] == [row["clean"] for row in rows(terminal("show", run, "--images"))]


def test_images_are_turned_and_cropped_to_the_shape_of_the_run(tmp_path: Path) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    read = Dataset.read_image(Dots(), tmp_path / "turned.png", (10, 10))
    assert read.shape == (3, 10, 10) and read.dtype == np.uint8
    assert read[:, :4].min() > 200 and read[:, 6:].max() < 55
    assert Dataset.read_image(Dots(), tmp_path / "turned.png", (30, 10)).shape == (3, 30, 10)
    Image.new("I;16", (8, 8), 40000).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match="the mode I;16; expected 8 bits a channel"):
        Dataset.read_image(Dots(), tmp_path / "deep.png", (8, 8))
