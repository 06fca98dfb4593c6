"""A folder that machines share by its URL, such as ``s3://bucket/results``: whole files under names.

fsspec does most of the work. This file adds what fsspec lacks, as ``tests/storage/test_shared_folder.py`` shows:

- For ``file`` and ``sftp`` its ``mode="create"`` looks first and writes afterwards, so two writers can both succeed.
  Here a file is written under another name and then linked or renamed; the server refuses that if the name is taken.
- Uploads to those and downloads from anywhere show half a file while they last, and leave it behind if they fail.
- Each service raises errors of its own. Here they are one line that names the URL.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from robench.errors import DataError, RobenchError, SpecError

OBJECTS = ("abfs", "abfss", "az", "gcs", "gs", "memory", "s3", "s3a")
"""Protocols whose writes appear whole, and can refuse to replace a file."""
FILES = ("file", "sftp", "ssh")
"""Protocols where a file is written under another name and then given its own."""
TIMES = ("mtime", "LastModified", "last_modified", "created")
"""What the file systems of fsspec call the time of the last change."""


class Entry(NamedTuple):
    """What a listing says of a file: its size in bytes, and when it was last written, by the server's clock."""

    size: int
    changed: float


@dataclass(frozen=True)
class SharedFolder:
    """The folder at `url`; names of files in it are relative, with slashes.

    Every method raises a DataError if the URL cannot be reached, and a SpecError if the package for it is missing.
    """

    url: str

    def __str__(self) -> str:
        return re.sub(r"(//[^/@]*:)[^/@]*@", r"\1***@", self.url)  # hides a password

    @property
    def mirror(self) -> Path:
        """The folder of this machine for copies of the files; it may be deleted at any time."""
        from platformdirs import user_cache_path

        name = self.url.rstrip("/")
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        return user_cache_path("robench") / "mirrors" / f"{name.rpartition('/')[2]}-{digest}"

    def is_dir(self) -> bool:
        """Return whether any file is there."""
        return bool(self.entries())

    def prepare(self) -> None:
        """Check before a run that files can be written, and that ``create`` never replaces one.

        Raises:
            DataError: One of the two fails.
        """
        probe = f".robench-{uuid.uuid4().hex}"
        try:
            self.create(probe, b"first")
        except FileNotFoundError as error:
            raise DataError(f"cannot write to {self}: {_line(error) or 'there is no such place'}") from None
        try:
            self.create(probe, b"second")
        except FileExistsError:
            return
        finally:
            self.remove(probe)
        raise DataError(
            f"{self} replaces a file that should only be created if it does not exist, so records could be lost; "
            "its server does not know conditional writes"
        )

    def create(self, name: str, content: bytes) -> None:
        """Write a new file, completely or not at all.

        Raises:
            FileExistsError: Another file has that name; it is unchanged.
        """
        with self._reached() as (fs, root):
            path = f"{root}/{name}"
            try:
                if self._protocol in OBJECTS:
                    fs.pipe_file(path, content, mode="create")
                else:
                    with _beside(fs, path) as temporary:
                        fs.pipe_file(temporary, content)
                        _link(fs, temporary, path)
            except FileExistsError:
                # The library may have lost the server's answer, tried again, and met the file that it wrote itself.
                with contextlib.suppress(FileNotFoundError):
                    if fs.cat_file(path) == content:
                        return
                raise FileExistsError(f"{self}/{name}") from None

    def upload(self, path: Path, name: str) -> None:
        """Write the content of the file `path`, completely or not at all, in place of any file that is there."""
        with self._reached() as (fs, root):
            there = f"{root}/{name}"
            if self._protocol in OBJECTS:
                fs.put_file(str(path), there)
            else:
                with _beside(fs, there) as temporary:
                    fs.put_file(str(path), temporary)
                    fs.mv(temporary, there)

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: It does not exist.
        """
        with self._reached() as (fs, root):
            content: bytes = fs.cat_file(f"{root}/{name}")
        return content

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the content of each file that exists, many at a time where the library can."""
        with self._reached() as (fs, root):
            paths = {f"{root}/{name}": name for name in names}
            found = fs.cat(list(paths), on_error="return") if paths else {}
            for content in found.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
        return {paths[path]: content for path, content in found.items() if isinstance(content, bytes)}

    def download(self, name: str, path: Path) -> None:
        """Write the content of a file to `path`, completely or not at all.

        Raises:
            FileNotFoundError: It does not exist.
            OSError: `path` cannot be written to.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with self._reached() as (fs, root):
                fs.get_file(f"{root}/{name}", str(temporary))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with contextlib.suppress(FileNotFoundError), self._reached() as (fs, root):
            fs.rm_file(f"{root}/{name}")

    def entries(self, folder: str = "", beginning: str = "") -> dict[str, Entry]:
        """Return the files directly in `folder` whose names begin with `beginning`, by name."""
        with self._reached() as (fs, root):
            there = f"{root}/{folder}" if folder else root
            fs.invalidate_cache()  # some libraries keep listings, and other machines write here
            try:
                if beginning and self._protocol in OBJECTS:  # one request, however many files there are
                    found = list(fs.find(there, prefix=beginning, detail=True).values())
                else:
                    found = fs.ls(there, detail=True)
            except FileNotFoundError:
                return {}
            split = [(*info["name"].rstrip("/").rpartition("/"), info) for info in found if info["type"] == "file"]
            return {
                name: Entry(info["size"], _changed(info))
                for parent, _, name, info in split
                if parent.lstrip("/") == there.lstrip("/") and name.startswith(beginning)
            }

    @property
    def _protocol(self) -> str:
        return self.url.partition("://")[0]

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """Yield fsspec's file system and the path of this folder in it."""
        from fsspec.core import url_to_fs

        try:
            fs, root = url_to_fs(self.url)
            yield fs, root.rstrip("/")
        except ImportError as error:
            raise SpecError(f"{self}: {_line(error)}") from error
        except (FileNotFoundError, FileExistsError, RobenchError):
            raise
        except Exception as error:  # each service has errors of its own
            raise DataError(f"cannot reach {self}: {type(error).__name__}: {_line(error)}") from error


@contextmanager
def _beside(fs: Any, path: str) -> Iterator[str]:
    """Yield a free name in the folder of `path`, which is made; a file that is left there is removed at the end."""
    folder, _, name = path.rpartition("/")
    for _ in range(folder.count("/")):  # over SFTP it fails if another process makes a part of it at the same moment
        with contextlib.suppress(OSError):
            fs.makedirs(folder, exist_ok=True)
            break
    else:
        fs.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
    try:
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(temporary)


def _link(fs: Any, temporary: str, path: str) -> None:
    """Give the file `temporary` the name `path`; the server refuses both calls if that name is taken."""
    try:
        if hasattr(fs, "ftp"):
            fs.ftp.rename(temporary, path)
        else:
            os.link(temporary, path)
    except OSError:
        if fs.exists(path):
            raise FileExistsError(path) from None
        raise


def _changed(info: dict[str, Any]) -> float:
    value = next(info[key] for key in TIMES if key in info)
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
