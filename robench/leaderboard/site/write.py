"""Write the page into a folder: ``index.html`` is replaced last, when all other files are there."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from robench.errors import DataError
from robench.leaderboard.site.pages import GENERATOR, Pages
from robench.storage.whole_file import draft_beside, remove_abandoned, write_whole

INDEX = "index.html"
ASSETS = re.compile(r"[0-9a-f]{12}")
MANIFEST = "manifest.txt"
"""In the folder of a page, the files that robench wrote for it, one a line."""
RECORD = re.compile(r"[0-9a-f]{12}(-[0-9]+)?\.json")


def write_pages(pages: Pages, folder: Path) -> Path:
    """Write the page into `folder` and return the path of its ``index.html``.

    The folder may be new, empty, or hold an earlier page; other files beside that page stay. If anything fails, the
    earlier page still works.

    Raises:
        DataError: The folder holds something else, or cannot be written to.
    """
    new = _is_new(folder)
    staged: Path | None = None
    try:
        (folder / "assets").mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder / "assets")
        remove_abandoned(folder / "records")
        remove_abandoned(folder)
        staged = draft_beside(folder / pages.folder)
        staged.mkdir()
        (staged / MANIFEST).write_text("".join(f"{name}\n" for name in (*pages.files, *pages.records)))
        for name, make in pages.files.items():
            path = staged / Path(name).relative_to(pages.folder)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(make())
        if not (folder / pages.folder).exists():
            staged.rename(folder / pages.folder)
        (folder / "records").mkdir(exist_ok=True)
        for name, make in pages.records.items():
            write_whole(folder / name, make())
        write_whole(folder / INDEX, pages.index)
        _sweep(pages, folder)
    except BaseException as error:
        if new:
            for name in ("assets", "records"):
                shutil.rmtree(folder / name, ignore_errors=True)
        if isinstance(error, OSError):
            reason = f"cannot write the page to {folder}: {error.strerror or error}"
            raise DataError(reason if new else f"{reason}; the page that is there is unchanged") from None
        raise
    finally:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
    return folder / INDEX


def _is_new(folder: Path) -> bool:
    """Tell whether `folder` is new or empty; False if it holds a page.

    Raises:
        DataError: It holds something else.
    """
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return True
        if folder.is_dir() and f'name="generator" content="{GENERATOR}"' in (folder / INDEX).read_text("utf-8")[:2000]:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    except OSError as error:
        raise DataError(f"cannot write the page to {folder}: {error.strerror or error}") from None
    what = "is not empty and holds no page of robench" if folder.is_dir() else "is a file"
    raise DataError(f"--output {folder} {what}; name a new folder, an empty one, or that of an earlier page")


def _sweep(pages: Pages, folder: Path) -> None:
    """Remove files that only earlier pages used: those that their manifests name, and no other."""
    needed = {*pages.files, *pages.records}
    for manifest in (folder / "assets").glob(f"*/{MANIFEST}"):
        own = manifest.parent
        if own == folder / pages.folder or not ASSETS.fullmatch(own.name) or own.is_symlink():
            continue
        for name in set(manifest.read_text(encoding="utf-8", errors="replace").splitlines()) - needed:
            path = Path(name)
            is_asset = path.parts[:2] == ("assets", own.name) and ".." not in path.parts
            if is_asset or (path.parent == Path("records") and RECORD.fullmatch(path.name)):
                _remove(folder / path)
        _remove(manifest)
        for empty in (own / "runs", own):  # a file of somebody else keeps its folder
            with suppress(OSError):
                empty.rmdir()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
