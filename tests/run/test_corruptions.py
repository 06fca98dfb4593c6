"""Runs with corruptions: what is scored, what the record keeps of it, and that nothing is ranked by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from robench.conformance.examine import examine
from robench.errors import PluginError, SpecError
from robench.evidence.reproduce import repeats
from robench.leaderboard.tables import leaderboard
from robench.present.report.chapter import chapter
from robench.present.show import beside, describe_run
from robench.records.labels import command_of
from robench.records.record import RunResult, RunSpec
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.replan import replan
from robench.run.runner import run

from tests.conftest import entry_point, registry_of
from tests.helpers import toy, toy_corruptions

ASKED = Request(dataset="dots", tuner="none", attacks=("sign:eps=32/255",), train_size=60, test_size=40)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return registry_of(
        entry_point("toy", toy.__name__, "toy-dist"),
        entry_point("corruptions", toy_corruptions.__name__, "corruptions"),
    )


def carry_out(registry: Registry, request: Request, cache: Path) -> RunResult:
    planned = plan(registry, request)
    return run(registry, planned, device=torch.device("cpu"), cache_dir=cache, save=lambda result: result)


@pytest.fixture(scope="module")
def result(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return carry_out(registry, replace(ASKED, corruptions=("lights:n=30",)), tmp_path_factory.mktemp("cache"))


def test_every_corruption_is_scored_at_every_severity(result: RunResult) -> None:
    (found,) = result.corruptions
    assert result.clean is not None
    right = int(result.clean.mask()[:30].sum())
    assert right > 20
    assert [(score.name, score.severity, score.correct, score.n) for score in found.scores] == [
        ("still", 1, right, 30),
        ("still", 2, right, 30),
        ("still", 3, right, 30),
        ("mirrored", 1, right, 30),
        ("mirrored", 2, 30 - right, 30),
        ("mirrored", 3, 30 - right, 30),
    ]
    assert len({score.images for score in found.scores}) == 2


def test_a_run_without_corruptions_is_the_run_that_it_was(registry: Registry, result: RunResult) -> None:
    plain = plan(registry, ASKED).spec
    content = plain.model_dump(mode="json")
    del content["corruptions"]
    assert RunSpec.model_validate(content).run_id() == plain.run_id() != result.spec.run_id()


def test_the_command_and_the_spec_repeat_the_run(registry: Registry, result: RunResult) -> None:
    assert command_of(result.spec).endswith("--corruption lights:n=30")
    assert replan(registry, result.spec).spec == result.spec
    assert [each.agreement for each in repeats(result, result)] == ["bit for bit"] * 3


def test_nothing_is_ranked_by_corruptions(registry: Registry, result: RunResult, tmp_path: Path) -> None:
    plain = carry_out(registry, ASKED, tmp_path)
    other = carry_out(registry, replace(ASKED, tuner="bias"), tmp_path)
    (table,) = leaderboard([result, other, plain])
    assert sorted(row.tuner for row in table.rows) == ["bias:lr=0.5", "none"]
    assert all(len(row.runs) == 1 for row in table.rows)
    assert [column.label for column in table.columns] == ["sign:eps=32/255"]


def test_people_read_the_mean_and_the_curve(result: RunResult) -> None:
    assert result.clean is not None
    right = 100 * result.clean.mask()[:30].mean()
    text = describe_run(result)
    assert f"mean{'':29}{(4 * right + 2 * (100 - right)) / 6:5.1f} [" in text
    assert f"by severity {right:.1f}, {100 - right:.1f}, {100 - right:.1f}" in text
    assert "not ranked with attacks" in text
    (line,) = beside(result)
    assert "of 30 images; severity 1, 2, 3: " in line
    section = next(each for each in chapter(result, None).sections if each.title == "Corruptions")
    assert [row[0] for row in section.tables[0].rows] == ["mean", "still", "mirrored"]
    assert section.pictures[0].draw().axes[0].get_ylabel() == "accuracy, %"


def test_bad_requests_are_refused_when_a_run_is_planned(registry: Registry) -> None:
    for typed, message in {
        ("lights:n=41",): "asks for n=41 images; expected 1 to 40",
        ("light",): "unknown corruption 'light'; did you mean 'lights'",
        ("lights", "lights"): "'lights' is asked for twice",
        ("lights:n=some",): "n=some in 'lights:n=some' is not a number of images",
    }.items():
        with pytest.raises(SpecError, match=message):
            plan(registry, replace(ASKED, corruptions=typed))


def test_images_of_another_size_are_an_error_of_the_plugin(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(
        PluginError, match=r"returned a numpy array uint8 \(40, 3, 7, 8\); expected a numpy.* \(40, 3, 8, 8\)"
    ):
        carry_out(registry, replace(ASKED, corruptions=("small",)), tmp_path)


def test_a_record_whose_scores_were_left_out_is_refused(result: RunResult) -> None:
    (found,) = result.corruptions
    less = found.model_copy(update={"scores": found.scores[:-1]})
    for corruptions, message in (((less,), "has no score, or several"), ((), "not those asked for")):
        changed = result.model_copy(update={"corruptions": corruptions})
        with pytest.raises(ValidationError, match=message):
            RunResult.model_validate_json(changed.model_dump_json())


def test_a_corruption_that_breaks_the_rules_is_found(registry: Registry) -> None:
    def broken(text: str) -> list[str]:
        return [each.rule for each in examine(registry, "corruption", text, dataset="dots") if not each.kept]

    assert broken("lights") == []
    assert broken("small") == ["images"]
    assert {"batches", "change"} <= set(broken("moody"))
