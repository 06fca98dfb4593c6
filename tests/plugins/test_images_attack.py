"""Images out and in: ``--save-images`` and the attack ``images``."""

from __future__ import annotations

import os
import resource
import warnings
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import robench
from PIL import Image
from robench.records.record import RunResult
from robench.registry.discovery import GROUP
from robench.suite import python

from tests.conftest import entry_point, registry_of
from tests.helpers import toy
from tests.helpers.toy import Dots


@pytest.fixture(autouse=True)
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys and the built-in attacks."""
    (builtin,) = entry_points(group=GROUP, name="builtin")
    registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"), builtin)
    monkeypatch.setattr(python, "discover", lambda **more: registry)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(*attacks: str, **more: Any) -> RunResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return robench.run(
            dataset="dots", tuner="toy-dist/none", attacks=attacks, test_size=40, results=None, checks="off", **more
        )


def of(record: RunResult) -> tuple[str, str]:
    return record.attacks[0].bits, record.attacks[0].images


def test_what_is_saved_is_judged_as_it_was(folder: Path) -> None:
    made = run("sign:eps=10/255", save_images=folder)
    assert 0 < made.attacks[0].correct < 40
    assert sorted(path.name for path in folder.iterdir()) == [
        "clean",
        "clean.npz",
        "sign_eps=10_255",
        "sign_eps=10_255.npz",
    ]
    assert {path.parent.name for path in (folder / "clean").rglob("*.png")} == {"dark", "light"}
    with pytest.raises(robench.DataError, match=r"several sets of images \(clean, sign_.*path=.*sign_eps=10_255$"):
        run(f"images:path={folder}")
    saved = folder / "sign_eps=10_255"
    for path in (saved, saved / "manifest.csv", folder / "sign_eps=10_255.npz"):
        back = run(f"images:path={path},eps=10/255,knowledge=white-box")
        assert of(back) == of(made) and back.warnings == ()
        assert back.attacks[0].knowledge == "white-box" and back.attacks[0].surrogate is None
        assert back.provenance.contents is not None and len(back.provenance.contents["attack 1 path"]) == 16
    (folder / "sign_eps=10_255" / "manifest.csv").unlink()  # by the numbers that files are named by
    assert of(run(f"images:path={folder / 'sign_eps=10_255'},eps=10/255")) == of(made)


def test_what_lies_outside_the_ball_counts_as_no_attack_and_is_named(tmp_path: Path) -> None:
    clean = Dots().split("test", 40)
    images = 255 - clean.images
    images[5] = clean.images[5]
    np.savez(tmp_path / "inverted.npz", images=images)
    made = run(f"images:path={tmp_path / 'inverted.npz'}")
    assert made.clean is not None and made.attacks[0].bits == made.clean.bits and made.attacks[0].largest_norm == 0
    (line,) = made.warnings
    assert "39 of 40 images are outside and count as no attack" in line and "0, 1, 2, 3, 4, 6" in line


def test_order_does_not_matter_with_an_index_or_a_hash(folder: Path) -> None:
    made = run("sign:eps=10/255", save_images=folder)
    arrays = dict(np.load(folder / "sign_eps=10_255.npz"))
    order = np.random.default_rng(0).permutation(40)
    for names in (("images", "index"), ("images", "clean_sha256", "labels")):
        np.savez(folder / "mixed.npz", **{name: arrays[name][order] for name in names})
        assert of(run(f"images:path={folder / 'mixed.npz'},eps=10/255")) == of(made)


def test_images_that_are_not_there_count_as_no_attack_and_are_named(folder: Path) -> None:
    made = run("sign:eps=10/255", save_images=folder)
    arrays = dict(np.load(folder / "sign_eps=10_255.npz"))
    np.savez(folder / "few.npz", images=arrays["images"][:30], index=np.arange(30))
    few = run(f"images:path={folder / 'few.npz'},eps=10/255")
    assert made.clean is not None
    assert few.attacks[0].mask().tolist() == [*made.attacks[0].mask()[:30], *made.clean.mask()[30:]]
    assert any("10 images are not in" in line and "30, 31" in line for line in few.warnings)


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    clean = Dots().split("test", 40)
    np.savez(tmp_path / "small.npz", images=clean.images[:, :, :4])
    np.savez(tmp_path / "labels.npz", images=clean.images, labels=1 - clean.labels)
    np.savez(tmp_path / "name.npz", x=clean.images)
    np.savez(tmp_path / "range.npz", images=clean.images.astype(np.float32))
    np.savez(tmp_path / "twice.npz", images=clean.images, index=np.zeros(40, int))
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.png").write_text("no image")
    (tmp_path / "link").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "link" / "manifest.csv").write_text("file,index\n../0.png,0\n")
    for name, message in {
        "small.npz": "expected the same size",
        "labels.npz": "the same images and classes",
        "name.npz": "has x; expected an array images",
        "range.npz": r"expected \[0, 1\], or uint8",
        "twice.npz": "several images for test image 0",
        "text.npz": "expected an .npz with an array images",
        "nowhere": "there is no",
        "empty": "has no images",
        "broken": "cannot be read",
        "link": "is outside",
    }.items():
        with pytest.raises(robench.RobenchError, match=message):
            run(f"images:path={tmp_path / name}")
    with pytest.raises(robench.SpecError, match="take no surrogate"):
        run(f"images-linear:path={tmp_path / 'small.npz'}")


def zeros(path: Path, **shapes: tuple[int, ...]) -> Path:
    """Write arrays of zeros, packed, with no more memory than a piece of them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, shape in shapes.items():
            with packed.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
                for _ in range(min(int(np.prod(shape)), 12_000_000) // 1_000_000):
                    file.write(bytes(1_000_000))
    return path


def test_files_of_strangers_neither_fill_the_memory_nor_run_programs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    zeros(tmp_path / "bomb.npz", images=(15_000, 5, 16, 10))
    zeros(tmp_path / "lie.npz", images=(10**9, 3, 1024, 1024))
    for name in ("eps", "large", "pipe"):
        (tmp_path / name).mkdir()
    (tmp_path / "eps" / "0.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(x) run\n")
    Image.new("1", (2000, 2000)).save(tmp_path / "large" / "0.png")
    os.mkfifo(tmp_path / "pipe" / "0.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, message in {
        "pipe.npz": "there is no",
        "bomb.npz": "it would unpack to 12 MB",
        "lie.npz": "cannot be read",
        "eps": "cannot be read: cannot identify image file",
        "large": r"has shape \(3, 2000, 2000\), the test image .*; expected the same size",
        "pipe": "no such file",
    }.items():
        with pytest.raises(robench.DataError, match=message) as refused:
            run(f"images:path={tmp_path / name}")
        assert "\n" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


def test_a_folder_that_holds_something_is_not_written_to(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(robench.SpecError, match="not empty"):
        run("sign", save_images=folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_file_with_none_of_the_images_is_refused(tmp_path: Path) -> None:
    clean = Dots().split("test", 40)
    np.savez(tmp_path / "others.npz", images=clean.images, index=np.arange(40) + 5000)
    with pytest.raises(robench.DataError, match="has none of the 40 test images"):
        run(f"images:path={tmp_path / 'others.npz'}")
