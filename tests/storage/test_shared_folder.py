"""Folders that machines share by URL, of the two kinds there are: object stores and file systems."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from robench.errors import DataError
from robench.storage.location import local_folder, parse_location
from robench.storage.shared_folder import SharedFolder

from tests.conftest import command


@pytest.fixture(params=["memory", "file"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedFolder]:
    found = parse_location(
        "memory://bucket/results" if request.param == "memory" else f"file://{tmp_path}/there/results"
    )
    assert isinstance(found, SharedFolder)
    yield found
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_a_file_is_created_only_where_there_is_none(shared: SharedFolder) -> None:
    shared.prepare()
    assert not shared.is_dir()
    shared.create("a/one.json", b"first")
    with pytest.raises(FileExistsError):
        shared.create("a/one.json", b"second")
    shared.create("a/one.json", b"first")  # as after an answer that was lost
    assert shared.read("a/one.json") == b"first"
    assert list(shared.entries("a")) == ["one.json"]  # and nothing beside it


@pytest.fixture
def write(tmp_path: Path, shared: SharedFolder) -> Callable[[str, bytes], None]:
    """Write a file there, in place of any."""

    def write(name: str, content: bytes) -> None:
        (tmp_path / "mine").write_bytes(content)
        shared.upload(tmp_path / "mine", name)

    return write


def test_files_are_listed_read_replaced_and_removed(
    shared: SharedFolder, write: Callable[[str, bytes], None], tmp_path: Path
) -> None:
    write("one", b"1")
    write("one", b"12")
    write("other", b"")
    write("one.folder/deep", b"123")
    assert {name: entry.size for name, entry in shared.entries().items()} == {"one": 2, "other": 0}
    assert list(shared.entries("", "one")) == ["one"] and list(shared.entries("one.folder")) == ["deep"]
    assert shared.entries("nowhere") == {} and shared.is_dir()
    assert shared.read_all(["one", "other", "nothing"]) == {"one": b"12", "other": b""}
    with pytest.raises(FileNotFoundError):
        shared.read("nothing")
    copy = tmp_path / "copies" / "deep"
    shared.download("one.folder/deep", copy)
    assert copy.read_bytes() == shared.read("one.folder/deep") == b"123"
    with pytest.raises(FileNotFoundError):
        shared.download("nothing", copy)
    assert [path.name for path in copy.parent.iterdir()] == ["deep"]
    shared.remove("one")
    shared.remove("one")
    assert list(shared.entries()) == ["other"]


def test_a_later_write_is_seen_to_be_later(shared: SharedFolder, write: Callable[[str, bytes], None]) -> None:
    write("one", b"1")
    before = shared.entries()["one"].changed
    write("one", b"2")
    assert shared.entries()["one"].changed > before


def test_of_two_writers_at_the_same_time_one_creates_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other writes while the first has seen no file and not yet written; fsspec alone would let both succeed."""
    shared, path = SharedFolder(f"file://{tmp_path}"), tmp_path / "one"
    write = LocalFileSystem.pipe_file

    def interrupted(self: LocalFileSystem, name: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        path.write_bytes(b"theirs")
        write(self, name, value, mode=mode, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "pipe_file", interrupted)
        with pytest.raises(FileExistsError):
            shared.create("one", b"ours")
    assert path.read_bytes() == b"theirs"
    monkeypatch.setattr(LocalFileSystem, "exists", lambda self, path, **kwargs: False)
    LocalFileSystem().pipe_file(str(path), b"ours", mode="create")
    assert path.read_bytes() == b"ours", "fsspec creates by itself: shared_folder.py can do without its link"


@pytest.mark.parametrize("method", ["put_file", "get_file"])
def test_a_transfer_that_fails_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    shared, mine = SharedFolder(f"file://{tmp_path}/there"), tmp_path / "mine"
    mine.write_bytes(b"whole")
    shared.upload(mine, "one")

    def fails(self: LocalFileSystem, source: str, target: str, **kwargs: Any) -> None:
        Path(target).write_bytes(b"ha")
        raise ConnectionError("gone")

    monkeypatch.setattr(LocalFileSystem, method, fails)
    with pytest.raises(DataError, match="ConnectionError: gone"):
        shared.upload(mine, "one") if method == "put_file" else shared.download("one", mine)
    assert mine.read_bytes() == b"whole" == shared.read("one")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "one", "there"]


def test_a_server_that_replaces_what_it_should_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: MemoryFileSystem, path: str, value: bytes, mode: str = "", **kwargs: Any) -> None:
        self.open(path, "wb", data=value)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", careless)
    with pytest.raises(DataError, match="does not know conditional writes"):
        SharedFolder("memory://bucket/results").prepare()


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(source: str, target: str) -> None:
        raise OSError(95, "no links here")

    monkeypatch.setattr(os, "link", unsupported)
    with pytest.raises(DataError, match=r"cannot reach file://.*no links here"):
        SharedFolder(f"file://{tmp_path}/results").prepare()


def test_a_place_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for use in (SharedFolder.prepare, SharedFolder.entries):
        with pytest.raises(DataError, match=f"cannot reach file://{tmp_path}/file/results: "):
            use(SharedFolder(f"file://{tmp_path}/file/results"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s4://bucket/results", "URLs that begin with s4:// are not supported; did you mean 's3'?"),
        ("http://host/results", "URLs that begin with http:// are not supported"),
        ("s3:/bucket/results", "is neither a folder nor a URL; did you mean s3://bucket/results?"),
        ("s3://", "s3:// names no folder; expected a URL such as s3://place/results"),
    ],
)
def test_what_is_no_place_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for option in ("--results", "--cache-dir"):
        _, errors = command(capsys, "run", option, text, code=2)
        assert said in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_password_is_not_shown() -> None:
    assert str(SharedFolder("sftp://me:secret@host/results")) == "sftp://me:***@host/results"
    assert str(SharedFolder("sftp://me@host:22/a:b@c")) == "sftp://me@host:22/a:b@c"


def test_a_package_that_is_missing_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    _, errors = command(capsys, "leaderboard", "--results", "s3://bucket/results", code=2)
    assert errors == "robench: s3://bucket/results: Install s3fs to access S3\n"


def test_paths_are_paths_and_a_url_has_a_folder_of_its_own_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert parse_location("results") == local_folder(Path("results")) == Path("results") and parse_location(
        "a:b"
    ) == Path("a:b")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mirrors = {
        local_folder(parse_location(f"s3://{name}")) for name in ("a/results", "b/results", "a/cache", "a/results/")
    }
    assert len(mirrors) == 3
    assert all(mirror.is_relative_to(tmp_path / "robench" / "mirrors") for mirror in mirrors)
