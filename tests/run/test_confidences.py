"""What a run keeps of how sure its network was, and who reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from robench.present.figures.catalogue import catalogue
from robench.present.figures.reliability import reliability
from robench.present.report.chapter import chapter
from robench.present.show import describe_run
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.run.plan import Request, plan
from robench.run.runner import run
from robench.statistics.calibration import bins_of

from tests.helpers.results import result as older
from tests.helpers.toy import Dots, LinearNetwork, Stripes

SIGN = "sign:eps=4/255"
ASKED = Request(
    dataset="dots",
    model="linear:gain=20",
    attacks=(f"{SIGN},n=30",),
    test_size=40,
    eval_datasets=("stripes:n=20",),
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    from tests.conftest import entry_point, registry_of
    from tests.helpers import toy

    registry: Registry = registry_of(entry_point("toy", toy.__name__, "toy-dist"))
    cache: Path = tmp_path_factory.mktemp("cache")
    return run(registry, plan(registry, ASKED), device=torch.device("cpu"), cache_dir=cache, save=lambda result: result)


def probabilities(images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits = LinearNetwork(20.0, False)(torch.from_numpy(images).float() / 255)
    return logits.softmax(dim=1).numpy()


def test_the_record_keeps_the_probabilities_of_the_network(result: RunResult) -> None:
    assert result.clean is not None
    for score, data in ((result.clean, Dots().split("test")), (result.elsewhere[0].clean, Stripes().split("test", 20))):
        found, expected = score.sureness(), probabilities(data.images)
        assert found is not None and len(found) == len(data)
        own = expected[np.arange(len(data)), data.labels]
        assert found.confidence == pytest.approx(expected.max(axis=1), abs=1e-4)
        assert np.exp(-found.nll) == pytest.approx(own, abs=1e-3)
        assert found.brier == pytest.approx(2 * (1 - own) ** 2, abs=1e-3)


def test_attacked_images_are_answered_less_surely(result: RunResult) -> None:
    assert result.clean is not None
    clean, attacked = result.clean.sureness(), result.attacks[0].sureness()
    assert clean is not None and attacked is not None and len(attacked) == 30
    assert (attacked.nll > clean.first(30).nll - 1e-3).all()


def test_people_read_how_sure_it_was(result: RunResult) -> None:
    text = describe_run(result)
    assert text.count("calibration with 95 % interval") == 2
    assert text.count("selective accuracy %") == 4 and text.count("AUROC of detection") == 2
    section = next(each for each in chapter(result, None).sections if each.title == "Calibration")
    assert [row[0] for row in section.tables[0].rows] == ["dots, clean", SIGN, "stripes, clean", SIGN]


def test_the_diagram_shows_accuracy_against_confidence(result: RunResult) -> None:
    assert result.clean is not None
    figure, found = reliability(result), result.clean.sureness()
    assert found is not None and len([axes for axes in figure.axes if axes.get_visible()]) == 2
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(dots) == len(np.unique(bins_of(found.confidence)))
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == pytest.approx(100)
    assert all(dot.get_ydata()[0] == 100 for dot in dots)  # all of these images are right
    assert catalogue(older(), None)["reliability"] == "the record keeps no confidences"


def test_an_older_record_says_that_it_does_not_tell() -> None:
    assert "leaf-synth, calibration: the record keeps no confidences" in describe_run(older())
    section = next(each for each in chapter(older(), None).sections if each.title == "Calibration")
    assert "keeps no confidences" in section.text[0] and not section.tables
