"""Tables are the same with an index and without, whatever becomes of the index or of the records."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from robench.bench.synthetic import records as made_up
from robench.errors import DataError
from robench.leaderboard import read as reading
from robench.leaderboard.export import csv_fields, to_csv, to_json
from robench.leaderboard.index import read_measurements
from robench.leaderboard.ranking import FILTERS, SORTS, rank
from robench.leaderboard.tables import Table, leaderboard, make_table
from robench.leaderboard.text import to_markdown
from robench.records.record import Check, ComponentSpec, Evaluation, RunResult, Score, ScoredSpec
from robench.records.store import Store, read_record
from robench.statistics.worst_case import worst_cases
from robench.storage.whole_file import draft_beside

from tests.helpers.plain_leaderboard import alike, plain_leaderboard
from tests.helpers.results import attack_score, bits, result

ATTACKS: tuple[tuple[str, int, int], ...] = (("pgd-resnet20", 50, 100), ("pgd", 0, 100), ("fgsm", 10, 60))
STARTED = tuple(f"2026-01-0{day}T00:00:00+00:00" for day in range(1, 4))


@st.composite
def varied(draw: st.DrawFn) -> RunResult:
    """A record of one of few runs, so that there are repeats, ties and tables of several rows."""
    chosen = draw(st.sampled_from([ATTACKS[:2], ATTACKS, ATTACKS[1:], ATTACKS[::-1], ()]))
    attacks = [(label, draw(st.sampled_from([0, 1, size // 2, size - 1, size])), size) for label, _, size in chosen]
    record = result(
        tuner=draw(st.sampled_from(["none", "lora", "tecoa"])),
        clean=draw(st.integers(60, 100)),
        attacks=attacks,
        seed=draw(st.integers(0, 1)),
        status=draw(st.sampled_from(["completed", "completed", "completed", "failed"])),
        started=draw(st.sampled_from(STARTED)),
        test_images=draw(st.sampled_from(["a" * 16, "b" * 16])),
        trainable=draw(st.sampled_from([0, 5, 10**9])),
    )
    assert record.data is not None
    labels = {} if draw(st.booleans()) else {"labels": None}
    verdict = draw(st.sampled_from(["pass", "warn", "fail"]))
    return record.model_copy(
        update={
            "data": record.data.model_copy(update=labels),
            "attacks": tuple(draw_norm(draw, score) for score in record.attacks),
            "checks": draw(st.sampled_from([(), (Check(name="noise", attack="", verdict=verdict, reason=""),)])),
            "warnings": draw(st.sampled_from([(), ("it is late", "é")])),
            "seconds": {"total": draw(st.sampled_from([1.5, 2.0]))},
            "provenance": record.provenance.model_copy(
                update={"plugins": draw(st.sampled_from([{}, {"tuner": "mine 1.0", "model": "robench 0.1.0"}]))}
            ),
        }
    )


def draw_norm(draw: st.DrawFn, score: Any) -> Any:
    return score.model_copy(update={"norm": draw(st.sampled_from(["Linf", "Linf", "L2"]))})


def settled(record: RunResult) -> RunResult:
    """The record with the worst cases of its attacks as they are now."""
    assert record.clean is not None
    return record.model_copy(update={"worst_case": worst_cases(record.clean, list(record.attacks))})


def elsewhere(record: RunResult) -> RunResult:
    """The record, scored on another dataset too."""
    assert record.data is not None and record.clean is not None
    other = ComponentSpec(name="dots", params={}, label="dots")
    found = Evaluation(
        dataset=other,
        data=record.data.model_copy(update={"test_fingerprint": "c" * 16}),
        clean=record.clean,
        attacks=record.attacks,
        worst_case=record.worst_case,
    )
    spec = record.spec.model_copy(update={"eval_datasets": (ScoredSpec(**dict(other)),), "train_size": 100})
    return record.model_copy(update={"spec": spec, "run_id": spec.run_id(), "elsewhere": (found,)})


RECORDS = st.lists(
    st.tuples(varied(), st.booleans()).map(lambda pair: elsewhere(settled(pair[0])) if pair[1] else settled(pair[0])),
    max_size=14,
)
CONDITIONS = st.lists(
    st.tuples(st.sampled_from(FILTERS), st.sampled_from(["*", "lora", "pgd*", "transfer", "1", "dots", "?e*", "x"])),
    max_size=1,
)


@dataclass
class Folder:
    """A folder of records whose index is kept from the first record on."""

    path: Path
    cache: Path
    heard: list[str] = field(default_factory=list)

    def board(self, sort: str = "worst") -> list[Table]:
        self.heard.clear()
        measurements = read_measurements(self.path, self.cache, self.heard.append, indexed_from=1)
        ranked = rank(measurements, sort=sort, runs=True)
        tables = [make_table(ranking) for ranking in ranked]
        lines = "".join(to_csv(tables, csv_fields(ranked))).count("\n")
        assert lines == bool(tables) + sum(len(table.rows) for table in tables)
        return tables

    def expected(self, sort: str = "worst") -> list[Table]:
        return leaderboard(Store(self.path).read(lambda message: None), sort=sort, runs=True)

    def add(self, *records: RunResult) -> list[Path]:
        store = Store(self.path)
        store.prepare()
        return [store.write(record)[1] for record in records]

    @property
    def index(self) -> Path:
        (path,) = self.cache.glob("index/*.arrow")
        return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(reading, "SETTLED", 0)  # or nothing written in a test would be kept
    return Folder(tmp_path / "results", tmp_path / "cache")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of records as they are read."""
    names: list[str] = []

    def counting(path: Path) -> RunResult:
        names.append(path.name)
        return read_record(path)

    monkeypatch.setattr(reading, "read_record", counting)
    yield names


@settings(max_examples=60, deadline=None)
@given(records=RECORDS, sort=st.sampled_from(SORTS), conditions=CONDITIONS, runs=st.booleans())
def test_columns_give_the_tables_that_records_do(
    records: list[RunResult], sort: str, conditions: list[tuple[str, str]], runs: bool
) -> None:
    found = leaderboard(records, sort=sort, filters=["=".join(each) for each in conditions], runs=runs)
    assert alike(found, plain_leaderboard(records, sort, conditions, runs))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS, more=RECORDS, sort=st.sampled_from(SORTS), data=st.data())
def test_an_index_changes_no_table_in_any_format(
    tmp_path_factory: pytest.TempPathFactory,
    folder: Folder,
    records: list[RunResult],
    more: list[RunResult],
    sort: str,
    data: st.DataObject,
) -> None:
    fresh = tmp_path_factory.mktemp("indexed")
    folder = Folder(fresh / "results", fresh / "cache")
    paths = folder.add(*records)
    for _ in range(2):  # made, and used
        same(folder.board(sort), folder.expected(sort))
    for path in data.draw(st.lists(st.sampled_from(paths), unique=True, max_size=3)) if paths else []:
        path.unlink()
    folder.add(*more)
    for _ in range(2):
        same(folder.board(sort), folder.expected(sort))


def same(found: list[Table], expected: list[Table]) -> None:
    assert found == expected
    assert "".join(to_json(found)) == "".join(to_json(expected))
    for one, other in zip(found, expected, strict=True):
        for classes in (False, True):
            assert to_markdown(one, classes=classes) == to_markdown(other, classes=classes)


def test_only_what_is_new_is_read(folder: Folder, read: list[str]) -> None:
    first, second = folder.add(result(seed=0), result(seed=1))
    folder.board()
    assert sorted(read) == sorted([first.name, second.name])
    read.clear()
    assert len(folder.board()[0].rows) == 2 and not read
    (third,) = folder.add(result(seed=2))
    first.unlink()
    assert len(folder.board()[0].rows) == 2 and read == [third.name]


def rewrite(path: Path) -> None:
    """Change a record within its file, and set the file's time back: size, name and number stay."""
    before = path.stat()
    changed = read_record(path).model_copy(update={"clean": Score.of(bits(89, 100))})
    text = changed.model_dump_json(indent=1) + "\n"
    path.write_text(text.ljust(before.st_size))
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Put another record of the run in the place of the first."""
    other = path.with_suffix(".new")
    other.write_text(read_record(path).model_copy(update={"seconds": {"total": 99.0}}).model_dump_json())
    other.replace(path)


@pytest.mark.parametrize("change", [rewrite, replace, Path.unlink], ids=lambda change: change.__name__)
def test_a_changed_record_is_never_shown_as_it_was(folder: Folder, change: Callable[[Path], Any]) -> None:
    path, _ = folder.add(result(seed=0), result(seed=1))
    before = folder.board()
    change(path)
    assert folder.board() == folder.expected() != before


def test_a_file_that_may_still_change_unseen_is_read_again(
    folder: Folder, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SETTLED", 10**12)
    folder.add(result())
    assert folder.board() == folder.board() == folder.expected()
    assert len(read) == 2


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_other_code(path: Path) -> None:
    """Write an index that says the same of all records, as other code might."""
    import pyarrow as pa
    from robench.leaderboard import index

    table = index._load(path)
    assert table is not None
    place = table.schema.get_field_index("tuner")
    wrong = pa.array(["wrong"] * len(table)).dictionary_encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_schema", lambda: table.schema.with_metadata({"robench": "other"}))
        index._save(table.set_column(place, "tuner", wrong), path)


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        of_other_code,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.write_text("not an index"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["flipped", "other code", "empty", "cut", "longer", "text", "folder"],
)
def test_an_index_that_cannot_be_trusted_is_made_anew(
    folder: Folder, read: list[str], damage: Callable[[Path], Any]
) -> None:
    folder.add(result(seed=0), result(seed=1))
    folder.board()
    read.clear()
    damage(folder.index)
    assert folder.board() == folder.expected() and len(read) == 2


def test_damaged_records_are_named_each_time_in_the_same_words(folder: Folder) -> None:
    _, path = folder.add(result(seed=0), result(seed=1))
    path.write_text("{")
    (folder.path / "f.json").mkdir()
    (folder.path / "note.json").write_bytes(b"\xff")
    expected: list[str] = []
    Store(folder.path).read(expected.append)
    assert len(expected) == 3
    for _ in range(2):
        assert len(folder.board()[0].rows) == 1
        assert folder.heard == expected


def test_a_record_that_contradicts_itself_is_named_and_the_others_are_shown(folder: Folder) -> None:
    sound = result(seed=1)
    more = attack_score("fgsm", 1, 100, "w" * 16)
    wrong = result(seed=0)
    folder.add(sound, wrong.model_copy(update={"attacks": (*wrong.attacks, more)}))
    for _ in range(2):
        assert [row.runs[0].run_id for row in folder.board()[0].rows] == [sound.run_id]
        (warning,) = folder.heard
        assert f"{wrong.run_id}.json: " in warning and warning.endswith("its attacks are not those asked for")
    with pytest.raises(DataError, match="not those asked for"):
        leaderboard([wrong.model_copy(update={"attacks": ()})])


def test_without_a_cache_that_can_be_written_to_all_is_read_each_time(folder: Folder, read: list[str]) -> None:
    folder.add(result())
    folder.cache.write_text("a file")
    for _ in range(2):
        assert folder.board() == folder.expected()
        assert len(folder.heard) == 1 and "no index is kept in" in folder.heard[0]
    assert len(read) == 2


def test_what_a_killed_writer_leaves_is_removed(folder: Folder) -> None:
    folder.add(result())
    folder.board()
    old, young = draft_beside(folder.index), draft_beside(folder.index)
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (0, 0))
    folder.add(result(seed=1))
    assert folder.board() == folder.expected()
    assert young.exists() and not old.exists()


def test_small_folders_have_no_index(folder: Folder) -> None:
    folder.add(result())
    read_measurements(folder.path, folder.cache, pytest.fail)
    assert not folder.cache.exists()


def test_an_empty_folder_and_one_of_failed_runs_have_no_tables(folder: Folder) -> None:
    folder.path.mkdir()
    assert folder.board() == [] == folder.board()
    folder.add(result(status="failed"))
    assert folder.board() == [] == folder.board()
    with pytest.raises(DataError, match="no results at"):
        read_measurements(folder.path / "nowhere", folder.cache, pytest.fail)


def test_readers_and_writers_at_the_same_time_do_not_disturb_each_other(folder: Folder) -> None:
    folder.add(*(result(seed=seed) for seed in range(8)))
    counts: list[Sequence[int]] = []

    def look() -> None:
        other = Folder(folder.path, folder.cache)
        counts.append([len(other.board()[0].rows) for _ in range(6)])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for seed in range(8, 16):
        folder.add(result(seed=seed))
    for thread in threads:
        thread.join()
    assert len(counts) == 4
    assert all(list(each) == sorted(each) and 8 <= each[0] <= each[-1] <= 16 for each in counts)
    assert folder.board() == folder.expected() and len(folder.board()[0].rows) == 16
    assert not list(folder.cache.glob("index/*.tmp"))


def test_records_read_by_several_processes_are_those_read_by_one(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in made_up(tables=2, rows=8, images=20):
        folder.add(record)
    (folder.path / "0.json").write_text("{")
    names = sorted(path.name for path in folder.path.glob("*.json"))
    told: list[int] = []
    alone = reading.read_rows(folder.path, names, told.append)
    monkeypatch.setattr(reading, "ALONE_BELOW", 0)
    monkeypatch.setattr(reading, "CHUNK", 6)
    several = reading.read_rows(folder.path, names, told.append)
    assert several[1] == alone[1] and list(alone[1]) == ["0.json"]
    columns = [name for name in alone[0].column_names if name not in reading.STATE]
    assert several[0].select(columns).to_pylist() == alone[0].select(columns).to_pylist()
    assert told == [17, 6, 12, 17]


def test_a_leaderboard_with_an_index_loads_nothing_that_it_does_not_need(folder: Folder) -> None:
    folder.add(result())
    words = ["leaderboard", "--results", str(folder.path), "--cache-dir", str(folder.cache), "--format", "csv"]
    program = (
        "import sys, contextlib, robench.leaderboard.index\n"
        "from robench.cli import main\n"
        "robench.leaderboard.index.INDEXED_FROM = 1\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    main({words!r})\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    folder.board()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result().run_id in done.stdout
    slow = {"pydantic", "pandas", "scipy.stats", "statsmodels", "robench.records.record", "torch"}
    assert "pyarrow" in done.stderr.split() and not slow & set(done.stderr.split())
