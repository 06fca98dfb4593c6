"""Views of the leaderboard: what stands in which column, what is missing, and how it is written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from robench.errors import SpecError
from robench.leaderboard.site.overview import overview
from robench.leaderboard.tables import leaderboard
from robench.leaderboard.views.choose import check_view, views
from robench.leaderboard.views.profile import profile
from robench.leaderboard.views.view import View
from robench.records.confidences import pack_confidences
from robench.records.record import CertifiedScore, CorruptedScore, CorruptionRecord, RunResult, ScoredSpec

from tests.conftest import command
from tests.helpers.results import bits, result
from tests.helpers.site_fixtures import add

BOTH = (("pgd", 40, 100), ("pgd:eps=2/255", 60, 50))


def sure(record: RunResult, confidence: float = 0.9) -> RunResult:
    """Return the record with the same confidence in every answer, of two classes."""

    def filled(score):  # type: ignore[no-untyped-def]
        own = np.where(score.mask(), confidence, 1 - confidence)
        packed = pack_confidences(np.full(score.n, confidence), -np.log(own), 2 * (1 - own) ** 2)
        return score.model_copy(update={"confidences": packed})

    assert record.clean is not None
    return record.model_copy(update={"clean": filled(record.clean), "attacks": tuple(map(filled, record.attacks))})


def corrupted(record: RunResult, *correct: int, images: str = "same", n: int = 100) -> RunResult:
    """Return the record with scores of one corruption for each number, at severities 1 and 5."""
    scores = tuple(
        CorruptedScore.of(bits(right - drop, n), name=name, severity=severity, images=f"{images}{name}{severity}")
        for name, right in zip(("fog", "snow"), correct, strict=False)
        for severity, drop in ((1, 0), (5, 10))
    )
    asked = ScoredSpec(name="common", params={"only": "main"}, label="common", n=None)
    spec = record.spec.model_copy(update={"corruptions": (asked,)})
    found = CorruptionRecord(label="common", scores=scores, seconds=1.0)
    return record.model_copy(update={"spec": spec, "run_id": spec.run_id(), "corruptions": (found,)})


def shown(name: str, *records: RunResult) -> list[View]:
    (table,) = leaderboard(records)
    return views(name, table, {record.run_id: record for record in records})


def figures(view: View, label: str) -> list[float | None]:
    (place,) = [place for place, column in enumerate(view.columns) if column.label == label]
    return [None if row[place] is None else round(row[place].value, 4) for row in view.cells]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def records() -> list[RunResult]:
    """The best method has all there is, in two seeds; the second has nothing beside its attacks."""
    best = [
        sure(corrupted(result(tuner="best", clean=90, attacks=BOTH, seed=seed), 80, 60 - 20 * seed)) for seed in (0, 1)
    ]
    return [*best, result(tuner="plain", clean=95, attacks=(("pgd", 10, 100), ("pgd:eps=2/255", 20, 50)))]


def test_every_threat_has_a_column(records: list[RunResult]) -> None:
    (view,) = shown("all", *records)
    assert [row.name for row in view.table.rows] == ["best", "plain"]
    assert [(column.label, column.kind) for column in view.columns] == [
        ("clean", "clean"),
        ("worst case at Linf 2/255", "worst case"),
        ("worst case at Linf 8/255", "worst case"),
        ("corruptions common", "corruption"),
        ("RMS calibration error", "calibration"),
    ]
    assert figures(view, "clean") == [90, 95]
    assert figures(view, "corruptions common") == [(80 + 70 + 60 + 50 + 80 + 70 + 40 + 30) / 8, None]
    assert figures(view, "RMS calibration error") == [0, None]
    assert view.columns[-1].better == "lower" and view.columns[-1].unit == "%"
    assert "1 of 2 methods: no scores on corrupted images; --corruption common makes them." in view.notes
    assert any(note.startswith("1 of 2 methods: no confidences") for note in view.notes)
    assert "no figure here ranks them" in view.notes[0]


def test_certified_accuracy_and_shifts_have_columns_of_their_own(records: list[RunResult]) -> None:
    proof = CertifiedScore.of(bits(30, 50), norm="L2", eps="1/4")
    record = records[-1].model_copy(update={"certified": (proof,)})
    (view,) = shown("all", *records[:2], record)
    assert figures(view, "certified L2 1/4") == [None, 60]


def test_scores_on_other_images_stand_in_other_columns(records: list[RunResult]) -> None:
    other = corrupted(result(tuner="other", clean=50, attacks=BOTH), 40, 40, images="other")
    (view,) = shown("corruptions", *records, other)
    means = [[row[at] for row in view.cells] for at, column in enumerate(view.columns) if column.label == "mean"]
    assert sorted([cell is not None for cell in column] for column in means) == [
        [False, True, False],
        [True, False, False],
    ]


def test_corruptions_have_the_mean_the_curve_and_each(records: list[RunResult]) -> None:
    (view,) = shown("corruptions", *records)
    assert [column.label for column in view.columns] == ["mean", "severity 1", "severity 5", "fog", "snow"]
    assert figures(view, "severity 1") == [65, None] and figures(view, "snow") == [45, None]
    assert all(column.unit == "accuracy, %" for column in view.columns)


def test_calibration_has_a_view_for_clean_images_and_each_attack(records: list[RunResult]) -> None:
    found = shown("calibration", *records)
    assert [view.about for view in found] == [
        "calibration, clean images",
        "calibration, pgd",
        "calibration, pgd:eps=2/255,n=50",
    ]
    assert figures(found[0], "ECE") == pytest.approx([0, None], abs=0.01)
    assert figures(found[1], "ECE") == pytest.approx([50, None], abs=0.01)
    assert [column.label for column in found[0].columns][-1] == "selective accuracy"
    assert [column.label for column in found[1].columns][-1] == "AUROC of detection"
    assert found[1].columns[-1].better == ""
    (empty,) = shown("calibration", records[-1])
    assert not empty.columns and "1 of 1 methods: no confidences" in empty.notes[1]


def test_a_norm_has_its_attacks_alone(records: list[RunResult]) -> None:
    (view,) = shown("linf", *records)
    labels = [column.label for column in view.columns]
    assert labels == ["clean", "worst case at Linf 2/255", "worst case at Linf 8/255", "pgd", "pgd:eps=2/255,n=50"]
    assert shown("l2", *records) == []


def test_an_unknown_view_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="no view is called 'calibraton'; did you mean 'calibration'"):
        check_view("calibraton", ["Linf"])
    check_view("linf", ["Linf"])
    with pytest.raises(SpecError, match="no view is called 'l2'"):
        check_view("l2", ["Linf"])


def test_the_plot_has_a_panel_a_threat_and_says_what_is_missing(records: list[RunResult]) -> None:
    (view,) = shown("all", *records)
    figure = profile(view)
    assert len(figure.axes) == 4  # calibration is no accuracy
    assert [text.get_text() for text in figure.axes[3].texts] == ["not measured"]
    assert [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"] == [90, 95]


def test_the_page_has_every_view(records: list[RunResult]) -> None:
    tables = leaderboard(records)
    content = overview(tables, {record.run_id: record for record in records})
    assert [view["about"].partition(",")[0] for view in content["views"]] == [
        "every threat",
        "accuracy on corrupted images",
        *["calibration"] * 3,
    ]
    json.dumps(content["views"], allow_nan=False)
    plain = overview(leaderboard([records[-1]]), {records[-1].run_id: records[-1]})
    assert plain["views"] == []  # nothing that the table itself does not show
    _, corrupted, *_ = overview(tables, {record.run_id: record for record in records}, records[1])["views"]
    assert [column["label"] for column in corrupted["columns"] if column["kind"] == "mce"] == ["mCE"]


def test_the_command_prints_views_and_draws(
    tmp_path: Path, records: list[RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    for record in records:
        add(tmp_path / "results", record)
    words = ("leaderboard", "--results", tmp_path / "results", "--cache-dir", tmp_path / "cache")
    out, _ = command(capsys, *words, "--view", "all", "--plot", tmp_path / "all.svg")
    assert "every threat" in out and "lower is" in out and (tmp_path / "all.svg").stat().st_size > 1000
    out, _ = command(capsys, *words, "--view", "calibration", "--filter", "tuner=plain")
    assert "calibration, clean images\n" in out and "1 of 1 methods: no confidences in their records" in out
    out, _ = command(capsys, *words, "--view", "calibration", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    (error,) = [row for row in rows if row["column"] == "ECE" and row["about"] == "calibration, pgd"]
    assert (error["method"], error["better"], error["n"]) == ("best", "lower", "100")
    assert float(error["value"]) == pytest.approx(50, abs=0.01)
    out, _ = command(capsys, *words, "--view", "corruptions", "--format", "json")
    assert json.loads(out)[0]["figures"][0]["column"] == "mean"
    out, _ = command(capsys, *words, "--view", "corruptions", "--format", "latex")
    assert r"best & 60.0 & 65.0" in out and r"plain & - & -" in out
    out, _ = command(capsys, *words, "--view", "corruptions", "--reference", records[1].run_id[:8], "--format", "json")
    figures = {each["column"]: each for each in json.loads(out)[0]["figures"] if each["method"] == "best"}
    # Of fog both seeds miss 25 %, of snow 45 and 65 %; the second seed is the reference.
    assert figures["mCE"]["value"] == pytest.approx(100 * (25 / 25 + 55 / 65) / 2)
    assert figures["mCE"]["better"] == "lower" and figures["mCE"]["low"] < figures["mCE"]["value"] < 100
    out, _ = command(capsys, *words, "--view", "linf", "--format", "markdown")
    assert "| plain" in out and "no figure here ranks them" in out
    for arguments, message in (
        (("--view", "al"), "no view is called 'al'; did you mean 'all'"),
        (("--plot", "x.svg"), "--plot x.svg draws --view all, not attacks"),
        (("--view", "all", "--plot", "x.gif"), "expected a name that ends in .svg"),
        (("--view", "all", "--reference", "x"), "--reference x is for --view corruptions and for --format html"),
        (("--format", "html", "--reference", records[-1].run_id), "has no scores on corrupted images"),
        (("--view", "corruptions", "--reference", records[-1].run_id), "has no scores on corrupted images"),
        (("--view", "all", "--classes"), "--view all does not go with --classes"),
        (("--view", "all", "--format", "html"), "does not go with --format html"),
    ):
        error = command(capsys, *words, *arguments, code=2)[1]
        assert message in error and "rows" not in error  # nothing about tables that are not shown
