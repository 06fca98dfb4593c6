"""Write the page into a folder: ``index.html`` is replaced last, when all other files are there."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from robench.errors import DataError
from robench.leaderboard.site.pages import GENERATOR, Pages

INDEX = "index.html"
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
        staged = Path(tempfile.mkdtemp(dir=folder / "assets", prefix=".new-"))
        staged.chmod(0o755)  # mkdtemp makes it private, and a web server must read it
        for name, make in pages.files.items():
            path = staged / Path(name).relative_to(pages.folder)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(make())
        if not (folder / pages.folder).exists():
            staged.rename(folder / pages.folder)
        (folder / "records").mkdir(exist_ok=True)
        for name, make in pages.records.items():
            _replace(folder / name, make())
        _replace(folder / INDEX, pages.index)
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


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(pages: Pages, folder: Path) -> None:
    """Remove files that only earlier pages used."""
    for path in (folder / "assets").iterdir():
        if path != folder / pages.folder:
            shutil.rmtree(path, ignore_errors=True)
    for path in (folder / "records").iterdir():
        if RECORD.fullmatch(path.name) and f"records/{path.name}" not in pages.records:
            path.unlink()
