"""A place that machines share by its URL, such as ``s3://bucket/results``: whole files under names.

Anything that fsspec reaches can be one if it can create a file only where there is none, which is what keeps two
workers from doing the same work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from robench.errors import DataError, RobenchError, SpecError

OBJECTS = ("abfs", "abfss", "az", "gcs", "gs", "memory", "s3", "s3a")
"""Protocols whose writes appear whole, and refuse to replace a file where asked to."""
FILES = ("file", "sftp", "ssh")
"""Protocols where a file is written under another name, and then linked or renamed to its own."""
TIMES = ("mtime", "LastModified", "last_modified", "created")
"""What the file systems of fsspec call the time of the last change."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a listing says of a file.

    Attributes:
        size: In bytes.
        changed: When it was last written, in seconds by the clock of the place itself.
    """

    size: int
    changed: float


@dataclass(frozen=True)
class SharedFolder:
    """The place at `url`; names of files in it are relative, with slashes.

    Every method raises a DataError if the place cannot be reached, and a SpecError if the package that would reach it
    is not installed.
    """

    url: str

    def __str__(self) -> str:
        return re.sub(r"(//[^/@]*:)[^/@]*@", r"\1***@", self.url)  # a password is nobody's business

    @property
    def mirror(self) -> Path:
        """The folder of this machine for copies of what is there; it may be deleted at any time."""
        from platformdirs import user_cache_path

        name = self.url.rstrip("/")
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        return user_cache_path("robench") / "mirrors" / f"{name.rpartition('/')[2]}-{digest}"

    def is_dir(self) -> bool:
        """Return whether any file is there."""
        return bool(self.entries())

    def prepare(self) -> None:
        """Prove that the place can be written to and creates a file only where there is none, before a run spends time.

        Raises:
            DataError: It cannot, or does not.
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
            f"{self} replaces files that are to be created only where there is none, so that workers would do the "
            "same work twice; its server does not know conditional writes"
        )

    def create(self, name: str, content: bytes) -> None:
        """Write a new file, completely or not at all.

        Raises:
            FileExistsError: There is another of that name; it is left as it is.
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
                with contextlib.suppress(FileNotFoundError):  # removed since
                    # The library may have tried again after an answer was lost, and met our own file.
                    if fs.cat_file(path) == content:
                        return
                raise FileExistsError(f"{self}/{name}") from None

    def put(self, name: str, content: bytes) -> None:
        """Write a file, completely or not at all, in place of any that is there."""
        with self._reached() as (fs, root), self._whole(fs, f"{root}/{name}") as path:
            fs.pipe_file(path, content)

    def upload(self, path: Path, name: str) -> None:
        """Write the content of the file `path`, completely or not at all, in place of any that is there."""
        with self._reached() as (fs, root), self._whole(fs, f"{root}/{name}") as there:
            fs.put_file(str(path), there)

    def read(self, name: str) -> bytes:
        """Return what is in a file.

        Raises:
            FileNotFoundError: There is none of that name.
        """
        with self._reached() as (fs, root):
            content: bytes = fs.cat_file(f"{root}/{name}")
        return content

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return what is in each file, many at a time where the library can; those gone meanwhile are left out."""
        with self._reached() as (fs, root):
            paths = {f"{root}/{name}": name for name in names}
            found = fs.cat(list(paths), on_error="return") if paths else {}
            for content in found.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
        return {paths[path]: content for path, content in found.items() if isinstance(content, bytes)}

    def download(self, name: str, path: Path) -> None:
        """Write what is in a file to `path`, completely or not at all.

        Raises:
            FileNotFoundError: There is none of that name.
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
        """Return the files right in `folder` whose names begin with `beginning`, by name; none without the folder."""
        with self._reached() as (fs, root):
            there = f"{root}/{folder}" if folder else root
            fs.invalidate_cache()  # listings are kept by some, and other machines write here
            while True:
                try:
                    if beginning and self._protocol in OBJECTS:  # one question, however many files there are
                        found = list(fs.find(there, prefix=beginning, detail=True).values())
                    else:
                        found = fs.ls(there, detail=True)
                    break
                except FileNotFoundError:
                    if not fs.isdir(there):  # else one of its files was removed while it was read
                        return {}
            split = [(*info["name"].rstrip("/").rpartition("/"), info) for info in found if info["type"] == "file"]
            return {
                name: Entry(size=info["size"], changed=_changed(info))
                for parent, _, name, info in split
                if parent.lstrip("/") == there.lstrip("/") and name.startswith(beginning)
            }

    @property
    def _protocol(self) -> str:
        return self.url.partition("://")[0]

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """Yield the file system, which fsspec makes once a thread, and the path of this place in it."""
        from fsspec.core import url_to_fs

        try:
            fs, root = url_to_fs(self.url)
            yield fs, root.rstrip("/")
        except ImportError as error:
            raise SpecError(f"{self}: {_line(error)}") from error
        except (FileNotFoundError, FileExistsError, RobenchError):
            raise
        except Exception as error:  # whatever the libraries of so many services raise
            raise DataError(f"cannot reach {self}: {type(error).__name__}: {_line(error)}") from error

    @contextmanager
    def _whole(self, fs: Any, path: str) -> Iterator[str]:
        """Yield where to write so that `path` is whole at any moment."""
        if self._protocol in OBJECTS:
            yield path
        else:
            with _beside(fs, path) as temporary:
                yield temporary
                fs.mv(temporary, path)


@contextmanager
def _beside(fs: Any, path: str) -> Iterator[str]:
    """Yield a free name in the folder of `path`, which is made, and remove what is left there at the end."""
    folder, _, name = path.rpartition("/")
    for _ in range(folder.count("/")):  # others may make a part of it at the same moment
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
    """Give the file `temporary` the name `path`, which nothing must have; both calls are exclusive on the server."""
    try:
        if hasattr(fs, "ftp"):
            fs.ftp.rename(temporary, path)
        else:
            os.link(temporary, path)
    except OSError:
        if fs.exists(path):
            raise FileExistsError(path) from None
        raise


def _changed(info: Mapping[str, Any]) -> float:
    value = next(info[key] for key in TIMES if key in info)
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
