"""The picture of the leaderboard shows the committed records on the page as it is now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures_script", ROOT / "docs" / "pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(pictures: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written: Path = pictures.write_page(tmp_path_factory.mktemp("pictures") / "page")
    return written


def test_the_picture_is_of_the_present_page_and_records(pictures: ModuleType, page: Path) -> None:
    assert pictures.kept(pictures.PICTURE) == pictures.fingerprint(page), (
        f"docs/leaderboard.png shows other records or another page than there are now; run `{pictures.COMMAND}` and "
        "look at the picture"
    )


@pytest.mark.parametrize("change", ["records", "styles", "words"])
def test_what_a_reader_sees_changes_the_hash(pictures: ModuleType, page: Path, change: str) -> None:
    (assets,) = (page.parent / "assets").iterdir()
    file = {"records": assets / "board.js", "styles": assets / "page.css", "words": page}[change]
    before, text = pictures.fingerprint(page), file.read_text()
    file.write_text(text.replace("</title>", " </title>") if file == page else text + " ")
    assert pictures.fingerprint(page) != before
    file.write_text(text)
    assert pictures.fingerprint(page) == before


def test_a_picture_without_a_hash_counts_as_old(pictures: ModuleType, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "plain.png")
    assert pictures.kept(tmp_path / "plain.png") == ""
