"""CIFAR-10 in each of its forms: the same images in the same order of trust, and clear words for damaged files."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from robench import DataError, ImageSet

from robench_plugins.datasets.cifar10 import CIFAR10, CLASSES, open_source
from robench_plugins.datasets.readers.parquet import ParquetSource
from tests.helpers.plugin_fixtures import real, switch_hub_off

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
SIZES = {"train": 50, "test": 20}


@pytest.fixture(scope="module")
def originals() -> dict[str, Part]:
    """Ten noisy classes, no image twice."""
    random = np.random.default_rng(0)
    return {
        part: (random.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8), random.permutation(np.arange(n) % 10))
        for part, n in SIZES.items()
    }


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_table(path: Path, encoded: list[Any], labels: Any, columns: tuple[str, str] = ("img", "label")) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": content, "path": None} for content in encoded]
    pq.write_table(pa.table(dict(zip(columns, (cells, list(labels)), strict=True))), path)


def write_parquet(root: Path, data: dict[str, Part], columns: tuple[str, str] = ("img", "label")) -> None:
    for part, (images, labels) in data.items():
        write_table(root / f"{part}-00000-of-00001.parquet", [png(image) for image in images], labels, columns)


def write_batches(root: Path, data: dict[str, Part]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    names = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    for part, (images, labels) in data.items():
        rows = np.array_split(np.arange(len(images)), len(names[part]))
        for name, row in zip(names[part], rows, strict=True):
            batch = {b"data": images[row].reshape(-1, 3072), b"labels": labels[row].tolist(), b"batch_label": b"x"}
            (root / name).write_bytes(pickle.dumps(batch, protocol=2))


def write_folders(root: Path, data: dict[str, Part]) -> None:
    for part, (images, labels) in data.items():
        for position, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / part / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{position:04}.png").write_bytes(png(image))


FORMS: dict[str, Callable[[Path, dict[str, Part]], None]] = {
    "parquet": write_parquet,
    "nested parquet": lambda root, data: write_parquet(root / "plain_text", data),
    "named columns": lambda root, data: write_parquet(root, data, ("image", "fine_label")),
    "batches": write_batches,
    "nested batches": lambda root, data: write_batches(root / "cifar-10-batches-py", data),
    "folders": write_folders,
}


@pytest.fixture(params=FORMS)
def folder(request: pytest.FixtureRequest, tmp_path: Path, originals: dict[str, Part]) -> Path:
    FORMS[request.param](tmp_path, originals)
    return tmp_path


def cifar10(path: Path | str) -> CIFAR10:
    return CIFAR10(CIFAR10.Params.read({"path": str(path)}, "cifar10"))


def pairs(data: ImageSet) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(data.images, data.labels, strict=True)}


def all_of(originals: dict[str, Part], part: str) -> set[tuple[bytes, int]]:
    return pairs(ImageSet(images=originals[part][0], labels=originals[part][1]))


# Every form


def test_every_form_gives_every_image_with_its_class(folder: Path, originals: dict[str, Part]) -> None:
    dataset = cifar10(folder)
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    assert {name: len(data) for name, data in splits.items()} == {"train": 45, "validation": 5, "test": 20}
    train, validation, test = (pairs(data) for data in splits.values())
    assert not train & validation
    assert train | validation == all_of(originals, "train")
    assert test == all_of(originals, "test")


def test_images_are_8_bit_colour_first_with_whole_labels(folder: Path) -> None:
    data = cifar10(folder).split("test", 3)
    assert (data.images.dtype, data.images.shape) == (np.uint8, (3, 3, 32, 32))
    assert data.labels.dtype == np.int64


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_limit_takes_a_prefix_that_is_the_same_every_time(folder: Path, name: str) -> None:
    whole = cifar10(folder).split(name)
    for limit in (1, 4, len(whole)):
        assert cifar10(folder).split(name, limit).fingerprint() == whole.first(limit).fingerprint()


@pytest.mark.parametrize(("name", "n"), [("train", 45), ("validation", 5), ("test", 20)])
def test_a_limit_above_the_split_is_refused_with_its_size(folder: Path, name: str, n: int) -> None:
    with pytest.raises(DataError, match=f"cifar10 has {n} {name} images; {n + 1} were asked for"):
        cifar10(folder).split(name, n + 1)


def test_parquet_and_batches_agree_on_every_split(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path / "a", originals)
    write_batches(tmp_path / "b", originals)
    for name in ("train", "validation", "test"):
        assert cifar10(tmp_path / "a").split(name).fingerprint() == cifar10(tmp_path / "b").split(name).fingerprint()


def test_prefixes_of_folders_mix_the_classes(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_folders(tmp_path, originals)
    assert len(set(cifar10(tmp_path).split("test", 10).labels.tolist())) >= 5


def test_parquet_in_several_files_is_read_in_their_order(tmp_path: Path, originals: dict[str, Part]) -> None:
    images, labels = originals["train"]
    write_table(tmp_path / "train-00000-of-00002.parquet", [png(image) for image in images[:30]], labels[:30])
    write_table(tmp_path / "train-00001-of-00002.parquet", [png(image) for image in images[30:]], labels[30:])
    write_parquet(tmp_path, {"test": originals["test"]})
    write_batches(tmp_path / "b", originals)
    assert cifar10(tmp_path).split("train").fingerprint() == cifar10(tmp_path / "b").split("train").fingerprint()


def python2_batch(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> bytes:
    """Write a batch the way Python 2 and its numpy wrote the published ones: text is bytes, in protocol 2."""
    content = images.tobytes()
    shape = b"J" + struct.pack("<i", len(images)) + b"M" + struct.pack("<H", 3072) + b"\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + state + b"U\x06labels" + numbers + b"u."


def test_batches_written_by_python_2_are_read(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_batches(tmp_path, originals)
    expected = cifar10(tmp_path).split("test").fingerprint()
    (tmp_path / "test_batch").write_bytes(python2_batch(*originals["test"]))
    assert cifar10(tmp_path).split("test").fingerprint() == expected


def test_prompts_name_every_class_three_times() -> None:
    prompts = CIFAR10().prompts()
    assert len(prompts) == len(CLASSES) == 10
    for name, group in zip(CLASSES, prompts, strict=True):
        assert len(set(group)) == 3
        assert all(f" {name}." in prompt for prompt in group)


# Labels and folders that are wrong


@pytest.mark.parametrize("label", [-1, 10])
@pytest.mark.parametrize("write", [write_parquet, write_batches], ids=["parquet", "batches"])
def test_a_label_outside_the_classes_is_caught(
    tmp_path: Path, originals: dict[str, Part], write: Callable[..., None], label: int
) -> None:
    images, labels = originals["test"]
    write(tmp_path, {**originals, "test": (images, np.where(np.arange(20) == 7, label, labels))})
    data = cifar10(tmp_path).split("test")
    with pytest.raises(DataError, match=rf"has label {label}; .* within 0 and 9 \(1 of 20"):
        data.check_labels(10)


@pytest.mark.parametrize("labels", [["cat"] * 20, [None] * 20, [0.5] * 20], ids=["text", "null", "fractions"])
def test_parquet_labels_that_are_no_whole_numbers_are_refused(
    tmp_path: Path, originals: dict[str, Part], labels: list[Any]
) -> None:
    write_parquet(tmp_path, originals)
    write_table(tmp_path / "test-00000-of-00001.parquet", [png(image) for image in originals["test"][0]], labels)
    with pytest.raises(DataError, match="label"):
        cifar10(tmp_path).split("test")


def test_a_class_folder_of_another_name_is_refused_and_named(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_folders(tmp_path, originals)
    (tmp_path / "train" / "cat").rename(tmp_path / "train" / "kitten")
    with pytest.raises(DataError, match=r"airplane, automobile.*check '(cat|kitten)'"):
        cifar10(tmp_path).split("test")


def test_an_empty_class_folder_is_refused_and_named(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_folders(tmp_path, originals)
    for path in (tmp_path / "train" / "dog").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="dog holds no images"):
        cifar10(tmp_path).split("train")


def test_a_folder_without_cifar10_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no CIFAR-10: expected train-"):
        cifar10(tmp_path).split("test")


@pytest.mark.parametrize("path", ["/no/such/folder", "./nothing", "nothing", "a/b/c"])
def test_a_missing_folder_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="cifar10:path=DIR"):
        cifar10(path).split("test")


def test_the_hub_offline_says_how_to_bring_the_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    with pytest.raises(
        DataError, match=r"hf download uoft-cs/cifar10 --repo-type dataset .*cifar10:path=DIR"
    ) as caught:
        CIFAR10().split("test")
    assert "\n" not in str(caught.value)


# Damaged files


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_parquet_is_refused_and_named(tmp_path: Path, originals: dict[str, Part], share: float) -> None:
    write_parquet(tmp_path, originals)
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=f"{path.name} cannot be read"):
        cifar10(tmp_path).split("train")


def test_the_damaged_one_of_several_parquet_files_is_named_and_the_row_in_it(
    tmp_path: Path, originals: dict[str, Part]
) -> None:
    images, labels = originals["test"]
    write_parquet(tmp_path, {"train": originals["train"]})
    encoded: list[Any] = [png(image) for image in images]
    first, second = (tmp_path / f"test-0000{number}-of-00002.parquet" for number in (0, 1))
    write_table(first, encoded[:12], labels[:12])
    write_table(second, [*encoded[12:15], b"no picture", *encoded[16:]], labels[12:])
    with pytest.raises(DataError, match=rf"^{second.name}, image 3 is damaged"):
        cifar10(tmp_path).split("test")
    second.write_bytes(second.read_bytes()[:500])
    with pytest.raises(DataError, match=f"{second.name} cannot be read"):
        cifar10(tmp_path).split("test")


def test_a_file_that_a_cell_of_a_parquet_names_is_not_opened(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path, {"train": originals["train"]})
    images, labels = originals["test"]
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(images[0]))
    cells = [{"bytes": None, "path": str(secret)}] * len(labels)
    pq.write_table(pa.table({"img": cells, "label": labels}), tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(DataError, match="image 0 is damaged"):
        cifar10(tmp_path).split("test")


def test_parquet_without_an_image_column_is_refused_with_the_columns(
    tmp_path: Path, originals: dict[str, Part]
) -> None:
    write_parquet(tmp_path, originals, ("picture", "label"))
    with pytest.raises(DataError, match=r"no column img or image \(columns: picture, label\)"):
        cifar10(tmp_path).split("test")


def test_parquet_whose_images_are_not_encoded_is_refused(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path, originals)
    table = pa.table({"img": ["text"] * 20, "label": [0] * 20})
    pq.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(DataError, match="images of type string"):
        cifar10(tmp_path).split("test")


DAMAGED = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "null": lambda content: None,
    "text": lambda content: b"no picture",
    "flipped": lambda content: content[:60] + bytes(255 - byte for byte in content[60:90]) + content[90:],
    "other size": lambda content: png(np.zeros((3, 16, 16), np.uint8)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_image_is_refused_and_its_file_named(tmp_path: Path, originals: dict[str, Part], damage: str) -> None:
    write_parquet(tmp_path, originals)
    images, labels = originals["test"]
    encoded: list[Any] = [png(image) for image in images]
    encoded[4] = DAMAGED[damage](encoded[4])
    write_table(tmp_path / "test-00000-of-00001.parquet", encoded, labels)
    with pytest.raises(DataError, match=r"test-00000-of-00001.parquet, image \d+ (is damaged|has shape)"):
        cifar10(tmp_path).split("test")


def test_a_damaged_image_in_a_folder_is_refused(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_folders(tmp_path, originals)
    path = next((tmp_path / "test" / "frog").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"test image \d+ is damaged"):
        cifar10(tmp_path).split("test")


def test_grey_and_transparent_images_become_colour(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_folders(tmp_path, originals)
    path = next((tmp_path / "test" / "frog").iterdir())
    for mode in ("RGBA", "P", "L"):
        Image.open(path).convert("RGB").convert(mode).save(path)
        assert cifar10(tmp_path).split("test").images.shape == (20, 3, 32, 32)


class Malicious:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_malicious_batch_is_refused_and_does_nothing(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_batches(tmp_path, originals)
    marker = tmp_path / "ran"
    batch = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [0], b"extra": Malicious(marker)}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match="which no CIFAR-10 batch needs"):
        cifar10(tmp_path).split("test")
    assert not marker.exists()


def test_an_array_that_claims_to_hold_objects_is_refused(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_batches(tmp_path, originals)
    # numpy would take these bytes for addresses, and crash.
    batch = python2_batch(*originals["test"]).replace(b"U\x02u1", b"U\x02O8")
    (tmp_path / "test_batch").write_bytes(batch)
    with pytest.raises(DataError, match="not uint8"):
        cifar10(tmp_path).split("test")


@pytest.mark.parametrize(
    "batch",
    [
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3000), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8)},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": ["cat", "dog"]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0.5, 1]},
        {b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 1]},
        [1, 2],
        None,
    ],
    ids=["fewer labels", "short rows", "no labels", "text labels", "fractions", "float images", "a list", "nothing"],
)
def test_a_pickle_that_is_no_batch_is_refused(tmp_path: Path, originals: dict[str, Part], batch: Any) -> None:
    write_batches(tmp_path, originals)
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match="test_batch"):
        cifar10(tmp_path).split("test")


def test_a_missing_batch_is_refused_and_named(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_batches(tmp_path, originals)
    (tmp_path / "data_batch_3").unlink()
    with pytest.raises(DataError, match="data_batch_3"):
        cifar10(tmp_path).split("train")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), flipped=st.integers(0, 200), junk=st.binary(max_size=20))
def test_no_damage_to_a_batch_gets_past_the_reader_as_anything_but_a_data_error(
    tmp_path: Path, share: float, flipped: int, junk: bytes
) -> None:
    batch = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [0], b"batch_label": b"testing batch"}
    whole = bytearray(pickle.dumps(batch, protocol=2))
    whole[flipped : flipped + len(junk)] = junk
    (tmp_path / "test_batch").write_bytes(whole[: int(len(whole) * share)])
    source = open_source(str(tmp_path))
    with pytest.raises(DataError):
        source.labels("test")


# The real images


def test_the_real_set_has_45000_5000_and_10000_images_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    path = real("data/cifar10")
    blank = np.zeros((1, 3, 32, 32), np.uint8)
    monkeypatch.setattr(  # labels are what is counted; decoding 60,000 images takes long
        ParquetSource, "images", lambda self, part, positions: np.broadcast_to(blank, (len(positions), 3, 32, 32))
    )
    labels = {name: cifar10(path).split(name).labels for name in ("train", "validation", "test")}
    assert {name: len(found) for name, found in labels.items()} == {
        "train": 45_000,
        "validation": 5_000,
        "test": 10_000,
    }
    counts = {name: np.bincount(found, minlength=10) for name, found in labels.items()}
    assert (counts["train"] + counts["validation"] == 5_000).all()
    assert (counts["test"] == 1_000).all()
    assert (abs(counts["validation"] - 500) < 4 * np.sqrt(500 * 0.9 * 0.9)).all()


def test_real_images_are_photographs_that_do_not_repeat_between_splits() -> None:
    path = real("data/cifar10")
    splits = [cifar10(path).split(name, 300) for name in ("train", "validation", "test")]
    assert all(set(data.labels.tolist()) == set(range(10)) for data in splits)
    assert all(60 < data.images.std() < 70 for data in splits)
    contents = [{image.tobytes() for image in data.images} for data in splits]
    assert len(set.union(*contents)) == 900


# Incomplete and renamed sets


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["test-00000-of-00002.parquet"], "1 of 2 test files are missing.*test-00001-of-00002"),
        (["test-00000-of-00001.parquet", "test-00000-of-00002.parquet"], "two downloads"),
        (["test-00000-of-00001.parquet", "test-00000-of-00001 (1).parquet"], "none of the numbered"),
        (["test-00000-of-00001.parquet", "copy/test-00000-of-00001.parquet"], "pass the folder of one"),
    ],
)
def test_parquet_files_that_are_missing_or_doubled_are_refused(
    tmp_path: Path, originals: dict[str, Part], names: list[str], message: str
) -> None:
    write_parquet(tmp_path, originals)
    whole = (tmp_path / "test-00000-of-00001.parquet").read_bytes()
    (tmp_path / "test-00000-of-00001.parquet").unlink()
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(whole)
    with pytest.raises(DataError, match=message):
        open_source(str(tmp_path))


def test_class_names_of_the_files_win_and_are_told(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path, originals)
    names = list(reversed(CLASSES))
    features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    for path in tmp_path.glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)
    dataset = CIFAR10(CIFAR10.Params.read({"path": str(tmp_path)}, "cifar10"))  # type: ignore[arg-type]
    assert dataset.class_names == tuple(names)
    assert "frog" in dataset.notes()[0] and "frog" in dataset.prompts()[3][0]


def test_parquet_of_another_set_is_refused_with_the_cure(tmp_path: Path, originals: dict[str, Part]) -> None:
    larger = {part: (np.repeat(np.repeat(images, 3, 2), 3, 3), labels) for part, (images, labels) in originals.items()}
    write_parquet(tmp_path, larger)
    for act in (CIFAR10.check_files, lambda each: each.split("test", 3)):
        with pytest.raises(DataError, match=r"not CIFAR-10: its images have 96 x 96 pixels.*hub:path="):
            act(cifar10(tmp_path))


def test_parquet_that_names_other_classes_is_refused_with_the_cure(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path, originals)
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    for path in tmp_path.glob("*.parquet"):
        table = pq.read_table(path)
        told = json.dumps({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}})
        pq.write_table(table.replace_schema_metadata({"huggingface": told}), path)
    with pytest.raises(DataError, match=r"differ in automobile, car, frog; pass --dataset hub:path="):
        cifar10(tmp_path).check_files()
