"""A recorded run is handed out only if all that decides its figures is as it was, wherever the files are named."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robench.records.record import RunResult
from robench.records.store import read_record
from robench.registry import source_files
from robench.storage.content import content_hash

from tests.conftest import command

PLUGIN = '''
from pathlib import Path

import numpy as np
import torch
from robench import Attacker, AttackParams, Component, Dataset, Field, ImageSet, Model, Params, Tuner, hookimpl


class BoxesParams(Params):
    path: str = Field(description="folder")


class Boxes(Dataset):
    """Images in a folder."""

    Params = BoxesParams
    class_names = ("dark", "light")

    def split(self, name, limit=None):
        images = np.load(Path(self.params.path) / "images.npy")[:limit]
        return ImageSet(images=images, labels=np.arange(len(images)) % 2)


class GainParams(Params):
    weights: str = Field(default="none", description="file")
    beside: bool = Field(default=False, description="also read the file beside it")


class Network(torch.nn.Module):
    def __init__(self, gain, shift):
        super().__init__()
        self.gain, self.shift = torch.nn.Parameter(torch.tensor(gain)), shift

    def forward(self, images):
        light = self.gain * (images.mean((1, 2, 3)) - 0.5 + self.shift)
        return torch.stack([-light, light], 1)


class Gain(Model):
    """A gain from a file."""

    Params = GainParams

    @classmethod
    def files(cls, params):
        beside = {"shift": Path(params.weights).with_name("shift.txt")} if params.beside else {}
        return {**super().files(params), **beside}

    def build(self, context):
        shift = float(self.files(self.params)["shift"].read_text()) if self.params.beside else 0.0
        return Network(float(Path(self.params.weights).read_text()), shift)


class PatternParams(AttackParams):
    pattern: Path | None = Field(default=None, description="file")


class Pattern(Attacker):
    """Follows the gradient, or a pattern in a file."""

    Params = PatternParams

    def perturb(self, network, images, labels):
        if self.params.pattern is not None:
            return images + float(self.params.eps) * float(self.params.pattern.read_text())
        images = images.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        return images + float(self.params.eps) * torch.autograd.grad(loss, images)[0].sign()


@hookimpl
def robench_components():
    here = "boxes_plugin"
    return [
        Component(kind="dataset", name="boxes", target=f"{here}:Boxes", summary="", recommends={"model": "gain"}),
        Component(kind="model", name="gain", target=f"{here}:Gain", summary=""),
        Component(kind="attacker", name="pattern", target=f"{here}:Pattern", summary=""),
    ]
'''


def draw(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    images = random.randint(100, 120, (8, 3, 4, 4)) + 40 * (np.arange(8) % 2)[:, None, None, None]
    np.save(folder / "images.npy", images.astype(np.uint8))


def forget_plugin() -> None:
    sys.modules.pop("boxes_plugin", None)
    source_files._hash.cache_clear()


Run = Callable[..., tuple[RunResult, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, the current one, with a plugin and all the files that its components read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boxes_plugin.py").write_text(PLUGIN)
    draw(tmp_path / "data", 0)
    for name, text in {"w.txt": "30.0", "s.txt": "20.0", "p.txt": "1.0", "shift.txt": "0.0"}.items():
        (tmp_path / name).write_text(text)
    forget_plugin()
    yield tmp_path
    forget_plugin()


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run with some settings, and return the record that was handed out and what stood on standard error."""

    def carry_out(
        *more: str, dataset: str = "boxes:path=data", model: str = "gain:weights=w.txt,beside=true", **extra: str
    ) -> tuple[RunResult, str]:
        attacks = extra.get("attack", "pattern-gain:surrogate.weights=s.txt pattern:pattern=p.txt").split()
        words = ["--dataset", dataset, "--model", model, *(w for attack in attacks for w in ("--attack", attack))]
        words += ["--test-size", "8", "--checks", "off", "--results", str(place / "results"), "--json", *more]
        out, error = command(
            capsys, "run", "--plugin", place / "boxes_plugin.py", "--cache-dir", place / "cache", *words
        )
        return RunResult.model_validate_json(out), error

    return carry_out


CHANGES: dict[str, Callable[[Path], object]] = {
    "w.txt": lambda place: (place / "w.txt").write_text("29.0"),
    "s.txt": lambda place: (place / "s.txt").write_text("21.0"),
    "p.txt": lambda place: (place / "p.txt").write_text("-1.0"),
    "shift": lambda place: (place / "shift.txt").write_text("0.1"),
    "data": lambda place: draw(place / "data", 1),
    "boxes_plugin": lambda place: ((place / "boxes_plugin.py").write_text(PLUGIN + "\n# other\n"), forget_plugin()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_run_is_measured_again_when_anything_that_decides_it_changes(what: str, place: Path, run: Run) -> None:
    first, _ = run()
    again, said = run()
    assert again == first and "measured again" not in said
    CHANGES[what](place)
    second, said = run()
    assert f"{what} has changed since run {first.run_id}" in said and "measured again: " in said
    assert second.run_id == f"{first.run_id}-2" and second.provenance.started >= first.provenance.started
    assert read_record(place / "results" / f"{first.run_id}.json") == first  # nothing is lost
    assert run()[0] == second


def test_what_is_put_back_brings_back_its_record(place: Path, run: Run) -> None:
    first, _ = run()
    (place / "w.txt").write_text("1.00")
    second, _ = run()
    (place / "w.txt").write_text("30.0")
    assert run()[0] == first != second


def test_times_that_lie_hide_no_change(place: Path, run: Run) -> None:
    first, _ = run()
    before = (place / "w.txt").stat()
    (place / "w.txt").write_text("29.0")
    os.utime(place / "w.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run()[0].tuning.model_fingerprint != first.tuning.model_fingerprint  # type: ignore[union-attr]


def test_a_touched_file_is_no_other_file(place: Path, run: Run) -> None:
    first, _ = run()
    os.utime(place / "w.txt")
    shutil.copytree(place / "data", place / "copy")
    shutil.rmtree(place / "data")
    (place / "copy").rename(place / "data")
    assert run()[0] == first


@pytest.mark.parametrize("path", ["./data/", "{place}/data", "{place}/data/", "link", "data/../data", "other/../data"])
def test_the_same_data_is_the_same_run_however_its_path_is_written(path: str, place: Path, run: Run) -> None:
    (place / "other").mkdir()
    (place / "link").symlink_to("data")
    first, _ = run()
    again, _ = run(dataset=f"boxes:path={path.format(place=place)}", model="gain:weights=./w.txt,beside=true")
    assert again == first and len(list((place / "results").glob("*.json"))) == 1


def test_the_same_relative_path_in_another_folder_is_other_data(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = run()
    there = place / "there"
    shutil.copytree(place, there, ignore=shutil.ignore_patterns("results", "cache", "there"))
    monkeypatch.chdir(there)
    assert run()[0] == first  # a copy
    draw(there / "data", 3)
    second, said = run()
    assert second.data.test_fingerprint != first.data.test_fingerprint  # type: ignore[union-attr]
    assert "data has changed" in said
    monkeypatch.chdir(place)
    (place / "deeper").mkdir()
    monkeypatch.chdir(place / "deeper")
    assert (
        run(
            dataset="boxes:path=../data",
            model="gain:weights=../w.txt,beside=true",
            attack=("pattern-gain:surrogate.weights=../s.txt pattern:pattern=../p.txt"),
        )[0]
        == first
    )


def test_cached_sets_of_other_weights_data_or_code_are_not_used(place: Path, run: Run) -> None:
    """A parameter-free surrogate: its file changes its logits, and none of its weights."""
    attack = "pattern-gain:surrogate.weights=s.txt,surrogate.beside=true"
    first, _ = run(attack=attack)
    assert not first.attacks[0].cached
    shared, _ = run("--force", attack=attack)
    assert shared.attacks[0].cached
    for change in ("shift", "s.txt", "data", "boxes_plugin"):
        CHANGES[change](place)
        assert not run(attack=attack)[0].attacks[0].cached, change


def test_a_dry_run_says_what_has_changed(place: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = run()
    (place / "w.txt").write_text("1.00")
    words = ["--dataset", "boxes:path=data", "--model", "gain:weights=w.txt,beside=true"]
    words += ["--attack", "pattern-gain:surrogate.weights=s.txt", "--attack", "pattern:pattern=p.txt"]
    words += ["--test-size", "8", "--results", str(place / "results"), "--cache-dir", str(place / "cache"), "--dry-run"]
    out, _ = command(capsys, "run", "--plugin", "boxes_plugin.py", *words)
    assert f"to be measured again: w.txt has changed since run {first.run_id}" in out
    assert not json.loads(command(capsys, "run", "--plugin", "boxes_plugin.py", *words, "--json")[0])["recorded"]


def test_compare_and_reproduce_name_the_file(place: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = run()
    (place / "w.txt").write_text("29.0")
    second, _ = run()
    results = ["--results", place / "results"]
    content = json.loads(command(capsys, "compare", first.run_id, second.run_id, "--json", *results)[0])
    (found,) = [each for each in content["differences"] if each["setting"] == "content of model weights"]
    assert found["first"].startswith("w.txt ") and found["second"].startswith("w.txt ")
    _, said = command(capsys, "reproduce", first.run_id, "--plugin", "boxes_plugin.py", *results)
    assert f"w.txt has changed since run {first.run_id}" in said


def test_a_record_without_contents_is_compared_by_what_it_has(place: Path, run: Run) -> None:
    first, _ = run()
    path = place / "results" / f"{first.run_id}.json"
    old: dict[str, Any] = json.loads(path.read_text())
    old["provenance"]["contents"] = None
    path.write_text(json.dumps(old))
    kept, said = run()
    assert kept.run_id == first.run_id and "w.txt" in said and "--force" in said
    draw(place / "data", 5)
    second, said = run()
    assert second.run_id == f"{first.run_id}-2" and f"the images in data have changed since run {first.run_id}" in said


def test_files_that_are_gone_leave_the_record(place: Path, run: Run) -> None:
    first, _ = run()
    (place / "w.txt").unlink()
    kept, said = run()
    assert kept == first and "could not be compared" in said


@pytest.mark.parametrize("folder", [True, False])
def test_hashes_are_kept_until_a_size_or_time_changes(
    folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "files"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).write_text(name)
    path = root if folder else root / "a"
    first = content_hash(path, tmp_path)
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert content_hash(path, tmp_path) == first
    (kept,) = (tmp_path / "content").iterdir()
    kept.write_text("0123456789abcdef")
    assert content_hash(path, tmp_path) == "0123456789abcdef"  # nothing was read
    kept.write_text("no hash")
    assert content_hash(path, tmp_path) == first
    (root / "a").write_text("c")
    assert content_hash(path, tmp_path) != first


def test_the_content_of_a_folder_is_its_names_and_bytes(tmp_path: Path) -> None:
    hashes = set()
    for number, files in enumerate([{"x/a": "1"}, {"y/a": "1"}, {"x/a": "2"}, {"x/a": "1", "x/b": ""}, {"x/a": "1"}]):
        root = tmp_path / str(number)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "x").mkdir(exist_ok=True)
        (root / "x" / ".hidden").write_text(str(number))
        (root / "x" / "above").symlink_to(root)
        os.mkfifo(root / "pipe")
        hashes.add(content_hash(root, tmp_path / "cache"))
    assert len(hashes) == 4
