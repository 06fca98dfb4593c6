from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from robench.errors import DataError
from robench.storage.adversarial_cache import AdversarialCache, hash_images

IDENTITY = {"attack": "pgd", "seed": 1}


def images() -> NDArray[np.uint8]:
    return np.random.RandomState(0).randint(0, 256, (50, 3, 8, 8)).astype(np.uint8)


def make() -> tuple[NDArray[np.uint8], dict[str, Any]]:
    return images(), {"clean_correct": 40}


def never() -> tuple[NDArray[np.uint8], dict[str, Any]]:
    raise AssertionError("made again")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> AdversarialCache:
    return AdversarialCache(tmp_path, warnings.append)


def test_a_set_is_made_once_and_then_read(cache: AdversarialCache) -> None:
    first = cache.get(IDENTITY, make)
    second = cache.get(IDENTITY, never)
    assert (first.cached, second.cached) == (False, True)
    np.testing.assert_array_equal(first.images, second.images)
    assert second.notes == {"clean_correct": 40}
    assert isinstance(second.images, np.memmap)


def test_anything_in_the_identity_makes_another_set(cache: AdversarialCache) -> None:
    cache.get(IDENTITY, make)
    assert not cache.get({**IDENTITY, "seed": 2}, make).cached
    assert cache.get({"seed": 1, "attack": "pgd"}, never).cached


@pytest.mark.parametrize(
    "damage",
    [
        "flip",
        "truncate",
        "no meta",
        "bad meta",
        "a file",
        "deep meta",
        "a list",
        "notes",
        "another set",
        "archive",
        "floats",
        "empty",
        "a pipe",
        "no end",
    ],
)
def test_a_damaged_set_is_put_aside_and_made_again(cache: AdversarialCache, warnings: list[str], damage: str) -> None:
    cache.get(IDENTITY, make)
    folder = next(path for path in cache.folder.iterdir() if path.is_dir())
    content = bytearray((folder / "images.npy").read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        (folder / "images.npy").write_bytes(content)
    elif damage == "truncate":
        (folder / "images.npy").write_bytes(content[: len(content) // 2])
    elif damage == "no meta":
        (folder / "meta.json").unlink()
    elif damage == "bad meta":
        (folder / "meta.json").write_text(json.dumps({"notes": {}}))
    elif damage == "a file":
        shutil.rmtree(folder)
        folder.write_text("a file")
    elif damage == "deep meta":
        (folder / "meta.json").write_text("[" * 100_000)
    elif damage == "a list":
        (folder / "meta.json").write_text("[]")
    elif damage in ("notes", "another set"):
        meta = json.loads((folder / "meta.json").read_text())
        meta |= {"notes": 3} if damage == "notes" else {"identity": {"attack": "none"}}
        (folder / "meta.json").write_text(json.dumps(meta))
    elif damage in ("a pipe", "no end"):
        path = folder / ("images.npy" if damage == "a pipe" else "meta.json")
        path.unlink()
        os.mkfifo(path) if damage == "a pipe" else path.symlink_to("/dev/zero")
    elif damage == "archive":
        np.savez(folder / "images.npz", images())
        (folder / "images.npz").replace(folder / "images.npy")
    elif damage == "floats":
        made = np.zeros((50, 3, 8, 8))
        np.save(folder / "images.npy", made)
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps({**meta, "sha256": hash_images(made)}))
    else:
        (folder / "images.npy").write_bytes(b"")
    again = cache.get(IDENTITY, make)
    assert not again.cached
    np.testing.assert_array_equal(again.images, images())
    assert len(warnings) == 1 and "put aside" in warnings[0]
    assert cache.get(IDENTITY, never).cached
    assert list(cache.folder.glob("damaged-*/*"))


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_other_users_can_read_a_set_if_the_umask_lets_them(cache: AdversarialCache) -> None:
    before = os.umask(0o002)
    try:
        cache.get(IDENTITY, make)
    finally:
        os.umask(before)
    (folder,) = (path for path in cache.folder.iterdir() if path.is_dir())
    assert folder.stat().st_mode & 0o777 == 0o775
    assert all(path.stat().st_mode & 0o777 == 0o664 for path in folder.iterdir())


def test_a_maker_that_fails_leaves_nothing_behind(cache: AdversarialCache) -> None:
    def fail() -> tuple[NDArray[np.uint8], dict[str, Any]]:
        raise RuntimeError("attack failed")

    with pytest.raises(RuntimeError, match="attack failed"):
        cache.get(IDENTITY, fail)
    assert not [path for path in cache.folder.iterdir() if path.is_dir()]
    assert not cache.get(IDENTITY, make).cached


def test_a_cache_that_cannot_be_written_says_what_to_pass(tmp_path: Path) -> None:
    (tmp_path / "adversarial").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="--cache-dir"):
        AdversarialCache(tmp_path, print).get(IDENTITY, make)


def race(folder: Path, made: Any) -> None:
    def slow() -> tuple[NDArray[np.uint8], dict[str, Any]]:
        with made.get_lock():
            made.value += 1
        time.sleep(0.3)
        return make()

    AdversarialCache(folder, print).get(IDENTITY, slow)


def test_two_processes_make_one_set(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    made = context.Value("i", 0)
    workers = [context.Process(target=race, args=(tmp_path, made)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert made.value == 1
    assert [worker.exitcode for worker in workers] == [0, 0, 0]


WRITER = """
import sys, numpy as np
from pathlib import Path
from robench.storage.adversarial_cache import AdversarialCache
cache = AdversarialCache(Path(sys.argv[1]), print)
images = np.random.RandomState(0).randint(0, 256, (2000, 3, 32, 32)).astype(np.uint8)
print("ready", flush=True)
for seed in range(10_000):
    cache.get({"seed": seed}, lambda: (images, {"clean_correct": 1}))
"""


@pytest.mark.parametrize("delay", [0.0, 0.011, 0.023, 0.037, 0.052, 0.08])
def test_a_kill_at_any_moment_leaves_whole_sets_or_none(tmp_path: Path, delay: float, warnings: list[str]) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
    time.sleep(delay)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    cache = AdversarialCache(tmp_path, warnings.append)
    finished = [path for path in cache.folder.glob("*") if path.is_dir() and path.suffix != ".tmp"]
    for seed in range(len(finished)):
        assert cache.get({"seed": seed}, never).cached
    assert not cache.get({"seed": len(finished)}, make).cached
    assert not warnings
    assert len(list(cache.folder.glob("*.tmp"))) == 0
