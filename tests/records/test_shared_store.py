"""Records at a URL, seen from several machines: folders for copies stand for them."""

from __future__ import annotations

import socketserver
from collections.abc import Callable
from pathlib import Path

import pytest
from robench.errors import DataError
from robench.records.samples import Samples
from robench.records.shared_store import SharedStore
from robench.records.store import Store
from robench.registry.registry import Registry
from robench.run.status import running, status_kept
from robench.storage.shared_folder import SharedFolder

from tests.conftest import command
from tests.exchange.test_merge import certified, of
from tests.helpers.results import result, samples

Machine = Callable[[str], SharedStore]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """What another machine, by name, sees of the same place; everything after it happens there."""

    def move(name: str) -> SharedStore:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return SharedStore(SharedFolder(f"file://{tmp_path}/there/results"))

    return move


def test_what_one_machine_records_all_others_see(machine: Machine) -> None:
    a = machine("a")
    with pytest.raises(DataError, match=r"no results at file://.*/there/results; run `robench run` first"):
        a.read(pytest.fail)
    a.prepare()
    first, path = a.write(result())
    assert path == a.folder / f"{first.run_id}.json" and path.is_file()
    b = machine("b")
    assert b.read(pytest.fail) == [first] and b.completed(result().spec.run_id()) == first
    second, _ = b.write(result(started="2026-03-01T00:00:00+00:00"))
    assert second.run_id == f"{first.run_id}-2"
    assert sorted(record.run_id for record in machine("a").read(pytest.fail)) == [first.run_id, second.run_id]


@pytest.mark.parametrize("shared", [True, False])
def test_a_completed_run_is_recorded_once_where_that_is_asked_for(
    machine: Machine, tmp_path: Path, shared: bool
) -> None:
    store = machine("a") if shared else Store(tmp_path / "results")
    store.prepare()
    failed, _ = store.write(result(status="failed"), once=True)
    first, _ = store.write(result(started="2026-01-01T00:00:00+00:00"), once=True)
    late, path = (machine("b") if shared else store).write(result(started="2026-01-02T00:00:00+00:00"), once=True)
    assert late == first != failed and path.stem == first.run_id == f"{failed.run_id}-2"
    assert len(store.read(pytest.fail)) == 2


def test_copies_follow_what_changes_and_what_goes(machine: Machine) -> None:
    a = machine("a")
    bare = certified(result()).model_copy(update={"checks": ()})
    written, _ = a.write(bare)
    other, _ = a.write(result(seed=1))
    b = machine("b")
    assert len(b.read(pytest.fail)) == 2
    a = machine("a")
    a.add_certificate(certified(written))
    a.place.remove(f"{other.run_id}.json")
    (copy,) = machine("b").read(pytest.fail)
    assert copy.verdict == "pass" and [path.name for path in b.folder.glob("*.json")] == [f"{written.run_id}.json"]


def test_a_record_is_fetched_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("a").write(result())
    b = machine("b")
    b.read(pytest.fail)
    read: list[str] = []
    read_all = SharedFolder.read_all

    def noted(self: SharedFolder, names: list[str]) -> dict[str, bytes]:
        read.extend(names)
        return read_all(self, names)

    monkeypatch.setattr(SharedFolder, "read_all", noted)
    assert len(b.read(pytest.fail)) == 1 and not read
    (b.folder / f"{result().run_id}.json").write_text("damaged here")
    assert b.fetch(anew=True) == 1 and read == [f"{result().run_id}.json"]
    assert len(b.read(pytest.fail)) == 1


def test_a_record_that_cannot_be_saved_there_is_rescued_here(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot reach file://.*; this run's record is in .*rescued"):
        machine("a").write_or_rescue(result(), tmp_path / "rescued")
    assert len(list((tmp_path / "rescued").glob("*.json"))) == 1


def test_samples_are_fetched_when_they_are_asked_for(machine: Machine) -> None:
    a = machine("a")
    written, _ = a.write(result())
    a.keep(written.run_id, samples())
    b = machine("b")
    assert Samples.load(b.samples(written.run_id)).labels.tolist() == samples().labels.tolist()
    assert not b.samples("another").exists()
    c = machine("c")
    c.fetch_all()
    assert [path.stem for path in (c.folder / "samples").glob("*.safetensors")] == [written.run_id]


def test_runs_under_way_are_seen_from_elsewhere(machine: Machine) -> None:
    from robench.registry.discovery import plugin_manager

    a = machine("a")
    a.write(result())
    manager = plugin_manager()
    with status_kept(manager, a.place):
        manager.hook.robench_run_started(spec=result().spec, run_id="0123456789ab")
        b = machine("b")
        b.fetch_all()
        assert [state.run_id for state in running(b.folder)] == ["0123456789ab"]
        machine("a")
        manager.hook.robench_run_finished(result=result())
    machine("b").fetch_all()
    assert not running(b.folder)


@pytest.fixture
def url(machine: Machine) -> str:
    """Two records, one with samples, at a URL, seen from a machine without copies."""
    store = machine("a")
    written, _ = store.write(certified(result()))
    store.keep(written.run_id, of(written))
    store.write(result(seed=1))
    return str(machine("b").place)


def test_commands_that_read_records_take_a_url(url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second = result().run_id, result(seed=1).run_id
    table, _ = command(capsys, "leaderboard", "--results", url, "--json")
    assert first in table and second in table
    _, errors = command(capsys, "leaderboard", "--results", url, "--format", "html", "--output", tmp_path / "site")
    assert not errors and "No sample images" in next((tmp_path / "site").rglob(f"runs/{second}.js")).read_text()
    assert "No sample images" not in next((tmp_path / "site").rglob(f"runs/{first}.js")).read_text()
    assert "confusion" in command(capsys, "show", first, "--results", url)[0]
    assert first in command(capsys, "compare", first, second, "--results", url)[0]
    assert "2 records in file://" in command(capsys, "verify", "--results", url)[0]
    command(capsys, "submit", first, "--results", url, "--output", tmp_path / "mine")
    assert (tmp_path / "mine" / "samples" / f"{first}.safetensors").is_file()


def test_a_run_and_the_served_page_take_a_url(
    machine: Machine, registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = str(machine("a").place)
    cache = results.removesuffix("results") + "cache"
    monkeypatch.setattr("robench.cli.run.discover", lambda: registry)
    words = ["run", "--dataset", "dots", "--attack", "sign-linear", "--test-size", "40", "--checks", "off"]
    words += ["--results", results, "--cache-dir", cache]
    command(capsys, *words)
    made = machine("b")
    (record,) = made.read(pytest.fail)
    assert record.status == "completed" and not record.attacks[0].cached
    command(capsys, *words, "--force")
    assert sorted(record.attacks[0].cached for record in made.read(pytest.fail)) == [False, True]

    def asked(self: socketserver.BaseServer) -> None:
        assert (made.folder / f"{record.run_id}.json").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", asked)
    assert f"shows {results}" in command(capsys, "serve", "--results", results, "--port", "0")[0]


def test_verify_looks_at_what_is_there_and_not_at_copies(
    url: str, machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = machine("b")
    store.read(pytest.fail)
    name = f"{result().run_id}.json"
    (store.folder / name).write_text("damaged here")
    assert ", 0 faults" in command(capsys, "verify", "--results", url)[0]
    (tmp_path / "there" / "results" / name).write_bytes(b"damaged there")
    assert name in command(capsys, "verify", "--results", url, code=1)[1]
    _, errors = command(capsys, "verify", "--quarantine", "--results", url, code=2)
    assert errors.startswith("robench: --quarantine moves files of a folder") and errors.count("\n") == 1


def test_records_are_merged_into_a_url_and_out_of_it(
    url: str, machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    said, _ = command(capsys, "merge", url, "--results", mine)
    assert "2 records for" in said and "2 taken" in said and "with samples" in said
    other, _ = Store(mine).write(result(seed=2))
    said, _ = command(capsys, "merge", mine, "--results", url)
    assert f"3 records for {url}: 1 taken, 2 there already" in said.replace("\n", " ")
    assert other in machine("c").read(pytest.fail)
    assert "the folder that takes the records in" in command(capsys, "merge", url, "--results", url, code=2)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard", "--format", "html", "--output"),
        ("show", "0123", "--output"),
        ("submit", "0123", "--output"),
        ("run", "--save-adapter"),
        ("sweep", "sweep.toml", "--save-adapters"),
        ("verify", "--since"),
        ("import",),
    ],
)
def test_a_url_where_a_path_belongs_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, errors = command(capsys, *words, "s3://bucket/folder", code=2)
    assert "s3://bucket/folder is a URL; expected a path" in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())
