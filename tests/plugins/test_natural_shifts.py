"""Natural shifts are read in the layout in which they are published, over the classes that they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from robench import DataError
from robench.registry.registry import discover

from robench_plugins.datasets.catalogue import facts


def dataset(text: str) -> Any:
    return discover().resolve("dataset", text).build()


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 28), (value, value, value)).save(path)


@pytest.mark.parametrize(
    ("name", "folders", "classes"),
    [
        ("imagenet-r", ("n01443537", "n01484850", "n12267677"), ("goldfish", "great white shark", "acorn")),
        ("imagenet-a", ("n01498041", "n01531178", "n12267677"), ("stingray", "goldfinch", "acorn")),
        ("imagenet-sketch", ("n01440764", "n01443537", "n12267677"), ("tench", "goldfish", "acorn")),
        ("imagenet-v2", ("0", "1", "988"), ("tench", "goldfish", "acorn")),
    ],
)
def test_folders_are_read_as_they_are_published(
    tmp_path: Path, name: str, folders: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    for value, folder in enumerate(folders):
        picture(tmp_path / folder / "a.jpeg", 60 * value)
    made = dataset(f"{name}:path={tmp_path},size=16")
    data = made.split("test")
    assert len(made.class_names) == (200 if name in ("imagenet-r", "imagenet-a") else 1000)
    read = {
        int(image.mean()) // 50: made.class_names[label] for image, label in zip(data.images, data.labels, strict=True)
    }
    assert [read[value] for value in range(3)] == list(classes)
    assert made.prompts()[data.labels[0]][0] == f"a bad photo of a {made.class_names[data.labels[0]]}."
    with pytest.raises(DataError, match="has no train images"):
        made.split("train")


def test_the_subsets_are_among_the_classes_of_imagenet() -> None:
    whole = dict(zip(facts()["imagenet"]["synsets"], facts()["imagenet"]["classes"], strict=True))
    for name in ("imagenet-r", "imagenet-a"):
        part = facts()[name]
        assert part["synsets"] == sorted(part["synsets"])
        assert [whole[synset] for synset in part["synsets"]] == part["classes"], name


def test_a_folder_beyond_the_classes_is_no_set_of_numbers(tmp_path: Path) -> None:
    for folder in ("0", "1000"):
        picture(tmp_path / folder / "a.jpeg", 0)
    with pytest.raises(DataError, match="holds no ImageNet-V2"):
        dataset(f"imagenet-v2:path={tmp_path}").check_files()


def write_cifar10_1(folder: Path, version: str = "v6", n: int = 30) -> None:
    random = np.random.default_rng(0)
    np.save(folder / f"cifar10.1_{version}_data.npy", random.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8))
    np.save(folder / f"cifar10.1_{version}_labels.npy", (np.arange(n) % 10).astype(np.int32))


def test_cifar10_1_is_read_as_it_is_published(tmp_path: Path) -> None:
    write_cifar10_1(tmp_path)
    made = dataset(f"cifar10-1:path={tmp_path}")
    made.check_files()
    data, published = made.split("test"), np.load(tmp_path / "cifar10.1_v6_data.npy")
    assert data.images.shape == (30, 3, 32, 32) and sorted(data.labels) == sorted(np.arange(30) % 10)
    at = int(np.flatnonzero((published.transpose(0, 3, 1, 2) == data.images[7]).all(axis=(1, 2, 3)))[0])
    assert data.labels[7] == at % 10
    assert np.array_equal(made.split("test", 5).images, data.images[:5])
    assert np.array_equal(made.labels("test"), data.labels) and made.size("train") == 0
    original = dataset("cifar10")
    assert made.class_names == original.class_names and made.prompts() == original.prompts()


def test_what_is_not_cifar10_1_is_refused(tmp_path: Path) -> None:
    write_cifar10_1(tmp_path)
    with pytest.raises(DataError, match=r"no file .*cifar10\.1_v4_data\.npy; pass --dataset cifar10-1:path=DIR"):
        dataset(f"cifar10-1:path={tmp_path},version=v4").check_files()
    with pytest.raises(DataError, match="30 test images; 31 were asked for"):
        dataset(f"cifar10-1:path={tmp_path}").split("test", 31)
    np.save(tmp_path / "cifar10.1_v6_labels.npy", np.arange(30))
    with pytest.raises(DataError, match=r"is not CIFAR-10\.1: images are uint8"):
        dataset(f"cifar10-1:path={tmp_path}").check_files()
