"""Leases on a place that several processes share, one of which is killed while it holds one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from robench.storage import lease
from robench.storage.lease import FREE, HeldError, held, leased
from robench.storage.shared_folder import SharedFolder

# Items are made under leases that are lost after two seconds; one of the processes is killed once it holds one.
PROGRAM = """
import os, signal, sys, time
from robench.storage import lease
from robench.storage.lease import leased
from robench.storage.shared_folder import SharedFolder

lease.BEAT, lease.LOST, lease.POLL = 0.1, 2.0, 0.001
place = SharedFolder(sys.argv[1])
items = [f"item{n}" for n in range(12)]

def work(kill):
    for item in items:  # in one order, so that all want the same
        with leased(place, f"making/{item}", wait=True):
            if kill:
                os.kill(os.getpid(), signal.SIGKILL)
            if item in place.entries("made", item):
                continue
            place.create(f"inside/{item}", b"one at a time")
            time.sleep(0.005)
            place.create(f"made/{item}", str(os.getpid()).encode())
            place.remove(f"inside/{item}")
    os._exit(0)

def start(kill):
    child = os.fork()
    if child == 0:
        try:
            work(kill)
        finally:
            os._exit(1)
    return child

# Dead before the others begin, or all of them might have made the first item before, and nobody would miss its lease.
codes = [os.waitpid(start(True), 0)[1]]
children = [start(False) for _ in range(6)]
codes += [os.waitpid(child, 0)[1] for child in children]
assert codes == [signal.SIGKILL] + [0] * 6, codes
"""


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedFolder:
    monkeypatch.setattr(lease, "POLL", 0.01)
    return SharedFolder(f"file://{tmp_path}/there")


def test_each_item_is_made_once_although_one_who_makes_it_is_killed(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/there"
    subprocess.run([sys.executable, "-c", PROGRAM, url], check=True, cwd=Path(__file__).parents[2])
    place = SharedFolder(url)
    # A second maker of an item would have died of its exclusive creation.
    assert len(place.entries("made")) == 12
    assert not place.entries("inside") and not place.entries("making")


def test_a_lease_is_held_by_one_and_gone_with_the_work_done(shared: SharedFolder) -> None:
    with leased(shared, "making/it", wait=False):
        assert held(shared, "making") == {"it"}
        with pytest.raises(HeldError), leased(shared, "making/it", wait=False):
            pass
        with leased(shared, "making/it.else", wait=False), leased(shared, "making/i", wait=False):
            assert held(shared, "making") == {"it", "it.else", "i"}
    assert not shared.entries("making") and held(shared, "making") == set()


def test_a_lease_is_free_at_once_when_the_work_fails(shared: SharedFolder) -> None:
    with pytest.raises(RuntimeError), leased(shared, "making/it", wait=False):
        raise RuntimeError
    assert held(shared, "making") == set() and shared.read("making/it.1") == FREE
    with leased(shared, "making/it", wait=False):
        assert set(shared.entries("making")) == {"it.1", "it.2"}  # no number twice
    assert not shared.entries("making")


def test_a_lease_is_lost_when_it_is_not_written_for_long(shared: SharedFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOST", 0.3)
    shared.create("making/it.3", b"of one who died, and left no more than this")
    with pytest.raises(HeldError), leased(shared, "making/it", wait=False):
        pass
    start = time.monotonic()
    with leased(shared, "making/it", wait=True):
        assert 0.2 < time.monotonic() - start < 5
        assert "it.4" in shared.entries("making")


def test_a_lease_is_kept_for_as_long_as_the_work_takes(shared: SharedFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.02)
    with leased(shared, "making/it", wait=False):
        first = shared.entries("making")["it.1"].changed
        until = time.monotonic() + 10
        while shared.entries("making")["it.1"].changed == first:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_one_who_lost_its_lease_leaves_it_to_the_next(shared: SharedFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.02)
    with leased(shared, "making/it", wait=False):
        shared.create("making/it.2", b"of one who found the first too old, meanwhile")
        time.sleep(0.1)
        written = shared.entries("making")["it.1"].changed
        time.sleep(0.1)
        assert shared.entries("making")["it.1"].changed == written
    assert set(shared.entries("making")) == {"it.2"}
