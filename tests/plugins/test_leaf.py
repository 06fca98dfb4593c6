"""Photographs in class folders: how they are read, divided and kept apart, and what is said of bad files."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from robench import DataError, SpecError
from robench.registry.registry import discover

from robench_plugins.datasets.folder.listing import list_folder
from robench_plugins.datasets.leaf import Leaf
from robench_plugins.datasets.leaf.names import class_name, in_order, prompts_for
from robench_plugins.datasets.leaf_synth.classes import CLASS_NAMES
from robench_plugins.datasets.readers.near_duplicates import near_duplicates, perceptual_hash
from robench_plugins.datasets.readers.photographs import read_photograph, to_square
from robench_plugins.datasets.readers.splits import fair_order, locked

CLASSES = ("Tomato___Early_blight", "Tomato_healthy", "aphids")


def picture(seed: int, side: int = 40) -> Image.Image:
    """Coarse random blobs, whose hashes are far apart."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def write(root: Path, counts: dict[str, int], *, first: int = 0) -> Path:
    seed = first
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture(seed).save(root / name / f"{number:04}.png")
            seed += 1
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "leaves", {"Tomato___Early_blight": 30, "Tomato_healthy": 20, "aphids": 12})


def leaf(path: Path, **params: Any) -> Leaf:
    return Leaf(Leaf.Params.read({"path": str(path), "size": 16, **params}, "leaf"))  # type: ignore[arg-type]


def contents(dataset: Leaf, name: str) -> list[bytes]:
    return [image.tobytes() for image in dataset.split(name).images]


# Dividing


def test_a_folder_is_divided_in_eighty_ten_ten_without_overlap_in_their_classes_shares(folder: Path) -> None:
    dataset = leaf(folder)
    sizes = {name: dataset.size(name) for name in ("train", "validation", "test")}
    assert sum(sizes.values()) == 62 and 5 <= sizes["test"] <= 8 and 5 <= sizes["validation"] <= 8
    shown = {name: contents(dataset, name) for name in sizes}
    assert len(set().union(*map(set, shown.values()))) == 62
    for name in sizes:
        labels = dataset.split(name).labels
        assert np.bincount(labels, minlength=3).min() >= 1
        assert len(labels) == len(dataset.split(name).images) == sizes[name]


def test_images_go_with_their_labels(folder: Path) -> None:
    dataset = leaf(folder)
    assert dataset.class_names == ("Early_blight", "healthy", "aphids")
    train = dataset.split("train")
    for name, directory in zip(dataset.class_names, CLASSES, strict=True):
        own = {to_square(read_photograph(file), 16).tobytes() for file in (folder / directory).iterdir()}
        label = dataset.class_names.index(name)
        assert all(
            (image.tobytes() in own) == (found == label)
            for image, found in zip(train.images, train.labels, strict=True)
        )


def test_the_split_depends_on_its_seed_and_on_nothing_else(folder: Path) -> None:
    assert contents(leaf(folder), "test") == contents(leaf(folder), "test")
    assert set(contents(leaf(folder), "test")) != set(contents(leaf(folder, split_seed=1), "test"))
    limited = leaf(folder).split("train", 7)
    assert [image.tobytes() for image in limited.images] == contents(leaf(folder), "train")[:7]
    with pytest.raises(DataError, match=r"were asked for \(--train-size all takes all\)"):
        leaf(folder).split("train", 1000)


@given(st.lists(st.integers(0, 3), min_size=4, max_size=80), st.integers(0, 9))
def test_every_prefix_has_the_classes_in_about_their_shares(labels: list[int], seed: int) -> None:
    classes = np.array(labels)
    order = fair_order(np.arange(len(labels)), classes, seed)
    assert sorted(order) == list(range(len(labels)))
    for n in range(1, len(labels) + 1):
        for label in np.unique(classes):
            share = (classes == label).mean() * n
            assert abs((classes[order[:n]] == label).sum() - share) <= 2


def test_the_same_leaf_stays_on_one_side(tmp_path: Path) -> None:
    """Every picture comes thrice, slightly changed; no split may know another's."""
    for kind, seeds in (("early_blight", range(0, 20)), ("late_blight", range(20, 40))):
        (tmp_path / kind).mkdir()
        for seed in seeds:
            for change in range(3):
                pixels = np.asarray(picture(seed)).astype(int) + 3 * change
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / kind / f"{seed}-{change}.png")
    dataset = leaf(tmp_path)
    assert any(
        "40 groups of near-duplicates, 120 photographs, kept on one side each" in note for note in dataset.notes()
    )
    origin: dict[bytes, int] = {}
    for file in tmp_path.glob("*/*.png"):
        origin[to_square(read_photograph(file), 16).tobytes()] = int(file.stem.partition("-")[0])
    sides = [{origin[image] for image in contents(dataset, name)} for name in ("train", "validation", "test")]
    assert sum(len(side) for side in sides) == 40 == len(set().union(*sides))
    apart = leaf(tmp_path, alike=0)
    assert sum(len({origin[image] for image in contents(apart, name)}) for name in ("train", "validation", "test")) > 40


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=60, max_size=120), st.integers(0, 5))
def test_groups_never_straddle(photographs: list[tuple[int, int]], seed: int) -> None:
    labels, groups = (np.array(column) for column in zip(*photographs, strict=True))
    try:
        splits = locked(labels, groups, ("validation", "test"), seed)
    except DataError:
        return  # a class smaller than ten
    assert sorted(np.concatenate(list(splits.values()))) == list(range(len(labels)))
    sides = [set(groups[positions]) for positions in splits.values()]
    assert sum(len(side) for side in sides) == len(set().union(*sides))


def test_near_duplicates_are_those_within_the_distance_and_what_links_them() -> None:
    bits = np.zeros((4, 256), dtype=bool)
    bits[1, :10] = True
    bits[2, :20] = True
    bits[3, 100:] = True
    hashes = np.packbits(bits, axis=1)
    assert len(set(near_duplicates(hashes, 9))) == 4
    groups = near_duplicates(hashes, 10)
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_hashes_survive_light_and_size_and_tell_pictures_apart() -> None:
    def distance(one: Image.Image, other: Image.Image) -> int:
        return int(np.bitwise_count(perceptual_hash(one) ^ perceptual_hash(other)).sum())

    changed = Image.fromarray((np.asarray(picture(0)) * 0.8).astype(np.uint8)).resize((64, 64))
    assert distance(picture(0), changed) < 76 < distance(picture(0), picture(1))


# The study's protocol


def test_the_study_tests_on_the_images_it_chose_by_and_says_so(folder: Path) -> None:
    dataset = leaf(folder, protocol="study")
    assert contents(dataset, "test") == contents(dataset, "validation")
    assert (dataset.size("train"), dataset.size("test")) == (55, 7)
    assert any("the test images are the validation images" in note for note in dataset.notes())
    with pytest.raises(SpecError, match=r"balance=30 before splitting leaks .* needs protocol=study"):
        leaf(folder, balance=30)


def test_balancing_before_splitting_leaks_and_the_leak_is_counted(folder: Path) -> None:
    dataset = leaf(folder, protocol="study", balance=40)
    train, test = dataset.split("train"), dataset.split("test")
    assert np.bincount(train.labels).tolist() == [36, 36, 36] and np.bincount(test.labels).tolist() == [4, 4, 4]
    everything = [*contents(dataset, "train"), *contents(dataset, "test")]
    assert len(set(everything)) > 110  # copies are augmented, each otherwise
    note = next(note for note in dataset.notes() if "also trained on" in note)
    leaked = int(note.split(" of 12 ")[0].rpartition(" ")[2])
    assert leaked >= 8  # nearly every picture of aphids comes three times or four
    fewer = leaf(folder, protocol="study", balance=12)
    assert fewer.size("train") + fewer.size("test") == 36
    assert not any("also trained on" in note for note in fewer.notes())


# Folders that come divided


def test_a_folder_that_comes_divided_stays_so(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "val", "test")):
        write(tmp_path / part, {"healthy": 10, "scab": 10}, first=100 * number)
    dataset = leaf(tmp_path)
    assert [dataset.size(name) for name in ("train", "validation", "test")] == [20, 20, 20]
    own = {to_square(read_photograph(file), 16).tobytes() for file in (tmp_path / "val").glob("*/*")}
    assert set(contents(dataset, "validation")) == own
    with pytest.raises(DataError, match="comes split; protocol=study splits by itself"):
        leaf(tmp_path, protocol="study")


def test_what_is_missing_is_carved_from_training_photographs_and_twins_are_dropped(tmp_path: Path) -> None:
    write(tmp_path / "train", {"healthy": 20, "scab": 20})
    write(tmp_path / "test", {"healthy": 2, "scab": 5}, first=18)
    dataset = leaf(tmp_path)
    assert (dataset.size("test") == 7 and dataset.size("validation") == 3) or dataset.size("validation") == 4
    assert dataset.size("train") + dataset.size("validation") == 33
    assert any("7 training photographs dropped" in note for note in dataset.notes())


def test_classes_that_differ_between_parts_are_named(tmp_path: Path) -> None:
    write(tmp_path / "train", {"healthy": 3, "scab": 3})
    write(tmp_path / "test", {"healthy": 3, "rust": 3})
    with pytest.raises(DataError, match="'rust' is a class of train or of test, but not of both"):
        leaf(tmp_path)


# Bad files


def _cut_short(file: Path) -> None:
    whole = file.with_suffix(".jpg")
    picture(0).save(whole)
    file.unlink()
    whole.write_bytes(whole.read_bytes()[:-200])


SPOILT: dict[str, Callable[[Path], object]] = {
    "text": lambda file: file.write_text("no image"),
    "empty": lambda file: file.write_bytes(b""),
    "cut short": _cut_short,
    "half a png": lambda file: file.write_bytes(file.read_bytes()[:80]),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_damaged_files_are_skipped_counted_and_named(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "aphids" / "0003.png")
    dataset = leaf(folder)
    assert sum(dataset.size(name) for name in ("train", "validation", "test")) == 61
    note = next(note for note in dataset.notes() if "damaged" in note)
    assert note.startswith(f"1 damaged file skipped: aphids{os.sep}0003")


def test_a_class_whose_every_file_is_damaged_is_an_error(folder: Path) -> None:
    for file in (folder / "aphids").iterdir():
        file.write_text("no image")
    with pytest.raises(DataError, match=r"every photograph of aphids in .* is damaged"):
        leaf(folder)


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def _sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


MODES: dict[str, tuple[Callable[[Image.Image], Image.Image], str, float]] = {
    "grey": (_grey, "png", 1),
    "sixteen bits": (_sixteen_bits, "png", 1),
    "print colours": (lambda image: image.convert("CMYK"), "jpg", 40),
    "palette": (lambda image: image.quantize(256), "png", 60),
    "opaque": (lambda image: image.convert("RGBA"), "png", 0),
}


@pytest.mark.parametrize(("change", "suffix", "tolerance"), MODES.values(), ids=MODES)
def test_other_colour_modes_become_the_same_picture(
    tmp_path: Path, change: Callable[[Image.Image], Image.Image], suffix: str, tolerance: float
) -> None:
    file = tmp_path / f"one.{suffix}"
    changed = change(picture(0))
    changed.save(file)
    expected = picture(0).convert("L").convert("RGB") if "A" not in changed.mode and tolerance == 1 else picture(0)
    difference = np.asarray(read_photograph(file)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= tolerance


def test_transparent_pixels_are_white_and_turned_photographs_upright(tmp_path: Path) -> None:
    clear = picture(0).convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    assert np.asarray(read_photograph(tmp_path / "clear.png")).min() == 255
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = picture(0).crop((0, 0, 40, 20))
    wide.save(tmp_path / "turned.png", exif=exif)
    turned = read_photograph(tmp_path / "turned.png")
    assert turned.size == (20, 40)
    assert np.array_equal(np.asarray(turned), np.asarray(wide.transpose(Image.Transpose.ROTATE_270)))


def test_conversions_and_enlargements_are_counted(folder: Path) -> None:
    picture(0).convert("L").save(folder / "aphids" / "0000.png")
    notes = leaf(folder, size=64).notes()
    assert "brought to RGB: 1 L" in notes
    assert "62 photographs enlarged: their shorter side is below 64 pixels" in notes


def test_folders_without_classes_photographs_or_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere; pass --dataset leaf:path=DIR"):
        leaf(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no class folders"):
        leaf(tmp_path)
    write(tmp_path, {"healthy": 3})
    with pytest.raises(DataError, match="holds only the class healthy"):
        leaf(tmp_path)
    (tmp_path / "scab").mkdir()
    with pytest.raises(DataError, match=r"scab holds no images"):
        leaf(tmp_path)
    (tmp_path / "scab").rename(tmp_path / "Tomato_healthy")
    picture(9).save(tmp_path / "Tomato_healthy" / "a.png")
    with pytest.raises(DataError, match="are both the class healthy"):
        leaf(tmp_path)
    with pytest.raises(SpecError, match="'leaf' needs path; write path="):
        discover().resolve("dataset", "leaf")


def test_a_class_too_small_for_three_splits_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"healthy": 30, "scab": 2})
    with pytest.raises(DataError, match=r"no photograph of scab is left for (validation|test|train): it has 2"):
        leaf(tmp_path)


def test_a_folder_that_changes_is_looked_through_again(folder: Path) -> None:
    before = leaf(folder).size("train")
    for number in range(40):
        picture(500 + number).save(folder / "aphids" / f"more-{number}.png")
    assert leaf(folder).size("train") > before + 25


# Names


SPELLINGS = {
    "Tomato___Bacterial_spot": "Bacterial_spot",
    "Tomato_Early_blight": "Early_blight",
    "Tomato___Spider_mites Two-spotted_spider_mite": "Spider_mites_Two_spotted_spider_mite",
    "Tomato__Target_Spot": "Target_Spot",
    "Tomato__Tomato_YellowLeaf__Curl_Virus": "YellowLeaf_Curl_Virus",
    "Tomato___Tomato_Yellow_Leaf_Curl_Virus": "YellowLeaf_Curl_Virus",
    "Tomato__Tomato_mosaic_virus": "mosaic_virus",
    "Tomato_healthy": "healthy",
    "Potato___Early_blight": "Potato___Early_blight",
}


@pytest.mark.parametrize(("folder_name", "expected"), SPELLINGS.items())
def test_every_spelling_of_a_class_is_the_class(folder_name: str, expected: str) -> None:
    assert class_name(folder_name) == expected


def test_labels_agree_with_those_of_the_synthetic_leaves() -> None:
    assert in_order(sorted(CLASS_NAMES)) == CLASS_NAMES
    assert in_order(["zebra", "healthy", "apple", "Target_Spot"]) == ("Target_Spot", "healthy", "apple", "zebra")


def test_prompts_are_readable() -> None:
    assert "a photo of a tomato leaf with two-spotted spider mites." in prompts_for(CLASS_NAMES[1])
    assert prompts_for("healthy")[0] == "a photo of a healthy tomato leaf."
    assert class_name("healthy 1") != class_name("healthy 2") != "healthy"
    assert prompts_for("Apple___black_rot") == ("a photo of a Apple black rot.",)
    assert all("_" not in prompt for name in CLASS_NAMES for prompt in prompts_for(name))


# Real photographs


def test_real_photographs_have_ten_classes_and_few_near_duplicates(root: Path) -> None:
    folder = root / "data" / "leaf"
    if not folder.is_dir():
        pytest.skip("PlantVillage photographs are not at data/leaf")
    dataset = leaf(folder)
    assert dataset.class_names == CLASS_NAMES
    sizes = [dataset.size(name) for name in ("train", "validation", "test")]
    assert sum(sizes) > 1000 and abs(sizes[1] / sum(sizes) - 0.1) < 0.02


# Nothing is left out in silence


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.tif", "TIFF"),
        ("a.jfif", "JPEG"),
        ("a.gif", "GIF"),
        ("a", "PNG"),
        ("a.JPG", "JPEG"),
        ("deep/er/a.png", "PNG"),
    ],
)
def test_a_photograph_of_any_name_and_depth_is_used(folder: Path, name: str, form: str) -> None:
    before = len(list_folder(folder, "leaf").files)
    path = folder / "aphids" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(999).save(path, form)
    assert len(list_folder(folder, "leaf").files) == before + 1
    assert not [note for note in leaf(folder).notes() if "left out" in note or "skipped" in note]


@pytest.mark.parametrize(
    "name",
    [
        "aphids/.0000.png",
        ".thumbnails/0000.png",
        "aphids/notes.txt",
    ],
)
def test_what_is_no_photograph_is_counted_and_named(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")
    dataset = leaf(folder)
    assert len(dataset.class_names) == 3
    assert [note for note in dataset.notes() if note.startswith("1 ") and name.split("/")[0] in note]


@pytest.mark.parametrize("name", ["aphids/.DS_Store", "__MACOSX/aphids/._0000.png", "aphids/deep/Thumbs.db"])
def test_what_operating_systems_leave_is_passed_over(folder: Path, name: str) -> None:
    before = leaf(folder).notes()
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no image")
    assert leaf(folder).notes() == before


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/nowhere/a.jpg")], ids=["pipe", "dangling"])
def test_what_is_no_regular_file_is_skipped_and_named(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder / "aphids" / "odd.jpg")
    assert any("aphids/odd.jpg" in note for note in leaf(folder).notes())


def test_a_link_to_a_folder_above_is_refused(folder: Path) -> None:
    (folder / "aphids" / "again").symlink_to(folder / "aphids")
    with pytest.raises(DataError, match="again is a link to a folder that holds it"):
        leaf(folder)


@pytest.mark.parametrize("names", [("train", "Test"), ("Training", "TEST"), ("training_set", "test_set")])
def test_parts_are_known_by_other_spellings(tmp_path: Path, names: tuple[str, str]) -> None:
    train, test = names
    write(tmp_path / train, {"ant": 20, "bee": 20})
    write(tmp_path / test, {"ant": 5, "bee": 6}, first=100)
    assert leaf(tmp_path).size("test") == 11


def test_two_folders_for_one_part_are_refused_and_so_is_training_without_images(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "val", "validation")):
        write(tmp_path / "twice" / name, {"ant": 20, "bee": 20}, first=100 * number)
    with pytest.raises(DataError, match="are both the validation images"):
        leaf(tmp_path / "twice")
    for number, name in enumerate(("Test", "valid")):
        write(tmp_path / "none" / name, {"ant": 20, "bee": 20}, first=100 * number)
    scored = leaf(tmp_path / "none")
    assert [scored.size(name) for name in ("train", "validation", "test")] == [0, 40, 40]
    with pytest.raises(DataError, match="has no training images, so only runs that train nothing"):
        scored.split("train", 5)


def test_a_folder_beside_the_parts_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train", {"ant": 30, "bee": 30})
    write(tmp_path / "unlabelled", {"x": 2}, first=500)
    assert any("folder unlabelled left out" in note for note in leaf(tmp_path).notes())


def test_a_class_under_another_name_is_named_and_accents_are_one_class(tmp_path: Path) -> None:
    write(tmp_path / "train", {"Tomato_healthy": 20, "caf\u00e9": 20})
    write(tmp_path / "test", {"Tomato_healthy": 5, "cafe\u0301": 5}, first=100)
    dataset = leaf(tmp_path)
    assert dataset.class_names == ("healthy", "caf\u00e9")
    assert any("Tomato_healthy is healthy" in note for note in dataset.notes())


def test_a_photograph_with_an_exif_block_that_cannot_be_written_is_upright(tmp_path: Path) -> None:
    entries = [(0x112, 3, 1, struct.pack("<HH", 6, 0)), (0x128, 2, 3, b"in\0\0")]
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + body + struct.pack("<I", 0)
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert read_photograph(tmp_path / "a.jpg").size == (10, 20)


@pytest.mark.parametrize("pixels", [np.full((8, 8), 0.5, np.float32), np.full((8, 8), 70000, np.int32)])
def test_pixels_of_an_unknown_range_are_refused(tmp_path: Path, pixels: Any) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="expected 8 or 16 bits"):
        read_photograph(tmp_path / "a.tif")


def test_alike_pictures_name_the_cure(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(12):
            Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / name / f"{number}.png")
    with pytest.raises(DataError, match="alike="):
        leaf(tmp_path)


def test_only_tomatoes_are_asked_for_as_tomatoes(tmp_path: Path) -> None:
    write(tmp_path / "vines", {"healthy": 12, "esca": 12})
    assert leaf(tmp_path / "vines").prompts() == (("a photo of a healthy.",), ("a photo of a esca.",))
    write(tmp_path / "both", {"Tomato_healthy": 12, "esca": 12}, first=50)
    assert "tomato leaf" in leaf(tmp_path / "both").prompts()[0][0]
