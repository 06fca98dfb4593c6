"""The sets that the field scores on: their facts hold together, and each form on disk is read under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from robench import DataError
from robench.cli import cli
from robench.registry.registry import discover

from robench_plugins.datasets.catalogue import facts
from tests.helpers.plugin_fixtures import switch_hub_off
from tests.plugins.test_published_sets import write_tar

PROTOCOLS = {"tecoa-16": 15, "robustvlm-13": 13, "coop-11": 11}
"""Sets of each protocol in the catalogue; CIFAR-10 is a dataset of its own, ImageNet also one of robustvlm-13's."""


def dataset(text: str) -> Any:
    return discover().resolve("dataset", text).build()


def picture(path: Path, value: int = 100, size: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size + 4, 3), value, np.uint8)).save(path)


def test_every_fact_is_told_and_every_template_has_a_place_for_the_class() -> None:
    for name, each in facts().items():
        assert all("{c}" in template for template in each["templates"]), name
        assert len(each["classes"]) >= 2 and all(each["classes"]), name
        assert len(each.get("synsets", each["classes"])) == len(each["classes"]), name
        assert each["licence"] and each["names_from"] and each["site"].startswith("http"), name
        assert each["test"] > 0, name


def test_every_set_of_the_protocols_is_there() -> None:
    named = [protocol for each in facts().values() for protocol in each["protocols"]]
    assert {protocol: named.count(protocol) for protocol in PROTOCOLS} == PROTOCOLS


def test_folders_of_synsets_are_read_under_their_names(tmp_path: Path) -> None:
    for value, synset in enumerate(("n01440764", "n01443537", "n04552348")):
        picture(tmp_path / "val" / synset / "a.JPEG", 50 * value)
    made = dataset(f"imagenet:path={tmp_path}")
    data = made.split("test")
    assert data.images.shape == (3, 3, 224, 224)
    assert sorted(made.class_names[label] for label in data.labels) == ["goldfish", "military aircraft", "tench"]
    assert len(set(made.class_names)) == 1000
    assert made.prompts()[0][0] == "a bad photo of a tench."
    assert made.prompts()[657][0] == made.prompts()[744][0] == "a bad photo of a missile."


def test_a_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "val" / "n01440764" / "a.png")
    picture(tmp_path / "val" / "goldfishes" / "a.png")
    with pytest.raises(DataError, match="'goldfishes', which is no class of the set"):
        dataset(f"imagenet:path={tmp_path}").check_files()


def test_tiny_imagenet_is_read_as_it_is_published(tmp_path: Path) -> None:
    first, second = facts()["tiny-imagenet"]["synsets"][:2]
    for at in range(10):
        picture(tmp_path / "train" / first / "images" / f"{at}.JPEG")
    for name in ("val_0.JPEG", "val_1.JPEG"):
        picture(tmp_path / "val" / "images" / name)
    picture(tmp_path / "test" / "images" / "test_0.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text(f"val_0.JPEG\t{second}\t0\t0\t9\t9\nval_1.JPEG\t{first}\t0\n")
    made = dataset(f"tiny-imagenet:path={tmp_path}")
    assert (made.size("train"), made.size("validation"), made.size("test")) == (9, 1, 2)
    assert sorted(made.split("test").labels.tolist()) == [0, 1]
    assert "test/images" in made.notes()[0]


def test_a_webdataset_keeps_the_order_of_its_own_class_names(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    write_tar(tmp_path, {"test": (images, np.arange(4) % 3)})
    with pytest.raises(DataError, match=r"cifar100 has 100 classes; .* has 3"):
        dataset(f"cifar100:path={tmp_path}").class_names  # noqa: B018
    names = tuple(reversed(facts()["cifar100"]["classes"]))
    (tmp_path / "classnames.txt").write_text("\n".join(names))
    made = dataset(f"cifar100:path={tmp_path}")
    assert made.class_names == names
    assert made.prompts()[0] == (f"a photo of a {names[0]}.", f"a small {names[0]}.")
    assert made.split("test").images.shape == (4, 3, 32, 32)


def test_files_of_another_order_keep_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = [name.upper() for name in reversed(facts()["stl10"]["classes"])]
    features = {
        "image": datasets.Image(),
        "rough": datasets.ClassLabel(names=["animal", "thing"]),
        "label": datasets.ClassLabel(names=names),
    }
    images = [Image.fromarray(np.full((96, 96, 3), value, np.uint8)) for value in range(3)]
    rows = {"image": images, "rough": [0] * 3, "label": [0, 1, 2]}
    whole = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    whole.to_parquet(tmp_path / "test-00000-of-00001.parquet")
    made = dataset(f"stl10:path={tmp_path}")
    assert made.class_names == tuple(reversed(facts()["stl10"]["classes"]))
    data = made.split("test")
    assert (data.images[:, 0, 0, 0] == data.labels).all()


def write_dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    names = facts()["dtd"]["classes"]
    for at, split in enumerate(("train", "val", "test")):
        lines = [f"{name}/{name}_{at}.png" for name in names]
        for line in lines:
            picture(base / "images" / line, at)
        (base / "labels" / f"{split}1.txt").write_text("\n".join(lines))


@pytest.mark.slow
def test_the_layout_of_torchvision_is_read_by_its_class(tmp_path: Path) -> None:
    write_dtd(tmp_path)
    named, plain = dataset(f"dtd:path={tmp_path},size=16"), dataset(f"torchvision:dtd,path={tmp_path},size=16")
    assert (named.size("train"), named.size("validation"), named.size("test")) == (47, 47, 47)
    assert named.class_names == plain.class_names
    assert named.split("test").fingerprint() == plain.split("test").fingerprint()
    assert named.split("test").images.max() == 2
    assert named.prompts()[0][0] == "a photo of a banded texture."


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cifar100:path={}", "holds no CIFAR100 as torchvision lays it out"),
        ("torchvision:Flower102,path={}", "no set 'Flower102'; did you mean 'Flowers102'"),
        ("imagenet-r:path={}", "holds no ImageNet-R: expected webdataset shards"),
        ("ucf101", "UCF101 is not on the Hub; get it from https://.*pass --dataset ucf101:path=DIR"),
        ("imagenet", "hf download clip-benchmark/wds_imagenet1k .*imagenet:path=DIR"),
    ],
)
def test_a_set_that_is_not_there_says_what_to_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, match: str
) -> None:
    switch_hub_off(monkeypatch, tmp_path / "hub")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=match) as caught:
        dataset(text.format(tmp_path / "empty")).check_files()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_list_shows_what_is_on_this_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    whole = CliRunner().invoke(cli, ["list", "datasets"])
    there = CliRunner().invoke(cli, ["list", "datasets", "--available"])
    assert "imagenet-sketch" in whole.output and "caltech256" in whole.output
    drawn = ["leaf-synth", "digits", "shapes", "textures", "counts"]
    assert [line.split()[0] for line in there.output.splitlines() if line.startswith("  ")] == drawn
    assert CliRunner().invoke(cli, ["list", "--available"]).exit_code != 0
