"""robench merge, submit and verify --since: results of several people, and a pull request of them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from robench.evidence.verify import verify_records
from robench.exchange.contribution import changes, unfit
from robench.exchange.formats import FORMATS
from robench.exchange.merge import Outcome, Receiver, merge
from robench.leaderboard.tables import leaderboard
from robench.records.record import Check, Evaluation, RunError, RunResult, RunSpec, ScoredSpec
from robench.records.samples import Samples, samples_path
from robench.records.store import Store, read_record
from robench.registry.registry import Registry

from tests.cli.test_fuzz import leaves
from tests.conftest import command
from tests.helpers.results import result, samples

ATTACKS = [("pgd-resnet20", 50, 100), ("pgd", 10, 100)]


def certified(record: RunResult, verdict: str = "pass") -> RunResult:
    labels = ("", *(attack.label for attack in record.spec.attacks))
    checks = [Check(name="noise", attack=label, verdict="pass", reason="as it should be") for label in labels]
    checks[-1] = Check(name="noise", attack=labels[-1], verdict=verdict, reason="weaker than noise")
    return record.model_copy(update={"checks": tuple(checks)})


def measured(pgd: int = 10, **more: Any) -> RunResult:
    return certified(result(attacks=[ATTACKS[0], ("pgd", pgd, 100)], **more))


def of(record: RunResult) -> Samples:
    """Samples whose predictions are those of `record`."""
    made = samples(labels=[score.label for score in record.attacks])
    assert record.clean is not None

    def right(mask: np.ndarray) -> np.ndarray:
        return np.where(mask, made.labels, (made.labels + 1) % 4)

    attacks = tuple(
        dataclasses.replace(each, predictions=right(score.mask()))
        for each, score in zip(made.attacks, record.attacks, strict=True)
    )
    return dataclasses.replace(made, predictions=right(record.clean.mask()), attacks=attacks)


def put(folder: Path, *records: RunResult, with_samples: bool = False) -> list[Path]:
    store = Store(folder)
    store.prepare()
    paths = []
    for record in records:
        named, path = store.write(record)
        paths.append(path)
        if with_samples:
            of(named).save(samples_path(folder, named.run_id))
    return paths


def take(results: Path, *folders: Path, **options: Any) -> list[Outcome]:
    return [outcome for _, outcome in merge(Receiver(results, warn=pytest.fail, **options), folders)]


def contents(folder: Path) -> list[str]:
    """What is recorded in `folder`, whatever the names."""
    found = Store(folder).read(pytest.fail)
    return sorted(each.model_copy(update={"run_id": each.spec.run_id()}).model_dump_json() for each in found)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Merging


def test_records_and_samples_come_in_once(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    put(mine, measured())
    put(theirs, measured(), measured(seed=1), with_samples=True)
    before = files(mine)
    first = take(mine, theirs)
    assert {each.what for each in first} == {"there", "taken"} and not any(each.rivals for each in first)
    assert before.items() <= files(mine).items()
    # Samples that were not here come in too, also of the record that was.
    for path in mine.glob("*.json"):
        assert files(mine)[f"samples/{path.stem}.safetensors"] == files(theirs)[f"samples/{path.stem}.safetensors"]
    after = files(mine)
    assert [each.what for each in take(mine, theirs)] == ["there", "there"] and files(mine) == after


def test_what_a_run_leaves_is_taken_whole(
    tmp_path: Path, registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench.cli.run.discover", lambda: registry)
    words = ["run", "--dataset", "dots", "--tuner", "bias", "--attack", "sign-linear", "--train-size", "20"]
    words += ["--test-size", "40", "--eval-dataset", "stripes", "--results", str(tmp_path / "theirs"), "--quiet"]
    command(capsys, *words)
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs")
    assert outcome.what == "taken" and outcome.refused == "" and outcome.notes == ("with samples",)
    assert files(tmp_path / "mine") == files(tmp_path / "theirs")
    assert outcome.record is not None and unfit(outcome.record, allow_fail=False) == []


def test_repeats_of_two_people_keep_out_of_each_others_way(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    put(mine, measured(10), measured(11))
    put(theirs, measured(12), measured(13), with_samples=True)
    run = measured().spec.run_id()
    before = files(mine)
    taken = take(mine, theirs)
    assert [each.run_id for each in taken] == [f"{run}-3", f"{run}-4"]
    assert [rival.run_id for rival in taken[1].rivals] == [run, f"{run}-2", f"{run}-3"]
    assert before.items() <= files(mine).items()
    scores = [read_record(mine / f"{run}{suffix}.json").attacks[1].correct for suffix in ("", "-2", "-3", "-4")]
    assert scores == [10, 11, 12, 13]
    kept = Samples.load(samples_path(mine, f"{run}-3"))
    assert (kept.attacks[1].predictions == kept.labels).sum() == 12


def test_the_same_run_with_other_figures_is_kept_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    put(mine, measured(10))
    there = measured(30)
    made = there.provenance.model_copy(update={"device": "cuda: GB200", "versions": {"torch": "9.9"}})
    put(theirs, there.model_copy(update={"provenance": made}))
    out, _ = command(capsys, "merge", theirs, "--results", mine, code=1)
    assert "DISAGREES" in out and "20 of 100" in out and "GB200" in out and "9.9" in out and "1 taken" in out
    out, _ = command(capsys, "merge", theirs, "--results", mine)
    assert out == f"1 records for {mine}: 1 there already\n"


@pytest.mark.parametrize(
    ("there", "standing", "attention"),
    [
        (measured(10, started="2026-02-02T00:00:00+00:00"), "bit for bit", False),
        (measured(11), "within the interval", False),
        (measured(30), "disagrees", True),
        (measured(10, test_images="e" * 16), "other images", True),
    ],
)
def test_how_far_two_records_of_a_run_agree(tmp_path: Path, there: RunResult, standing: str, attention: bool) -> None:
    put(tmp_path / "mine", measured(10))
    put(tmp_path / "theirs", there)
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs")
    assert [rival.standing for rival in outcome.rivals] == [standing] and outcome.needs_attention is attention


def test_a_difference_on_another_dataset_is_seen(tmp_path: Path) -> None:
    def away(correct: int) -> RunResult:
        record = result()
        assert record.data is not None
        spec = record.spec.model_copy(update={"eval_datasets": (ScoredSpec(**dict(record.spec.model)),)})
        other = result(attacks=[ATTACKS[0], ("pgd", correct, 100)])
        found = Evaluation(
            dataset=record.spec.model,
            data=record.data,
            clean=other.clean,
            attacks=other.attacks,
            worst_case=other.worst_case,
        )
        return record.model_copy(update={"spec": spec, "run_id": spec.run_id(), "elsewhere": (found,)})

    put(tmp_path / "mine", away(10))
    put(tmp_path / "theirs", away(40))
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs")
    (rival,) = outcome.rivals
    changed = [(each.name, each.changed) for each in rival.found if each.changed]
    assert rival.standing == "disagrees" and changed == [("clip-tiny, pgd", 30)]


def test_failed_runs_come_in_as_what_they_are(tmp_path: Path) -> None:
    error = RunError(type="DataError", message="no such folder")
    failed = result(status="failed").model_copy(update={"error": error, "data": None, "clean": None, "attacks": ()})
    put(tmp_path / "mine", measured())
    put(tmp_path / "theirs", failed)
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs")
    assert outcome.what == "taken" and outcome.rivals == () and outcome.notes == ("a run that failed",)


def test_a_certificate_is_never_believed_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "theirs", certified(result(seed=1), "fail"), result(seed=2))
    out, _ = command(capsys, "merge", tmp_path / "theirs", "--results", tmp_path / "mine")
    assert "certificate says FAIL: noise: weaker than noise" in out and "no certificate: `robench certify" in out


def test_a_certificate_is_added_only_if_asked_for(tmp_path: Path) -> None:
    bare = result()
    put(tmp_path / "bare", bare)
    put(tmp_path / "certified", certified(bare))
    for order in (("bare", "certified"), ("certified", "bare")):
        both, one = tmp_path / f"both-{order[0]}", tmp_path / f"one-{order[0]}"
        folders = [tmp_path / name for name in order]
        assert [each.what for each in take(both, *folders)] == ["taken", "taken"]
        assert sorted(each.verdict or "" for each in Store(both).read(pytest.fail)) == ["", "pass"]
        last = take(one, *folders, certificates=True)[-1]
        assert last.what == ("certified" if order[0] == "bare" else "there")
        assert contents(one) == contents(tmp_path / "certified")
        assert [each.what for each in take(one, *folders, certificates=True)] == ["there", "there"]


def test_certificates_that_contradict_each_other_are_both_kept(tmp_path: Path) -> None:
    put(tmp_path / "mine", certified(result(), "pass"))
    put(tmp_path / "theirs", certified(result(), "fail"))
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs", certificates=True)
    assert outcome.what == "taken" and outcome.needs_attention
    assert outcome.rivals[0].certificates == ("pass", "fail")


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    put(mine, measured(10))
    put(theirs, measured(11), measured(12), result(seed=3), with_samples=True)
    before = files(mine)
    words = ["merge", theirs, tmp_path / "theirs", "--results", mine]
    planned, _ = command(capsys, *words, "--dry-run")
    assert files(mine) == before
    assert command(capsys, *words)[0] == planned.replace(" (dry run)", "") and "3 there already" in planned
    command(capsys, "merge", theirs, "--results", tmp_path / "new", "--dry-run")
    assert not (tmp_path / "new").exists()


RECORDS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([5, 50]), st.booleans()), min_size=1, max_size=5)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(first=RECORDS, second=RECORDS)
def test_merging_is_idempotent_and_the_order_decides_only_names(first: list[Any], second: list[Any]) -> None:
    def person(folder: Path, made: Iterable[tuple[int, int, bool]]) -> Path:
        plain = [result(attacks=[("pgd", correct, 100)], seed=seed) for seed, correct, _ in made]
        put(folder, *(certified(r) if c else r for r, (_, _, c) in zip(plain, made, strict=True)))
        return folder

    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        one, other = person(root / "one", first), person(root / "other", second)
        take(root / "ab", one, other)
        take(root / "ba", other, one)
        assert contents(root / "ab") == contents(root / "ba")
        assert set(contents(root / "ab")) == {*contents(one), *contents(other)}
        before = files(root / "ab")
        take(root / "ab", other, one, root / "ba")
        assert files(root / "ab") == before


# What is damaged or forged


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    return apply


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".txt"))
    path.symlink_to(path.with_suffix(".txt").name)


FORGERIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (lambda path: path.write_text(path.read_text()[:-20]), "not a valid record"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe"), "not a valid record"),
    "another name": (lambda path: path.rename(path.with_name("0" * 12 + ".json")), "expected the name"),
    "a name that climbs": (changed(lambda record: record.update(run_id="../" + record["run_id"])), "should match"),
    "a link": (_linked, "not a regular file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "not a regular file"),
    "the tuner": (
        changed(lambda record: record["spec"]["tuner"].update(name="other", label="other")),
        "not the hash of the spec",
    ),
    "a count": (changed(lambda record: record["clean"].update(correct=99)), "do not add up"),
    "a radius": (changed(lambda record: record["attacks"][1].update(eps="16/255")), "8/255 was asked for"),
    "no radius": (changed(lambda record: record["attacks"][1].update(eps="wide")), "not a radius"),
    "a radius without end": (changed(lambda record: record["attacks"][1].update(eps="1e999999999")), "not a radius"),
    "a norm": (changed(lambda record: record["attacks"][1].update(largest_norm=float("nan"))), "finite number"),
    "a surrogate": (changed(lambda record: record["attacks"][0].update(surrogate=None)), "was not asked for"),
    "parameters": (changed(lambda record: record["tuning"].update(parameters=-1)), "greater than or equal to 0"),
    "classes": (changed(lambda record: record["data"].update(test_counts=[1] * 4, labels=None)), "100 are scored"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_damaged_or_forged_is_named_and_the_rest_goes_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], forgery: str
) -> None:
    damage, message = FORGERIES[forgery]
    bad, _ = put(tmp_path / "theirs", measured(seed=1), measured(seed=2))
    damage(bad)
    out, errors = command(capsys, "merge", tmp_path / "theirs", "--results", tmp_path / "mine", code=1)
    assert "1 taken, 1 refused" in out and message in errors and "refused: " in errors
    assert len(errors.splitlines()) == 1
    (kept,) = Store(tmp_path / "mine").read(pytest.fail)
    assert kept.spec.seed == 2 and sorted(files(tmp_path)) != []
    assert {path.parent for path in tmp_path.rglob("*.json")} <= {tmp_path / "mine", tmp_path / "theirs"}


RECORD = json.loads(measured().model_dump_json())


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    where=st.sampled_from(leaves(RECORD)[1:]),
    what=st.one_of(
        st.none(), st.integers(), st.floats(), st.text(), st.sampled_from(["../../x", [], {}, "1/0", 10**400, -1, True])
    ),
)
@example(where=("tuning", "trainable_parameters"), what=2**63)
@example(where=("spec", "tuner", "params", "tuner"), what=10**400)
def test_a_record_with_any_part_replaced_is_taken_or_refused(where: tuple[str | int, ...], what: object) -> None:
    content = json.loads(json.dumps(RECORD))
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = what
    with suppress(ValidationError):  # a forger knows how the hash is made
        content["run_id"] = RunSpec.model_validate(content["spec"]).run_id()
    with TemporaryDirectory() as scratch:
        mine, theirs = Path(scratch) / "mine", Path(scratch) / "theirs"
        put(mine, measured())
        theirs.mkdir()
        (theirs / f"{content['run_id']}.json").write_text(json.dumps(content))
        (outcome,) = take(mine, theirs)
        assert (outcome.what == "refused") == bool(outcome.refused)
        assert verify_records(mine) == (1 + (outcome.what == "taken"), [])
        assert leaderboard(Store(mine).read(pytest.fail))
        for record in Store(mine).read(pytest.fail):
            for form in FORMATS.values():
                assert all(json.dumps(each.content, allow_nan=False) for each in form.documents(record))


BAD_SAMPLES: dict[str, tuple[Callable[[Path, RunResult], None], str]] = {
    "no samples": (lambda path, record: path.write_bytes(b"\x08" * 64), "cannot be read"),
    "another run's": (lambda path, record: of(measured(77)).save(path), "predictions of its record"),
    "of other attacks": (
        lambda path, record: of(result(attacks=[("pgd", 0, 100)])).save(path),
        "do not fit their record",
    ),
    "images that are none": (
        lambda path, record: dataclasses.replace(of(record), clean=np.zeros((4, 3, 8, 8))).save(path),
        "images are float64",
    ),
    "no array": (
        lambda path, record: dataclasses.replace(of(record), indices=np.array(3)).save(path),
        "cannot be read",
    ),
    "indices beyond": (
        lambda path, record: dataclasses.replace(of(record), indices=np.array([0, 1, 2, 999])).save(path),
        "index is out of range",
    ),
    "a link": (lambda path, record: path.symlink_to("/etc/hostname"), "not a regular file"),
}


@pytest.mark.parametrize("fault", BAD_SAMPLES)
def test_bad_samples_stay_out_and_their_record_goes_in(tmp_path: Path, fault: str) -> None:
    damage, message = BAD_SAMPLES[fault]
    (path,) = put(tmp_path / "theirs", measured())
    kept = samples_path(tmp_path / "theirs", path.stem)
    kept.parent.mkdir()
    damage(kept, measured())
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs")
    assert outcome.what == "taken" and message in outcome.refused and outcome.needs_attention
    assert sorted(files(tmp_path / "mine")) == [path.name]


def test_a_folder_of_samples_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (path,) = put(tmp_path / "theirs", measured())
    of(measured()).save(samples_path(tmp_path / "elsewhere", path.stem))
    (tmp_path / "theirs" / "samples").symlink_to(tmp_path / "elsewhere" / "samples")
    (outcome,) = take(tmp_path / "mine", tmp_path / "theirs")
    assert "is a link" in outcome.refused and sorted(files(tmp_path / "mine")) == [path.name]


def test_what_is_damaged_here_is_left_alone(tmp_path: Path) -> None:
    (path,) = put(tmp_path / "mine", measured())
    path.write_text("{}")
    put(tmp_path / "theirs", measured())
    warnings: list[str] = []
    receiver = Receiver(tmp_path / "mine", warn=warnings.append)
    ((_, outcome),) = merge(receiver, [tmp_path / "theirs"])
    assert outcome.run_id == f"{path.stem}-2" and path.read_text() == "{}" and str(path) in warnings[0]


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("none", "is not a folder"),
        ("mine", "takes the records in"),
        ("checkout", "did you mean"),
        ("empty", "no records"),
    ],
)
def test_folders_that_cannot_be_meant_are_refused_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, message: str
) -> None:
    put(tmp_path / "mine", measured())
    put(tmp_path / "theirs", measured(seed=1))
    put(tmp_path / "checkout" / "results", measured(seed=1))
    (tmp_path / "empty").mkdir()
    before = files(tmp_path)
    words = ["merge", tmp_path / "theirs", tmp_path / folder, "--results", tmp_path / "mine"]
    assert message in command(capsys, *words, code=2)[1] and files(tmp_path) == before


# Submitting


def test_runs_are_copied_with_their_samples_and_the_next_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = put(tmp_path / "mine", measured(), with_samples=True)
    (other,) = put(tmp_path / "checkout", measured(11))
    before = files(tmp_path / "checkout")
    words = ["submit", path.stem, "--results", tmp_path / "mine", "--output", tmp_path / "checkout"]
    out, errors = command(capsys, *words)
    assert f"git add {path.stem}-2.json" in out and "robench verify --since" in out and errors == ""
    assert before.items() <= files(tmp_path / "checkout").items() and other.name == path.name
    assert samples_path(tmp_path / "checkout", f"{path.stem}-2").is_file()
    out, _ = command(capsys, *words)
    assert "is there already" in out and "git add" not in out


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (result(status="interrupted"), "it is interrupted"),
        (result(), "has no certificate; `robench certify"),
        (certified(result(), "fail"), "--allow-fail was not given: noise: weaker than noise"),
        (result().model_copy(update={"checks": certified(result()).checks[:1]}), "nothing about pgd-resnet20, pgd"),
        (measured().model_copy(update={"worst_case": ()}), "worst case does not follow"),
    ],
)
def test_a_run_that_is_not_fit_keeps_all_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], record: RunResult, message: str
) -> None:
    paths = put(tmp_path / "mine", record, measured(seed=1))
    words = ["submit", *(path.stem for path in paths), "--results", tmp_path / "mine", "--output", tmp_path / "new"]
    _, errors = command(capsys, *words, code=2)
    assert message in errors and "nothing was copied: 1 of 2" in errors and not (tmp_path / "new").exists()


def test_a_failed_check_is_a_finding_if_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = put(tmp_path / "mine", certified(result(), "fail"))
    words = ["submit", path.stem, "--allow-fail", "--results", tmp_path / "mine", "--output", tmp_path / "new"]
    assert "certificate says FAIL" in command(capsys, *words)[0]
    (tmp_path / "empty").mkdir()
    verify = ["verify", "--results", tmp_path / "new", "--since", tmp_path / "empty", "--cache-dir", tmp_path / "none"]
    assert f"added {path.stem}: checks fail; noise: weaker than noise" in command(capsys, *verify)[0]


def test_paths_of_the_own_machine_are_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = measured()
    words = "robench run --dataset leaf:path=/srv/photos/leaf,size=32 --attack pgd:eps=8/255 --model clip:path=a/b"
    named = record.model_copy(update={"provenance": record.provenance.model_copy(update={"command": words})})
    (path,) = put(tmp_path / "mine", named)
    _, errors = command(capsys, "submit", path.stem, "--results", tmp_path / "mine", "--output", tmp_path / "new")
    assert errors.count("warning") == 1 and "names /srv/photos/leaf, a path" in errors
    same = ["submit", path.stem, "--results", tmp_path / "mine", "--output", tmp_path / "mine"]
    assert "is where the runs are" in command(capsys, *same, code=2)[1]


# Pull requests


def _delete(folder: Path, path: Path) -> None:
    path.unlink()


def _certify(folder: Path, path: Path) -> None:
    Store(folder).add_certificate(certified(read_record(path)))


PULLS: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a record": (lambda folder, path: put(folder, measured()), ""),
    "a repeat": (lambda folder, path: put(folder, measured(11), measured(12)), ""),
    "samples": (lambda folder, path: put(folder, measured(), with_samples=True), ""),
    "a failed check": (lambda folder, path: put(folder, certified(result(seed=5), "fail")), ""),
    "no certificate": (lambda folder, path: put(folder, result(seed=5)), "has no certificate"),
    "a failed run": (lambda folder, path: put(folder, certified(result(status="failed"))), "it is failed"),
    "a deletion": (_delete, "is gone"),
    "a change": (lambda folder, path: path.write_text(path.read_text() + "\n"), "is changed"),
    "a certificate of old": (_certify, "is changed"),
    "a link": (lambda folder, path: (folder / ("0" * 12 + ".json")).symlink_to(path), "not a regular file"),
    "a script": (lambda folder, path: (folder / "run.sh").write_text("true"), "neither a record nor samples"),
    "a folder": (lambda folder, path: put(folder / "more", measured()), "neither a record nor samples"),
    "samples of nothing": (
        lambda folder, path: of(measured()).save(samples_path(folder, "0" * 12)),
        "cannot be read",
    ),
}


def pull(folder: Path, name: str) -> str:
    """Carry out one of ``PULLS`` on a folder with one record, and return what should be said of it."""
    act, message = PULLS[name]
    act(folder, next(iter(sorted(folder.glob("*.json")))))
    return message


@pytest.mark.parametrize("name", PULLS)
def test_a_pull_request_may_add_records_and_do_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    put(before, result(seed=9))
    shutil.copytree(before, after)
    message = pull(after, name)
    faults = [fault.reason for fault in changes(after, before).faults]
    assert all(message in fault for fault in faults) and len(faults) == bool(message)
    words = ["verify", "--results", after, "--since", before, "--cache-dir", tmp_path / "none"]
    out, errors = command(capsys, *words, code=1 if message else 0)
    assert message in errors and f"{bool(message):d} faults" in out


def test_since_and_quarantine_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, measured())
    words = ["verify", "--results", tmp_path, "--since", tmp_path]
    assert "give one of the two" in command(capsys, *words, "--quarantine", code=2)[1]
    assert "pass --since DIR" in command(capsys, *words[:-1], tmp_path / "none", code=2)[1]


def test_what_is_submitted_passes_the_check_of_a_pull_request() -> None:
    assert unfit(measured(), allow_fail=False) == []
    assert unfit(certified(result(), "fail"), allow_fail=True) == []
    for allow_fail in (False, True):
        (reason,) = unfit(certified(result(), "incomplete"), allow_fail=allow_fail)
        assert "incomplete" in reason and "robench certify" in reason


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    root = Path(__file__).parents[2]
    loaded: dict[Any, Any] = yaml.safe_load((root / ".github" / "workflows" / "results.yml").read_text())
    return loaded


def test_the_workflow_asks_for_nothing_it_does_not_need(workflow: dict[Any, Any]) -> None:
    triggers = workflow[True]  # YAML reads the key `on` as true
    assert list(triggers) == ["pull_request"] and triggers["pull_request"]["paths"] == ["results/**"]
    assert workflow["permissions"] == {"contents": "read"} and list(workflow["jobs"]) == ["verify"]
    steps = workflow["jobs"]["verify"]["steps"]
    checkout = next(step for step in steps if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"] == {"fetch-depth": 2, "persist-credentials": False}
    actions = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)
    runs = [step["run"] for step in steps if "run" in step]
    assert all(set(step) <= {"name", "uses", "with", "run"} for step in steps)
    assert not any("${{" in text or "secrets" in text or "python -m" in text for text in runs)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("name", ["a record", "no certificate", "a deletion", "a change", "a link", "a script"])
def test_the_workflows_own_commands_judge_a_pull_request(tmp_path: Path, workflow: dict[Any, Any], name: str) -> None:
    repository, temporary, tools = tmp_path / "repository", tmp_path / "temporary", tmp_path / "tools"
    for folder in (repository, temporary, tools):
        folder.mkdir()

    def git(*words: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)

    git("init")
    put(repository / "results", result(seed=8), result(seed=9))
    git("add", "-A")
    git("commit", "-m", "base")
    git("switch", "-c", "theirs")
    message = pull(repository / "results", name)
    # What would be executed if the pull request's own code were.
    (repository / "pip.py").write_text("raise SystemExit('the pull request was executed')")
    (repository / "robench").mkdir()
    (repository / "robench" / "__init__.py").write_text("raise SystemExit('the pull request was executed')")
    git("add", "-A")
    git("commit", "-m", "theirs")
    git("switch", "main")
    git("merge", "--no-ff", "theirs", "-m", "merge")  # what actions/checkout takes

    (tools / "pip").write_text(f'#!/bin/sh\necho "$@" > "{tools}/installed"\n')  # nothing is downloaded in a test
    (tools / "pip").chmod(0o755)
    (tools / "robench").symlink_to(Path(sys.executable).parent / "robench")
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "RUNNER_TEMP": str(temporary)}
    for step in workflow["jobs"]["verify"]["steps"]:
        if "run" in step:
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
                cwd=repository,
                env=environment,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                break
    assert (tools / "installed").read_text().split() == ["install", f"{temporary}/base"]
    assert done.returncode == bool(message) and message in done.stderr and "was executed" not in done.stderr
    assert "added" in done.stdout or message
