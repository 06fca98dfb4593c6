"""robench verify and robench reproduce, on records and caches that are sound and on some that are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robench.cli.runs import plan_again
from robench.errors import DataError
from robench.evidence.reproduce import agreement, repeats
from robench.evidence.verify import verify_cache, verify_records
from robench.records.record import RunResult, Score
from robench.records.store import Store
from robench.registry.registry import discover
from robench.storage.adversarial_cache import AdversarialCache

from tests.conftest import command
from tests.helpers.results import bits, result


def stored(folder: Path) -> Path:
    store = Store(folder)
    store.prepare()
    return store.write(result(attacks=[("pgd-resnet20", 50, 100), ("pgd", 10, 100)]))[1]


def _score(at: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        (record["clean"] if at == "clean" else record["attacks"][0]).update(changes)

    return change


def _name(*path: str | int, **changes: str) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        part = record["spec"]
        for step in path:
            part = part[step]
        part.update(changes)

    return change


FORGERIES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a count": (_score("clean", correct=95), "bits do not add up"),
    "an image": (_score("attacks", correct=0, bits=Score.of(bits(0, 100)).bits), "its worst case does not follow"),
    "a radius": (_score("attacks", largest_norm=0.1), "changed a pixel by 25.5/255, beyond 8/255"),
    "the tuner": (
        lambda record: record["spec"]["tuner"].update(name="other", label="other"),
        "is not the hash of the spec",
    ),
    "the name of an attack": (
        lambda record: record["spec"]["attacks"][1].update(label="autoattack"),
        "not that of 'pgd'",
    ),
    "the name of a figure": (_score("attacks", label="autoattack"), "figures of pgd-resnet20 are called 'autoattack'"),
    "the name of a model": (
        lambda record: record["spec"]["model"].update(label="clip-vit-l14"),
        "not that of 'clip-tiny",
    ),
    "a value in a name": (_name("attacks", 1, label="pgd:eps=16/255"), "with eps=8/255"),
    "a surrogate": (_name("attacks", 0, "surrogate", label="resnet56"), "not that of 'resnet20'"),
    "the surrogate of a figure": (
        lambda record: record["attacks"][0]["surrogate"].update(name="resnet56"),
        "resnet20 is called 'resnet56'",
    ),
    "a surrogate in a name": (_name("attacks", 0, label="pgd-resnet56"), "not that of 'pgd-resnet20'"),
    "an attack": (lambda record: record["attacks"].pop(), "its attacks are not those asked for"),
    "a number of images": (_score("attacks", n=99), "do not add up|not those asked for|cannot hold"),
    "a key": (lambda record: record.update(better=True), "Extra inputs"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_record_that_was_changed_by_hand_is_named(tmp_path: Path, forgery: str) -> None:
    path = stored(tmp_path)
    assert verify_records(tmp_path) == (1, [])
    change, message = FORGERIES[forgery]
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    _, faults = verify_records(tmp_path)
    assert faults and {fault.path for fault in faults} == {path}
    assert any(part in fault.reason for fault in faults for part in message.split("|")), faults


def test_a_cached_set_whose_bytes_changed_is_named_and_left(tmp_path: Path) -> None:
    cache = AdversarialCache(tmp_path, pytest.fail)
    for number in range(2):
        cache.get({"set": number}, lambda: (np.zeros((3, 3, 4, 4), dtype=np.uint8), {}))
    assert verify_cache(tmp_path) == (2, [])
    broken, gone = sorted(path for path in (tmp_path / "adversarial").iterdir() if path.is_dir())
    images = np.load(broken / "images.npy")
    images[0, 0, 0, 0] = 1
    np.save(broken / "images.npy", images)
    (gone / "meta.json").unlink()
    n, faults = verify_cache(tmp_path)
    assert n == 2 and [fault.path for fault in faults] == [broken, gone]
    assert faults[0].reason == "its bytes do not match its hash" and "meta.json" in faults[1].reason
    assert verify_cache(tmp_path / "nowhere") == (0, [])


def test_the_committed_records_are_sound(root: Path) -> None:
    n, faults = verify_records(root / "results")
    assert n > 50 and not faults
    uncertified = [record.run_id for record in Store(root / "results").read(pytest.fail) if not record.checks]
    assert not uncertified


def test_the_command_of_every_committed_record_means_its_run(root: Path) -> None:
    for record in Store(root / "results").read(pytest.fail):
        assert plan_again(discover(), record).spec == record.spec


def test_agreement_is_bit_for_bit_or_within_the_interval_or_none() -> None:
    then = result(clean=90, attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 100)])

    def now(clean: int, transfer: int) -> RunResult:
        return result(clean=clean, attacks=[("pgd-resnet20", transfer, 100), ("pgd", 0, 100)])

    same = repeats(then, now(90, 50))
    assert [each.name for each in same] == ["clean", "pgd-resnet20", "pgd"] and agreement(same) == "bit for bit"
    near = repeats(then, now(90, 57))
    assert agreement(near) == "within the interval" and near[1].changed == 7
    assert agreement(repeats(then, now(90, 65))) == "disagrees"


def test_verify_says_what_it_checked_and_fails_on_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "results")
    where = ["--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / "cache")]
    assert "1 records" in command(capsys, "verify", *where)[0]
    path.write_text("{}")
    out, errors = command(capsys, "verify", *where, code=1)
    assert "1 faults; 0 sets" in out and str(path) in errors and path.read_text() == "{}"
    assert "no results at" in command(capsys, "verify", "--results", str(tmp_path / "none"), code=2)[1]


def test_what_is_faulty_is_moved_aside_and_lost_by_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "results")
    cache = AdversarialCache(tmp_path / "cache", pytest.fail)
    cache.get({"set": 0}, lambda: (np.zeros((3, 3, 4, 4), dtype=np.uint8), {}))
    (entry,) = (path for path in (tmp_path / "cache" / "adversarial").iterdir() if path.is_dir())
    (entry / "meta.json").write_text("{}")
    where = ["--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / "cache")]
    for content in ("{}", "[]"):  # twice under one name
        path.write_text(content)
        _, errors = command(capsys, "verify", "--quarantine", *where, code=1)
        assert str(path) in errors and "moved to" in errors and not path.exists() and not entry.exists()
    assert sorted(file.read_text() for file in (tmp_path / "results").glob("damaged-*/*.json")) == ["[]", "{}"]
    assert "0 records" in command(capsys, "verify", *where)[0]
    assert cache.get({"set": 0}, lambda: (np.zeros((3, 3, 4, 4), dtype=np.uint8), {})).cached is False


@pytest.mark.slow
def test_a_run_is_certified_afterwards_if_its_network_comes_out_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    where = ["--results", str(results), "--cache-dir", str(tmp_path / "cache")]
    size = ["--train-size", "32", "--test-size", "20", "--attack", "fgsm:n=10", "--tuner", "vpt:adversary=none"]
    adapter = tmp_path / "adapters" / "trained.safetensors"
    adapter.parent.mkdir()
    command(capsys, "run", *size, *where, "--quiet", "--checks", "off", "--save-adapter", str(adapter))
    (path,) = results.glob("*.json")
    before = path.read_text()
    assert "either names of runs or --all" in command(capsys, "certify", *where, code=2)[1]
    out, _ = command(capsys, "certify", path.stem, *where)
    certified = Store(results).read(pytest.fail)[0]
    assert "checks: " in out and certified.checks and certified.checked is not None
    assert certified.checked.command.startswith("robench certify")
    plain = RunResult.model_validate_json(before)
    assert certified.model_copy(update={"checks": plain.checks, "checked": None, "data": plain.data}) == plain
    assert certified.data is not None and plain.data is not None and certified.data.labels == plain.data.labels

    # The same from the weights that were kept, without training.
    path.write_text(before)
    adapter.rename(adapter.with_name(f"{path.stem}.safetensors"))
    command(capsys, "certify", "--all", "--adapters", str(adapter.parent), *where)
    assert Store(results).read(pytest.fail)[0].checks == certified.checks
    for again in ([], ["--again"]):
        assert command(capsys, "certify", "--all", *again, *where)[0] == ""

    # A certificate of an older robench is made again if that is asked for.
    older = [check for check in certified.checks if check.name != "slopes"]
    path.write_text(certified.model_copy(update={"checks": tuple(older)}).model_dump_json())
    assert command(capsys, "certify", "--all", *where)[0] == ""
    command(capsys, "certify", "--all", "--again", "--adapters", str(adapter.parent), *where)
    assert Store(results).read(pytest.fail)[0].checks == certified.checks

    # Other weights than the record's are never certified, and the record stays.
    forged = json.loads(before)
    forged["tuning"]["tuned_fingerprint"] = "0" * 16
    path.write_text(json.dumps(forged))
    out, _ = command(capsys, "certify", "--all", *where, code=1)
    assert "not certified" in out and "weights after tuning were 0000000000000000" in out
    assert json.loads(path.read_text()) == forged


def test_a_certificate_changes_nothing_that_was_measured(tmp_path: Path) -> None:
    path = stored(tmp_path)
    before = path.read_text()
    record = RunResult.model_validate_json(before)
    with pytest.raises(DataError, match="has other measurements"):
        Store(tmp_path).add_certificate(record.model_copy(update={"clean": Score.of(bits(91, 100))}))
    assert path.read_text() == before


@pytest.mark.slow
def test_a_run_reproduces_bit_for_bit_and_a_forged_one_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--results", str(tmp_path / "results")]
    # One epoch is the tuner's default, and not what the model recommends: the command has to say it.
    size = [
        "--train-size",
        "32",
        "--test-size",
        "20",
        "--attack",
        "fgsm:n=10",
        "--tuner",
        "vpt:epochs=1,adversary=none",
    ]
    command(capsys, "run", *size, *where, "--cache-dir", str(tmp_path / "cache"), "--quiet")
    (path,) = (tmp_path / "results").glob("*.json")
    out, _ = command(capsys, "reproduce", path.stem[:8], *where)
    assert "bit for bit" in out and "Nothing differs" not in out and "disagrees" not in out
    assert len(list((tmp_path / "results").glob("*.json"))) == 1

    forged = json.loads(path.read_text())
    forged["clean"].update(correct=3, bits=Score.of(bits(3, 20)).bits)
    path.write_text(json.dumps(forged))
    assert "disagrees" in command(capsys, "reproduce", path.stem, *where, code=1)[0]
    forged["status"] = "failed"
    path.write_text(json.dumps(forged))
    assert "only completed runs" in command(capsys, "reproduce", path.stem, *where, code=2)[1]
