"""Any images of a user: class folders, tables, class names and prompts in files, sizes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from robench import DataError, SpecError
from robench.registry.registry import discover

from robench_plugins.datasets.folder import Folder

PARTS = ("train", "validation", "test")


def write(root: Path, counts: dict[str, int], side: int = 12, suffix: str = "png") -> Path:
    random = np.random.default_rng(len(counts))
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.{suffix}")
    return root


def folder(path: Path | None, **params: Any) -> Folder:
    given = {"path": str(path)} if path else {}
    return Folder(Folder.Params.read({"size": 8, **given, **params}, "folder"))  # type: ignore[arg-type]


def sizes(dataset: Folder) -> list[int]:
    return [dataset.size(name) for name in PARTS]


def test_nested_folders_and_every_mode_and_suffix_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"ant": 12, "bee": 12}, suffix="tiff")
    for number, mode in enumerate(("L", "1", "P", "LA", "RGBA", "CMYK", "I;16")):
        deep = tmp_path / "bee" / f"site {number}" / "june"
        deep.mkdir(parents=True)
        Image.new(mode, (12, 12), number).save(deep / ("a.tif" if mode in ("CMYK", "I;16") else "a.png"))
    dataset = folder(tmp_path)
    assert sum(sizes(dataset)) == 31
    note = next(note for note in dataset.notes() if note.startswith("brought to RGB"))
    assert "1 CMYK" in note and "1 I;16" in note and "1 LA" in note
    assert folder(tmp_path, split_seed=1).split("test").fingerprint() != dataset.split("test").fingerprint()


@pytest.mark.parametrize("size", [8, "native"])
def test_images_of_others_are_read_as_those_of_the_folder(tmp_path: Path, size: int | str) -> None:
    write(tmp_path, {"ant": 3, "bee": 3}, side=12)
    for number, mode in enumerate(("1", "LA", "CMYK", "I;16")):
        file = tmp_path / "bee" / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
        Image.new(mode, (12, 12), 60 * number).save(file.with_stem(f"a{number}"))
    dataset = folder(tmp_path, size=size, protocol="test")
    own = dataset.split("test")
    shape = own.images.shape[2:]
    read = [dataset.read_image(tmp_path / name, shape) for name in own.names]
    assert len(own) == 10 and (np.stack(read) == own.images).all()


def test_a_test_only_folder_scores_and_does_not_train(tmp_path: Path) -> None:
    write(tmp_path / "testing", {"ant": 3, "bee": 4})
    for dataset in (folder(tmp_path), folder(tmp_path / "testing", protocol="test")):
        assert sizes(dataset) == [0, 0, 7] and np.bincount(dataset.split("test").labels).tolist() == [3, 4]
        with pytest.raises(DataError, match="no training images, so only runs that train nothing"):
            dataset.split("train", 1)
        with pytest.raises(DataError, match="no validation images; --split test scores its test images"):
            dataset.split("validation")
    with pytest.raises(DataError, match=r"comes split; protocol=test takes all images as test images: pass the folder"):
        folder(tmp_path, protocol="test")
    (tmp_path / "more" / "x").mkdir(parents=True)
    with pytest.raises(DataError, match="may be a part or a class"):
        folder(tmp_path)


def test_parts_may_be_inside_the_class_folders(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        write(tmp_path / name, {"Train": 12, "val": 2, "test_images": 3})
    assert sizes(folder(tmp_path)) == [24, 4, 6]


def test_few_training_images_beside_a_test_folder_leave_no_validation_images(tmp_path: Path) -> None:
    write(tmp_path / "train", {"ant": 2, "bee": 3})
    write(tmp_path / "test", {"ant": 2, "bee": 2})
    dataset = folder(tmp_path)
    assert sizes(dataset) == [5, 0, 4] and any("no validation images" in note for note in dataset.notes())


def test_a_table_beside_the_folders_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "data", {"ant": 12, "bee": 12})
    (tmp_path / "data" / "labels.csv").write_text("file,label\n")
    assert any("labels.csv is not read; manifest=" in note for note in folder(tmp_path / "data").notes())
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "labels.csv").write_text("file,label\n")
    with pytest.raises(DataError, match=r"no class folders; .* to read labels\.csv pass manifest=.*flat/labels\.csv"):
        folder(tmp_path / "flat")


def test_a_folder_within_is_suggested(tmp_path: Path) -> None:
    write(tmp_path / "archive", {"ant": 2, "bee": 3})
    with pytest.raises(DataError, match=r"did you mean path=.*archive"):
        folder(tmp_path)


def test_native_images_stay_as_they_are_or_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"ant": 12, "bee": 12}, side=20)
    assert folder(tmp_path, size="native").split("test").images.shape[1:] == (3, 20, 20)
    assert folder(tmp_path, size="16").split("test").images.shape[1:] == (3, 16, 16)
    Image.new("RGB", (30, 10)).save(tmp_path / "ant" / "wide.png")
    with pytest.raises(DataError, match=r"24 are 20x20, but .*wide.png is 30x10; pass size=N"):
        folder(tmp_path, size="native")
    with pytest.raises(SpecError, match="size=big: expected native, or a size in pixels from 8 to 4096"):
        folder(tmp_path, size="big")
    with pytest.raises(SpecError, match=r"needs path=DIR, a folder of class folders, or manifest=FILE"):
        discover().resolve("dataset", "folder").build()


def test_files_are_opened_once_for_as_long_as_they_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from robench_plugins.datasets.folder import index

    write(tmp_path, {"ant": 12, "bee": 12})
    for file in tmp_path.glob("*/*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    opened: list[Path] = []
    look = index._look_at
    monkeypatch.setattr(index, "_look_at", lambda file: opened.append(file) or look(file))
    monkeypatch.setattr("robench.storage.remembered.SETTLED", -(10**12))  # its files were made just now
    first = folder(tmp_path)
    index._index_of.cache_clear()  # as another process
    assert folder(tmp_path).split("test").fingerprint() == first.split("test").fingerprint() and len(opened) == 24
    Image.new("RGB", (9, 9)).save(tmp_path / "ant" / "0.png")
    folder(tmp_path)
    assert opened[24:] == [tmp_path / "ant" / "0.png"]


# Tables


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write(tmp_path, {"site a": 14, "site b": 14})


def rows(root: Path) -> list[dict[str, str]]:
    files = sorted(root.glob("*/*.png"))
    parts = ["train"] * 20 + ["val"] * 4 + ["test"] * 4
    return [
        {"image": f"{file.parent.name}/{file.name}", "label": "rust, late" if at % 2 else "healthy", "split": parts[at]}
        for at, file in enumerate(files)
    ]


def as_csv(rows: list[dict[str, str]], between: str = ",") -> str:
    lines = [between.join(rows[0]), *(between.join(f'"{value}"' for value in row.values()) for row in rows)]
    return "\ufeff" + "\r\n".join(lines)


TABLES = {
    "t.csv": as_csv,
    "semicolons.csv": lambda rows: as_csv(rows, ";"),
    "t.tsv": lambda rows: as_csv(rows, "\t"),
    "t.json": json.dumps,
    "t.jsonl": lambda rows: "\n".join(map(json.dumps, rows)),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_files_labels_and_splits(photographs: Path, name: str) -> None:
    table = photographs / name
    table.write_text(TABLES[name](rows(photographs)), encoding="utf-8")
    dataset = folder(None, manifest=str(table))
    assert sizes(dataset) == [20, 4, 4] and dataset.class_names == ("healthy", "rust, late")
    assert Folder.files(dataset.params) == {"manifest": table, "images": photographs}
    assert not [note for note in dataset.notes() if "left out" in note]


def test_what_a_table_leaves_out_is_counted_and_named(photographs: Path) -> None:
    table = photographs.parent / "t.json"
    content = {row["image"]: row["label"] for row in rows(photographs)[:24]} | {"gone.png": "healthy", "x.png": ""}
    table.write_text(json.dumps(content))
    dataset = folder(photographs, manifest=str(table))
    assert sum(sizes(dataset)) == 24 and min(sizes(dataset)) > 0
    assert "1 rows without a label left out" in dataset.notes()
    assert "1 file of the manifest are missing: gone.png" in dataset.notes()
    assert any(note.startswith("4 files that are not in the manifest left out: site b/") for note in dataset.notes())


WRONG: dict[str, tuple[Any, str]] = {
    "no label": ([{"file": "a.png", "what": "x"}], r"no column for the label \(columns: file, what\)"),
    "outside": ([{"file": "../a.png", "label": "x"}], r"row 1: \.\./a\.png is not below"),
    "part": ([{"file": "site a/0.png", "label": "x", "split": "fold 3"}], "split 'fold 3'; expected train, validation"),
    "twice": ([{"file": "site a/0.png", "label": label} for label in "xy"], r"row 2: 0\.png is y .*here and x above"),
    "several": ([{"file": "site a/0.png", "label": ["x", "y"]}], r"label is \['x', 'y'\]; expected one name"),
    "one class": ([{"file": "site a/0.png", "label": "x"}], "only the class x; expected two or more"),
    "none": ([{"file": "b.png", "label": "x"}], r"b\.png is no file; pass path=DIR"),
    "empty": ([], "has no rows"),
    "number": (3, "is no list of rows"),
}


@pytest.mark.parametrize("content, message", WRONG.values(), ids=WRONG)
def test_a_table_that_cannot_be_right_is_refused(photographs: Path, content: Any, message: str) -> None:
    table = photographs / "t.json"
    table.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as error:
        folder(None, manifest=str(table))
    assert "\n" not in str(error.value)


def test_small_files_do_not_make_gigabytes(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide, names, prompts = (photographs.parent / name for name in ("wide.csv", "names.txt", "prompts.txt"))
    wide.write_text(",".join(map(str, range(2000))) + ",file,label\n" + "a\n" * 9)
    names.write_text("ant\n" + "b" * 20_000)
    prompts.write_text("{} " * 3_000)
    with pytest.raises(DataError, match="has 2,002 columns"):
        folder(None, manifest=str(wide))
    with pytest.raises(DataError, match="a name of 20,000 letters"):
        folder(photographs, classes=str(names))
    names.write_text("a" * 5_000 + "\n" + "b" * 5_000)
    with pytest.raises(DataError, match=r"repeats 'aaaa.* more than"):
        folder(photographs, classes=str(names), prompts=str(prompts)).prompts()
    prompts.write_text("{} " * 30 + "\n" + "{} {}\n" * 9_000)
    with pytest.raises(DataError, match="makes prompts of 180 million letters"):
        folder(photographs, classes=str(names), prompts=str(prompts)).prompts()
    Image.new("RGBA", (40, 40)).save(photographs / "site a" / "clear.png")
    monkeypatch.setattr("robench_plugins.datasets.readers.photographs.MOST_COPIED", 1000)
    assert any("damaged" in note and "clear.png" in note for note in folder(photographs).notes())


# Class names and prompts


def test_class_names_come_from_a_file_in_each_of_its_forms(tmp_path: Path) -> None:
    data = write(tmp_path / "data", {"n01440764": 12, "n01443537": 12})
    assert any("classes=FILE names them" in note for note in folder(data).notes())
    forms = {
        "lines.txt": "tench\ngoldfish\n",
        "pairs.txt": "n01440764 tench\nn01443537 goldfish\nn01484850 great white shark",
        "map.json": json.dumps({"n01443537": "goldfish", "n01440764": "tench"}),
        "index.json": json.dumps({"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        dataset = folder(data, classes=str(tmp_path / name))
        assert dataset.class_names == ("tench", "goldfish"), name
        assert dataset.prompts() == (("a photo of a tench.",), ("a photo of a goldfish.",))
        assert any("1 names of pairs.txt not used" in note for note in dataset.notes()) == (name == "pairs.txt")
    (tmp_path / "order.txt").write_text("n01443537\nn01440764")
    assert folder(data, classes=str(tmp_path / "order.txt")).class_names == ("n01443537", "n01440764")
    (tmp_path / "few.json").write_text('{"n01440764": "tench"}')
    with pytest.raises(DataError, match="no name for 'n01443537'"):
        folder(data, classes=str(tmp_path / "few.json"))
    (tmp_path / "alike.txt").write_text("crane\ncrane")
    with pytest.raises(DataError, match="calls 'n01440764' and 'n01443537' both 'crane'"):
        folder(data, classes=str(tmp_path / "alike.txt"))
    (tmp_path / "three.txt").write_text("a\nb\nc")
    with pytest.raises(DataError, match=r"has 3 names; the data have 2 classes \(n01440764, n01443537\)"):
        folder(data, classes=str(tmp_path / "three.txt"))
    with pytest.raises(DataError, match=r"no file .*nowhere; expected a class name on each line"):
        folder(data, classes=str(tmp_path / "nowhere"))


def test_prompts_come_from_a_file(tmp_path: Path) -> None:
    data = write(tmp_path / "data", {"healthy": 12, "black_rot": 12})

    def prompts(name: str, content: str) -> tuple[tuple[str, ...], ...]:
        (tmp_path / name).write_text(content)
        return folder(data, prompts=str(tmp_path / name)).prompts()

    two = (("a leaf, black rot.", "black rot"), ("a leaf, healthy.", "healthy"))
    assert prompts("a.txt", "a leaf, {}.\n\n{c}\n") == two == prompts("a.json", '["a leaf, {}.", "{}"]')
    own = {"healthy": "a vine, green", "black_rot": ["spots, on {}", "rot"], "esca": "stripes"}
    assert prompts("b.json", json.dumps(own)) == (("spots, on black rot", "rot"), ("a vine, green",))
    notes = folder(data, prompts=str(tmp_path / "b.json")).notes()
    assert "prompts of 1 classes in b.json not used: esca" in notes
    for content, message in (
        ('{"healthy": "x"}', "has no prompts for 'black_rot'; it has healthy"),
        ('["a leaf"]', "'a leaf' has no place for the class"),
        ('{"healthy": [], "black_rot": "x"}', "the prompts of 'healthy' are not texts"),
        ("3", "holds int; expected a template"),
        ("{", "is no JSON"),
    ):
        with pytest.raises(DataError, match=message):
            prompts("c.json", content)
