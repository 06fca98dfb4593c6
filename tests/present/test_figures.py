"""Figures are opened, read and compared with the records they show."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from robench.present.figures.augmented import augmented
from robench.present.figures.balance import balance, counts
from robench.present.figures.catalogue import NO_SAMPLES, catalogue, save, write_figures
from robench.present.figures.classes import class_accuracy, classes
from robench.present.figures.confusion import confusion
from robench.present.figures.curves import curves
from robench.present.figures.examples import AMPLIFIED_TO, examples, random_samples
from robench.present.figures.patches import patches
from robench.present.figures.security import epsilon_curves, security, step_curves
from robench.present.figures.similarity import similarity
from robench.present.figures.transfer import transfer_matrix
from robench.records.record import AttackScore, RunResult

from tests.helpers.results import attack_score, result, samples

SHOWN = samples(temperature=10.0)


def run_of(*attacks: tuple[str, int, dict[str, Any]], **more: Any) -> RunResult:
    """Return a record whose attacks have these labels, numbers of correct images and parameters."""
    made = result(attacks=[(label, correct, 100) for label, correct, _ in attacks], **more)
    specs = tuple(
        spec.model_copy(update={"params": {"eps": "8/255", **params}})
        for spec, (_, _, params) in zip(made.spec.attacks, attacks, strict=True)
    )
    scores = tuple(
        score.model_copy(update={"eps": {"eps": "8/255", **params}["eps"]})
        for score, (_, _, params) in zip(made.attacks, attacks, strict=True)
    )
    return made.model_copy(update={"spec": made.spec.model_copy(update={"attacks": specs}), "attacks": scores})


@pytest.mark.slow
def test_every_figure_of_a_run_opens_and_is_not_blank(tmp_path: Path) -> None:
    record = run_of(("pgd:eps=1/255", 60, {"eps": "1/255"}), ("pgd:eps=2/255", 20, {"eps": "2/255"}), history=True)
    more = {"augmented": SHOWN.clean[:, None].repeat(3, axis=1), "patches": np.eye(9, 5, dtype=np.float32)}
    shown = replace(samples(labels=("pgd:eps=1/255", "pgd:eps=2/255")), **more)
    written, skipped = write_figures([(record, shown), (result(tuner="vpt"), None)], tmp_path, "png")
    names = {path.stem for path in written if path.parent.name == record.run_id}
    assert names == {
        *("examples", "random-samples", "classes", "confusion", "similarity", "curves", "balance", "security"),
        *("augmented", "patches"),
    }
    assert tmp_path / "transfer.png" in written
    for path in written:
        with Image.open(path) as picture:
            assert min(picture.size) > 250 and np.asarray(picture.convert("L")).std() > 5, path
    other = result(tuner="vpt").run_id
    assert skipped[f"{other}/examples"] == NO_SAMPLES
    assert skipped[f"{other}/curves"] == "nothing was trained"


def test_hidden_characters_do_not_reach_a_file_of_text(tmp_path: Path) -> None:
    def draw() -> Figure:
        figure = Figure(figsize=(1, 1))
        figure.text(0, 0, "a\u202eb")
        return figure

    save(draw, tmp_path / "figure.svg", 50)
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert "\u202e" not in text and "a\\u202eb" in text and ElementTree.fromstring(text) is not None


@pytest.mark.slow
def test_names_are_no_formulas(tmp_path: Path) -> None:
    record = result()
    assert record.data is not None
    data = record.data.model_copy(update={"class_names": ("$\\bad$", "$5", "a_$x_b$", "^")})
    written, _ = write_figures([(record.model_copy(update={"data": data}), samples())], tmp_path, "png")
    assert {"examples", "confusion"} <= {path.stem for path in written}


@pytest.mark.parametrize("style", ["svg", "pdf"])
def test_other_formats_are_what_they_say(tmp_path: Path, style: str) -> None:
    (path,) = [p for p in write_figures([(result(), SHOWN)], tmp_path, style)[0] if p.stem == "similarity"]
    if style == "svg":
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    else:
        assert path.read_bytes().startswith(b"%PDF")


def test_a_run_without_samples_says_why_it_has_no_pictures() -> None:
    reasons = catalogue(result(), None)
    assert reasons["examples"] == NO_SAMPLES and "--force" in NO_SAMPLES
    assert isinstance(reasons["security"], str) and "differ in eps" in reasons["security"]


# Examples


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.texts)]


def test_examples_say_what_was_predicted_how_surely_and_whether_it_is_right() -> None:
    figure = examples(result(), SHOWN)
    found = texts(figure)
    # The samples' clean logits favour the label by 3, their adversarial ones the next class by 1, over K classes.
    k = SHOWN.logits.shape[1]
    sure, unsure = np.exp(3) / (np.exp(3) + k - 1), np.exp(1) / (np.exp(1) + k - 1)
    assert any(text == f"right: class 0\n{sure:.0%}" for text in found)
    assert any(text == f"WRONG: class 1\n{unsure:.0%}" for text in found)


def test_the_change_is_drawn_around_grey_at_the_factor_that_is_written() -> None:
    figure = examples(result(), SHOWN)
    change = figure.axes[1].images[0].get_array()
    assert change is not None
    levels = SHOWN.attacks[0].images[0].astype(float) - SHOWN.clean[0]
    factor = AMPLIFIED_TO * 255 / np.abs(levels).max()
    expected = np.moveaxis(np.clip(0.5 + factor * levels / 255, 0, 1), 0, -1)
    np.testing.assert_allclose(np.asarray(change), expected)
    assert f"change x {factor:.3g}" in texts(figure)


def test_random_samples_carry_their_labels() -> None:
    found = texts(random_samples(result(), SHOWN))
    assert "class 0\nimage 0" in found and "class 3\nimage 3" in found


# Classes


def test_class_accuracy_is_counted_class_by_class() -> None:
    labels, predictions = np.array([0, 0, 1, 1, 1, 3]), np.array([0, 1, 1, 1, 0, 3])
    np.testing.assert_allclose(class_accuracy(labels, labels == predictions, 4), [0.5, 2 / 3, np.nan, 1.0])


def test_bars_are_the_shares_and_accuracies_and_differ_without_colour() -> None:
    shown = samples(n=100)
    shares, accuracies = classes(result(), shown).axes
    first = [bar.get_height() for bar in shares.containers[0]]
    np.testing.assert_allclose(first, 100 * np.bincount(shown.labels, minlength=len(first)) / 100)
    clean = [bar.get_height() for bar in accuracies.containers[0]]
    np.testing.assert_allclose(clean, 100 * class_accuracy(shown.labels, shown.labels == shown.predictions, len(clean)))
    # How a printer without colours shows a fill.
    greys = {
        (bars[0].get_hatch(), round(float(np.dot(to_rgb(bars[0].get_facecolor()), [0.299, 0.587, 0.114])), 1))
        for bars in shares.containers
    }
    assert len(greys) == len(shares.containers)


# Curves


def test_curves_are_the_history() -> None:
    record = result(history=True)
    assert record.tuning is not None
    loss, accuracy = curves(record).axes
    for line, key in zip(loss.lines, ("loss", "validation_loss"), strict=True):
        assert list(line.get_ydata()) == [row[key] for row in record.tuning.history]
    for line, key in zip(accuracy.lines, ("validation_clean", "validation_adversarial"), strict=True):
        assert list(line.get_ydata()) == [100 * row[key] for row in record.tuning.history]
    assert len({(line.get_marker(), line.get_linestyle()) for line in accuracy.lines}) == 2


# Similarity


def test_similarity_shows_cosines_where_there_is_a_temperature_and_logits_elsewhere() -> None:
    panel = similarity(result(), SHOWN).axes[0]
    np.testing.assert_allclose(np.asarray(panel.images[0].get_array()), SHOWN.logits / 10, rtol=1e-6)
    assert panel.texts[0].get_text() == "0.30"
    plain = similarity(result(), samples(temperature=None)).axes[0]
    assert plain.texts[0].get_text() == "3.0"


# Security curves


def test_a_security_curve_starts_clean_and_goes_through_every_radius() -> None:
    record = run_of(
        ("pgd:eps=4/255", 10, {"eps": "4/255", "alpha": "1/255"}),
        ("pgd:eps=1/255", 60, {"eps": "1/255", "alpha": "1/1020"}),
        ("pgd-resnet20", 80, {"alpha": "2/255"}),
        clean=90,
    )
    (curve,) = epsilon_curves(record)
    assert (curve.name, curve.norm) == ("pgd", "Linf")
    assert [(value * 255, rate.percent) for value, rate in curve.points] == [(0, 90), (1, 60), (4, 10)]
    axes = security(record).axes[0]
    assert list(axes.lines[0].get_xdata()) == [0, 1, 4] and list(axes.lines[0].get_ydata()) == [90, 60, 10]
    assert not step_curves(record)


def test_steps_make_a_curve_of_their_own() -> None:
    record = run_of(("pgd:steps=1", 50, {"steps": 1}), ("pgd:steps=20", 5, {"steps": 20}))
    (curve,) = step_curves(record)
    assert [(value, rate.percent) for value, rate in curve.points] == [(1, 50), (20, 5)]
    assert not epsilon_curves(record)
    assert security(record).axes[0].get_xlabel() == "gradient steps"


def test_attacks_that_differ_in_more_than_one_thing_make_no_curve() -> None:
    record = run_of(("pgd:eps=1/255", 50, {"eps": "1/255", "steps": 1}), ("pgd", 5, {"steps": 7}))
    assert not epsilon_curves(record) and not step_curves(record)


# What a network is trained on


def test_the_confusion_matrix_counts_images_in_rows_of_true_classes() -> None:
    clean, attacked = confusion(result(), samples(labels=("pgd",))).axes
    assert [text.get_text() for text in attacked.texts[:5]] == ["0", "25", "0", "0", "0"]
    assert (
        np.asarray(clean.images[0].get_array())[0, 0] == 20 / 25
    )  # every tenth image is wrong, half of those of class 0


def test_class_counts_are_those_before_and_after_balancing_and_of_scored_images() -> None:
    plain = result()
    assert counts(plain) == {"scored images": (25, 25, 25, 25)}
    assert plain.data is not None and plain.tuning is not None
    data = plain.data.model_copy(update={"train_counts": (1, 2, 3, 4)})
    same = plain.model_copy(
        update={"data": data, "tuning": plain.tuning.model_copy(update={"drawn_counts": (1, 2, 3, 4)})}
    )
    assert list(counts(same)) == ["training images", "scored images"]
    drawn = same.model_copy(update={"tuning": plain.tuning.model_copy(update={"drawn_counts": (9, 9, 9, 9)})})
    assert counts(drawn)["drawn in an epoch"] == (9, 9, 9, 9)
    bars = [bar.get_height() for bar in balance(drawn).axes[0].patches]
    assert bars == [1, 2, 3, 4, 9, 9, 9, 9, 25, 25, 25, 25]


def test_originals_stand_before_their_augmented_versions() -> None:
    pictures = np.stack([SHOWN.clean, 255 - SHOWN.clean], axis=1)
    axes = augmented(result(), replace(SHOWN, augmented=pictures)).axes
    assert np.array_equal(axes[2].images[0].get_array(), np.moveaxis(SHOWN.clean[1], 0, -1))
    assert np.array_equal(axes[3].images[0].get_array(), np.moveaxis(255 - SHOWN.clean[1], 0, -1))


def test_the_heat_map_is_the_encoded_patches() -> None:
    encoded = np.arange(12, dtype=np.float32).reshape(4, 3)
    _, heat, *_ = patches(result(), replace(SHOWN, patches=encoded)).axes
    assert np.array_equal(heat.images[0].get_array(), encoded)


# Transfer matrix


def fooled(left: int) -> object:
    """The success in percent if `left` of the 90 images that are right clean stay right."""
    return pytest.approx(100 * (90 - left) / 90)


def test_the_transfer_matrix_has_sources_as_rows_and_targets_as_columns() -> None:
    first = result(tuner="none", attacks=[("pgd-resnet20", 50, 100), ("pgd", 0, 100), ("pgd-resnet56", 40, 100)])
    second = result(tuner="tecoa", attacks=[("pgd-resnet20", 80, 100), ("pgd", 5, 100)])
    content = transfer_matrix([first, second])
    assert content is not None
    (method, norm, eps, _, n, _), rows, columns, values = content
    assert (method, norm, eps, n) == ("pgd", "Linf", "8/255", 100)
    cells = {
        (row, column.partition(", ")[2]): values[i, j] for i, row in enumerate(rows) for j, column in enumerate(columns)
    }
    assert cells["resnet20", "none"] == fooled(50) and cells["resnet20", "tecoa"] == fooled(80)
    assert cells["itself (white-box)", "tecoa"] == fooled(5)
    assert np.isnan(cells["resnet56", "tecoa"]) and cells["resnet56", "none"] == fooled(40)


def test_seeds_are_averaged_and_of_repeats_the_latest_counts() -> None:
    seeds = [result(seed=seed, attacks=[("pgd-resnet20", correct, 100)]) for seed, correct in ((0, 40), (1, 60))]
    repeat = result(seed=0, attacks=[("pgd-resnet20", 50, 100)], started="2026-02-01T00:00:00+00:00")
    for records in ([*seeds, repeat], [repeat, *seeds]):
        content = transfer_matrix(records)
        assert content is not None and content[3].tolist() == [[fooled(55)]]


def test_attacks_with_other_parameters_are_another_matrix() -> None:
    """Ten steps and a hundred are not one cell, nor the mean of one."""
    few = result(attacks=[("pgd-resnet20", 50, 100), ("pgd", 10, 100)])
    many = few.spec.attacks[0].model_copy(update={"params": {"eps": "8/255", "steps": 100}})
    spec = few.spec.model_copy(update={"attacks": (many,)})
    other = few.model_copy(update={"spec": spec, "run_id": spec.run_id(), "attacks": few.attacks[:1]})
    content = transfer_matrix([few, other])
    assert content is not None and content[3].tolist() == [[fooled(50)], [fooled(10)]]


def test_targets_trained_on_more_images_are_other_targets() -> None:
    first, more = (result(attacks=[("pgd-resnet20", correct, 100)]) for correct in (50, 70))
    spec = more.spec.model_copy(update={"train_size": 2000})
    content = transfer_matrix([first, more.model_copy(update={"spec": spec, "run_id": spec.run_id()})])
    assert content is not None and content[3].tolist() == [[fooled(50), fooled(70)]]
    assert [name.rpartition(", ")[2] for name in content[2]] == ["0 training images", "2,000 training images"]


def test_queries_have_no_place_in_a_transfer_matrix() -> None:
    record = result(attacks=[("square", 10, 100)])
    query: AttackScore = attack_score("square", 10, 100, "w").model_copy(update={"knowledge": "query"})
    assert transfer_matrix([record.model_copy(update={"attacks": (query,)})]) is None


def test_samples_of_more_attacks_than_the_record_do_not_break_a_figure() -> None:
    assert examples(result(), replace(SHOWN, attacks=())).axes
