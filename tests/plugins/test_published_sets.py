"""Published sets in their forms, each made with its own library: the same images come out, or one clear line."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from robench import DataError, ImageSet, SpecError
from robench.registry.registry import discover
from robench.run.data import check_sizes

from tests.helpers.plugin_fixtures import switch_hub_off

CLASSES = ("ant", "bee", "wasp")
SIZES = {"train": 40, "test": 13}
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture(scope="module")
def originals() -> dict[str, Part]:
    random = np.random.default_rng(0)
    return {
        part: (random.integers(0, 256, (n, 20, 24, 3), dtype=np.uint8), random.permutation(np.arange(n) % 3))
        for part, n in SIZES.items()
    }


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(root: Path, data: dict[str, Part], *, per_shard: int = 9) -> None:
    for part, (images, labels) in data.items():
        folder = root / part
        folder.mkdir(parents=True)
        starts = range(0, len(images), per_shard)
        for shard, start in enumerate(starts):
            with tarfile.open(folder / f"{shard}.tar", "w") as tar:
                for at in range(start, min(start + per_shard, len(images))):
                    for suffix, content in (("png", png(images[at])), ("cls", str(labels[at]).encode())):
                        member = tarfile.TarInfo(f"s{at:07}.{suffix}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
        (folder / "nshards.txt").write_text(f"{len(starts)}\n")
    (root / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
    (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\na small {c}.\n")


def write_parquet(root: Path, data: dict[str, Part], *, shards: int = 2, coarse: bool = False) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    (root / "data").mkdir(parents=True)
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    if coarse:
        features["coarse_label"] = datasets.ClassLabel(names=["insect"])
    for part, (images, labels) in data.items():
        rows = {"image": [Image.fromarray(image) for image in images], "label": labels.tolist()}
        rows.update({"coarse_label": [0] * len(labels)} if coarse else {})
        whole = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        for shard in range(shards):
            name = f"{part}-{shard:05}-of-{shards:05}.parquet"
            whole.shard(shards, shard, contiguous=True).to_parquet(root / "data" / name)


def write_image_folder(root: Path, data: dict[str, Part]) -> None:
    for part, (images, labels) in data.items():
        (root / part).mkdir(parents=True)
        lines = ["file_name,label"]
        for at, (image, label) in enumerate(zip(images, labels, strict=True)):
            (root / part / f"{at:03}.png").write_bytes(png(image))
            lines.append(f"{at:03}.png,{CLASSES[label]}")
        (root / part / "metadata.csv").write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Any] = {
    "webdataset": write_tar,
    "hub webdataset": write_tar,
    "parquet": write_parquet,
    "image folder": write_image_folder,
}


def dataset(text: str) -> Any:
    return discover().resolve("dataset", text).build()


def pairs(data: ImageSet) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(data.images, data.labels, strict=True)}


def expected(part: Part) -> set[tuple[bytes, int]]:
    return {(image.transpose(2, 0, 1).tobytes(), int(label)) for image, label in zip(part[0], part[1], strict=True)}


@pytest.fixture(scope="module", params=WRITERS)
def form(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, originals: dict[str, Part]) -> str:
    root = tmp_path_factory.mktemp("form")
    WRITERS[request.param](root, originals)
    return f"{'webdataset' if request.param == 'webdataset' else 'hub'}:path={root}"


def test_every_form_gives_every_image_with_its_class(form: str, originals: dict[str, Part], tmp_path: Path) -> None:
    made = dataset(form)
    splits = {name: made.split(name) for name in ("train", "validation", "test")}
    assert {name: len(data) for name, data in splits.items()} == {"train": 36, "validation": 4, "test": 13}
    assert {name: made.size(name) for name in splits} == {"train": 36, "validation": 4, "test": 13}
    assert made.class_names == CLASSES
    train, validation, test = map(pairs, splits.values())
    assert not train & validation
    assert (train | validation, test) == (expected(originals["train"]), expected(originals["test"]))
    assert made.split("test", 5).fingerprint() == splits["test"].first(5).fingerprint()
    assert not made.notes()
    (tmp_path / "own.png").write_bytes(png(originals["test"][0][0]))
    assert (made.read_image(tmp_path / "own.png", (20, 24)) == originals["test"][0][0].transpose(2, 0, 1)).all()
    some = made.take("train", np.array([7, 2]))
    assert (some.images == splits["train"].images[[7, 2]]).all() and (some.labels == made.labels("train")[[7, 2]]).all()
    with pytest.raises(DataError, match="13 test images; 14 were asked for"):
        made.split("test", 14)


def test_a_size_crops_and_resizes(form: str) -> None:
    assert dataset(f"{form},size=16").split("test", 3).images.shape == (3, 3, 16, 16)


def test_templates_of_a_webdataset_become_prompts(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_tar(tmp_path, originals)
    assert dataset(f"webdataset:path={tmp_path}").prompts()[1] == ("a photo of a bee.", "a small bee.")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda root: (root / "test" / "1.tar").unlink(), r"1 of 2 shards are missing in .*test: first 1.tar"),
        (lambda root: (root / "test" / "nshards.txt").write_text("1"), r"says 1 shards, but 1.tar lies there"),
        (lambda root: (root / "dataset_type.txt").write_text("retrieval\n"), "a set for retrieval; expected image"),
        (lambda root: (root / "test" / "1.tar").write_bytes(b"no tar" * 200), r"1.tar cannot be read"),
        (lambda root: (root / "classnames.txt").unlink(), "does not name its classes; pass classes=FILE"),
        (lambda root: (root / "test" / "nshards.txt").write_text("two"), "expected the number of shards"),
    ],
)
def test_a_spoilt_webdataset_is_refused_and_what_is_wrong_is_named(
    tmp_path: Path, originals: dict[str, Part], spoil: Any, match: str
) -> None:
    write_tar(tmp_path, {"test": originals["test"]})
    spoil(tmp_path)
    with pytest.raises(DataError, match=match):
        made = dataset(f"webdataset:path={tmp_path}")
        made.check_files()
        made.split("test")


def test_shards_without_a_count_are_noted_and_prompts_come_from_a_file(
    tmp_path: Path, originals: dict[str, Part]
) -> None:
    write_tar(tmp_path / "set", originals)
    (tmp_path / "set" / "test" / "nshards.txt").unlink()
    (tmp_path / "prompts.json").write_text('{"ant": "an ant", "bee": ["a {}", "two"], "wasp": "w", "fly": "f"}')
    made = dataset(f"webdataset:path={tmp_path / 'set'},prompts={tmp_path / 'prompts.json'}")
    assert made.prompts() == (("an ant",), ("a bee", "two"), ("w",))
    assert made.notes() == (
        "test has no nshards.txt, so shards after 1.tar may be missing",
        "prompts of 1 classes in prompts.json not used: fly",
    )
    (tmp_path / "prompts.json").write_text('{"ant": "an ant"}')
    with pytest.raises(DataError, match="has no prompts for 'bee'"):
        dataset(f"webdataset:path={tmp_path / 'set'},prompts={tmp_path / 'prompts.json'}").check_files()


def test_a_sample_without_a_class_is_named(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_tar(tmp_path, {"test": originals["test"]})
    with tarfile.open(tmp_path / "test" / "0.tar", "w") as tar:
        member = tarfile.TarInfo("s7.png")
        tar.addfile(member, io.BytesIO())
    with pytest.raises(DataError, match=r"sample s7 of .*0.tar lacks a class"):
        dataset(f"webdataset:path={tmp_path}").split("test")


def test_a_set_without_training_images_says_so(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_tar(tmp_path, {"test": originals["test"]})
    with pytest.raises(DataError, match="has no train images; it has test"):
        dataset(f"webdataset:path={tmp_path}").split("train")
    check_sizes(dataset(f"webdataset:path={tmp_path}"), {"train": 0, "test": 13})  # a run that trains nothing


def test_a_missing_parquet_file_is_refused_by_name(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path, originals)
    (tmp_path / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"1 of 2 files are missing: first .*train-00001-of-00002\.parquet"):
        dataset(f"hub:path={tmp_path}").check_files()


def test_two_columns_of_labels_are_asked_for_by_name(tmp_path: Path, originals: dict[str, Part]) -> None:
    write_parquet(tmp_path, {"test": originals["test"]}, shards=1, coarse=True)
    with pytest.raises(DataError, match="2 columns of labels; pass label=label or label=coarse_label"):
        dataset(f"hub:path={tmp_path}").check_files()
    assert dataset(f"hub:path={tmp_path},label=label").class_names == CLASSES
    with pytest.raises(DataError, match=r"no column 'fine' \(columns: image, label, coarse_label\)"):
        dataset(f"hub:path={tmp_path},label=fine").check_files()


def test_a_cell_that_names_a_file_elsewhere_is_refused(tmp_path: Path, originals: dict[str, Part]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_parquet(tmp_path / "set", {"test": originals["test"]}, shards=1)
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(originals["test"][0][0]))
    path = tmp_path / "set" / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    cells = pa.array([{"bytes": None, "path": str(secret)}] * len(table), table.schema.field("image").type)
    pq.write_table(table.set_column(0, table.schema.field("image"), cells), path)
    with pytest.raises(DataError, match="names no file within it"):
        dataset(f"hub:path={tmp_path / 'set'}").split("test")


def test_images_of_different_sizes_need_a_size(tmp_path: Path, originals: dict[str, Part]) -> None:
    images, labels = originals["test"]
    write_image_folder(tmp_path, {"test": (images, labels)})
    (tmp_path / "test" / "004.png").write_bytes(png(images[0][:8]))
    with pytest.raises(DataError, match=r"different sizes.*pass size=224"):
        dataset(f"hub:path={tmp_path}").split("test")
    assert len(dataset(f"hub:path={tmp_path},size=16").split("test")) == 13


def test_a_set_of_the_hub_is_typed_by_its_name_and_refused_offline_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    resolved = discover().resolve("dataset", "hub:org/name,size=32")
    assert resolved.label == "hub:org/name,size=32"
    with pytest.raises(DataError, match=r"hf download org/name --repo-type dataset .*hub:path=DIR"):
        resolved.build().split("test")
    for text, match in (("hub", "hub needs one place"), ("hub:org", "org is no set of the Hub")):
        with pytest.raises(SpecError, match=match):
            dataset(text)


@pytest.mark.parametrize("write", [write_parquet, write_image_folder, write_tar])
def test_a_set_in_the_cache_of_the_hub_is_read_offline_at_its_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, originals: dict[str, Part], write: Any
) -> None:
    switch_hub_off(monkeypatch, tmp_path)
    commit, kept = "a" * 40, tmp_path / "datasets--org--name"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(commit)
    write(tmp_path / "made", originals)
    for number, path in enumerate(sorted(each for each in (tmp_path / "made").rglob("*") if each.is_file())):
        link = kept / "snapshots" / commit / path.relative_to(tmp_path / "made")
        blob = kept / "blobs" / f"{number:040}"
        for each in (link, blob):
            each.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blob)
        link.symlink_to(blob)
    resolved = discover().resolve("dataset", "hub:org/name")
    assert (resolved.label, resolved.values()["revision"]) == ("hub:org/name", commit)
    made = resolved.build()
    made.check_files()
    assert pairs(made.split("test")) == expected(originals["test"])
    assert made.notes() == (f"org/name at revision {commit}",)
