"""A record in words, and the command that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from robench import cli
from robench.errors import DataError
from robench.present.show import describe_run, find
from robench.records.record import Status
from robench.records.samples import samples_path
from robench.records.store import Store

from tests.helpers.results import result, samples


def test_a_run_is_found_by_the_beginning_of_its_id() -> None:
    records = [result(tuner=tuner) for tuner in ("none", "tecoa", "vpt")]
    assert find(records, records[1].run_id) is records[1]
    assert find(records, records[1].run_id[:7]) is records[1]
    with pytest.raises(DataError, match="no run 'zzz'"):
        find(records, "zzz")
    with pytest.raises(DataError, match="3 run IDs begin with ''"):
        find(records, "")
    typed = "0" + records[0].run_id[1:] if records[0].run_id[0] != "0" else "1" + records[0].run_id[1:]
    with pytest.raises(DataError, match=f"did you mean '{records[0].run_id}'"):
        find(records, typed)


def test_the_words_say_what_the_record_says() -> None:
    record = result(clean=90, attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 100)], history=True)
    text = describe_run(record)
    assert record.provenance.command in text
    assert "90.0 [82.6, 94.5] of 100" in text  # Wilson
    assert "Linf 8/255 transfer, drop 40.0" in text
    assert "loss 0.5000, lr 0.001, validation loss 1.0000, validation clean 80.0 %, " in text
    # Ninety images of four classes in turn are right: of each 22 or 23 of 25.
    assert "macro 90.0, worst class class_2 88.0 of 25" in text


def test_each_radius_has_its_worst_case() -> None:
    text = describe_run(result(attacks=[("pgd-resnet20", 50, 100), ("pgd:eps=2/255", 60, 80)]))
    (small,) = re.findall("worst case Linf 2/255 +(.*)", text)
    (large,) = re.findall("worst case Linf 8/255 +(.*)", text)
    assert small.startswith("75.0 [") and small.endswith("of 80")
    assert large.startswith("62.5 [") and large.endswith("of 80; at most: no white-box attack was made at this radius")


def test_a_record_from_before_labels_were_kept_says_nothing_of_classes() -> None:
    record = result()
    assert record.data is not None
    old = record.model_copy(update={"data": record.data.model_copy(update={"labels": None})})
    assert "macro" in describe_run(record) and "macro" not in describe_run(old)


def test_a_failed_run_says_why() -> None:
    failed = result(status="failed")
    assert "failed" in describe_run(failed)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["failed", "interrupted"])
@pytest.mark.parametrize("lost", [("data", "tuning", "clean"), ("tuning", "clean"), ("clean",), ()])
def test_a_run_that_stopped_early_is_shown_with_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: Status, lost: tuple[str, ...]
) -> None:
    """It has measured its first attack at most, and keeps no samples."""
    whole = result(status=status, attacks=[("pgd:eps=2/255", 50, 100), ("pgd:eps=4/255", 20, 100)], history=True)
    kept = whole.attacks[:1] if not lost else ()
    stopped = whole.model_copy(update={"attacks": kept, "worst_case": (), **dict.fromkeys(lost)})
    Store(tmp_path).write(stopped)
    samples().save(samples_path(tmp_path, stopped.run_id))
    out, _ = show(capsys, stopped.run_id, "--results", str(tmp_path))
    assert f"run {stopped.run_id}: {status}" in out
    _, errors = show(capsys, stopped.run_id, "--results", str(tmp_path), "--output", str(tmp_path / "drawn"))
    assert ("curves: nothing was trained" in errors) == ("tuning" in lost)


def show(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["show", *words])
    captured = capsys.readouterr()
    assert (exit_.value.code or 0) == code, captured.err
    return captured.out, captured.err


@pytest.mark.slow
def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.prepare()
    with_samples, without = result(tuner="tecoa"), result(tuner="vpt")
    for record in (with_samples, without):
        store.write(record)
    samples().save(samples_path(tmp_path, with_samples.run_id))
    folder = ["--results", str(tmp_path)]

    out, _ = show(capsys, with_samples.run_id[:8], *folder)
    assert "figures: examples, random-samples, classes, confusion, similarity, balance (--output DIR draws them)" in out
    out, _ = show(capsys, with_samples.run_id, *folder, "--json")
    assert json.loads(out)["run_id"] == with_samples.run_id
    out, err = show(capsys, with_samples.run_id, without.run_id, *folder, "--output", str(tmp_path / "figures"))
    assert (tmp_path / "figures" / with_samples.run_id / "examples.png").is_file()
    assert (tmp_path / "figures" / "transfer.png").is_file()
    assert f"no figure {without.run_id}/examples: no sample images" in err
    assert str(tmp_path / "figures" / "transfer.png") in out


def test_wrong_ids_and_formats_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.prepare()
    record = result()
    store.write(record)
    _, err = show(capsys, "nothing", "--results", str(tmp_path), code=2)
    assert err.count("\n") == 1 and "no run 'nothing'" in err
    _, err = show(capsys, record.run_id, "--results", str(tmp_path), "--format", "pgn", code=2)
    assert "did you mean 'png'" in err


def test_damaged_samples_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.prepare()
    record = result()
    store.write(record)
    path = samples_path(tmp_path, record.run_id)
    path.parent.mkdir()
    path.write_bytes(b"noise")
    out, err = show(capsys, record.run_id, "--results", str(tmp_path))
    assert "warning: samples in" in err and record.run_id in out
