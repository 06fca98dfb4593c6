"""Suites of named sets end to end, on small copies in the forms in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from robench.records.record import RunResult

from robench_plugins.datasets.catalogue import facts
from tests.conftest import command
from tests.helpers.plugin_fixtures import save_tiny_clip, switch_hub_off
from tests.plugins.test_published_sets import write_tar

SUITE = """
name = "small"
version = 1
title = "named sets in small"
source = "by hand"
n = "all"
shots = 1
harmonic_mean = ["base", "new"]
model = { template = "This is a photo of a {}" }
[[attacks]]
name = "FGSM"
attack = "fgsm:eps=1/255"
[[datasets]]
name = "STL base"
dataset = "stl10:size=16,half=base"
group = "base"
[[datasets]]
name = "STL new"
dataset = "stl10:size=16,half=new"
train = "stl10:size=16,half=base"
group = "new"
[[datasets]]
name = "CIFAR-100"
dataset = "cifar100"
average = false
n = 7
[[datasets]]
name = "UCF"
dataset = "ucf101"
average = false
"""


def write_parquet(folder: Path, parts: dict[str, tuple[Any, Any]], names: list[str]) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    folder.mkdir(parents=True)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    for part, (images, labels) in parts.items():
        rows = {"image": [Image.fromarray(image) for image in images], "label": labels.tolist()}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{part}-00000-of-00001.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with STL-10 as parquet and CIFAR-100 as a webdataset."""
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def part(n: int, n_classes: int, side: int = 16) -> tuple[Any, Any]:
        return random.integers(0, 256, (n, side, side, 3), dtype=np.uint8), np.arange(n) % n_classes

    write_parquet(root / "stl10", {"train": part(30, 10), "test": part(20, 10)}, facts()["stl10"]["classes"])
    write_tar(root / "cifar100", {"train": part(12, 10), "test": part(12, 10)})
    (root / "cifar100" / "classnames.txt").write_text("\n".join(facts()["cifar100"]["classes"]))
    return root


@pytest.mark.slow
def test_a_suite_of_named_sets_is_run_from_the_folder_of_them_all(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_hub_off(monkeypatch, tmp_path / "hub")
    (tmp_path / "clip").mkdir()
    model = f"clip:path={save_tiny_clip(tmp_path / 'clip')}"
    file, results = tmp_path / "small.toml", tmp_path / "results"
    file.write_text(SUITE)
    asked = ["suite", file, "--data", data, "--results", results, "--format", "json"]
    runs = ["--model", model, "--tuner", "none", "--tuner", "full+ce:epochs=1", "--checks", "off", "--quiet"]
    found = json.loads(command(capsys, *asked, *runs)[0])
    assert list(found["missing"]) == ["UCF"] and "crcv.ucf.edu" in found["missing"]["UCF"]
    records = [RunResult.model_validate_json(path.read_text()) for path in results.glob("*.json")]
    # Without training each set is a run; the base classes are tuned on and scored with the new ones.
    assert sorted(len(each.elsewhere) for each in records if each.spec.train_size is None) == [0, 0, 0]
    tuned = {each.spec.dataset.name: each for each in records if each.spec.train_size}
    assert tuned.keys() == {"stl10", "cifar100"}
    stl = tuned["stl10"]
    assert stl.data is not None and stl.elsewhere[0].data is not None
    names = facts()["stl10"]["classes"]
    assert list(stl.data.class_names) == names[:5] and list(stl.elsewhere[0].data.class_names) == names[5:]
    assert stl.data.prompts == (("This is a photo of a {}",),) and stl.spec.shots == 1 and stl.spec.train_size == 5
    for row in found["rows"]:
        groups = {each["group"]: each["mean"] for each in row["averages"] if each["measured"] == "FGSM"}
        assert set(groups) == {"base", "new", "harmonic mean"} and groups["base"]["seeds"] == [0]
    # Another folder of the same files is the same: nothing is measured again, and without the files the table stays.
    shown = json.loads(command(capsys, "suite", file, "--results", results, "--format", "json")[0])
    assert [row["averages"] for row in shown["rows"]] == [row["averages"] for row in found["rows"]]
    assert len(list(results.glob("*.json"))) == len(records)
