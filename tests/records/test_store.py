from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from robench.errors import DataError
from robench.records.record import RunResult
from robench.records.store import Store, read_record, write_new

from tests.helpers.results import result


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def test_a_record_reads_back_as_it_was(store: Store) -> None:
    written, path = store.write(result())
    assert path.name == f"{written.run_id}.json"
    assert read_record(path) == written


def test_a_repeat_never_overwrites(store: Store) -> None:
    first, path = store.write(result())
    content = path.read_bytes()
    second, other = store.write(result())
    assert (first.run_id, second.run_id) == (result().run_id, f"{result().run_id}-2")
    assert path.read_bytes() == content and other != path


def test_only_completed_runs_count_as_done_and_the_latest_wins(store: Store) -> None:
    run_id = result().spec.run_id()
    assert store.completed(run_id) is None
    store.write(result(status="failed"))
    assert store.completed(run_id) is None
    store.write(result(started="2026-01-01T00:00:00+00:00"))
    latest, _ = store.write(result(started="2026-01-02T00:00:00+00:00"))
    found = store.completed(run_id)
    assert found is not None and found.run_id == latest.run_id == f"{run_id}-3"


def test_a_full_disk_is_one_clear_line_and_harms_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = store.write(result())
    content = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        store.write(result(seed=1))
    assert [entry.name for entry in store.folder.iterdir()] == [path.name]
    assert path.read_bytes() == content


def test_a_run_that_cannot_be_saved_is_rescued_elsewhere(store: Store, tmp_path: Path) -> None:
    store.folder.rmdir()
    with pytest.raises(DataError, match=r"this run's record is in .*rescued") as error:
        store.write_or_rescue(result(), tmp_path / "rescued")
    assert str(store.folder) in str(error.value)
    assert read_record(tmp_path / "rescued" / f"{result().run_id}.json") == result()


def test_a_folder_that_cannot_be_written_is_found_out_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="--results"):
        Store(tmp_path / "file" / "results").prepare()


def test_damaged_records_are_named_and_skipped_and_stay(store: Store) -> None:
    good, path = store.write(result())
    (store.folder / "0123456789ab.json").write_text(path.read_text()[:200])
    renamed = store.folder / "aaaaaaaaaaaa.json"
    renamed.write_text(path.read_text())
    warnings: list[str] = []
    assert [record.run_id for record in store.read(warnings.append)] == [good.run_id]
    assert len(warnings) == 2 and any("0123456789ab.json" in warning for warning in warnings)
    assert renamed.exists()


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="robench run"):
        Store(tmp_path / "nowhere").read(print)


def test_a_record_cannot_carry_a_path_as_its_name(store: Store) -> None:
    content = result().model_dump()
    content["run_id"] = "../../etc/passwd"
    with pytest.raises(ValueError, match="run_id"):
        RunResult.model_validate(content)


def test_a_name_taken_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "taken.json"
    path.write_text("first")
    with pytest.raises(FileExistsError):
        write_new(path, "second")
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.json"]


def test_a_file_system_without_hard_links_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(source: str, target: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr(os, "link", unsupported)
    path = tmp_path / "new.json"
    write_new(path, "content")
    assert path.read_text() == "content"
    with pytest.raises(FileExistsError):
        write_new(path, "second")
    assert path.read_text() == "content"
