"""robench export and robench import: files of RobustBench and CLIP_benchmark, there and back."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robench.errors import DataError
from robench.exchange.document import Document
from robench.exchange.formats import EXTENSION, FORMATS, export, read_foreign
from robench.exchange.published import Reference
from robench.records.record import Evaluation, RunResult, ScoredSpec
from robench.records.store import Store
from robench.registry.registry import Registry, discover
from robench.statistics.worst_case import worst_cases
from robench.sweep.plan import Published

from tests.conftest import command
from tests.exchange.test_merge import certified
from tests.helpers.results import result

# As their repositories have them.
CARMON = {
    "link": "https://arxiv.org/abs/1905.13736",
    "name": "Unlabeled Data Improves Adversarial Robustness",
    "authors": "Yair Carmon, Aditi Raghunathan, Ludwig Schmidt, Percy Liang, John C. Duchi",
    "additional_data": True,
    "number_forward_passes": 1,
    "dataset": "cifar10",
    "venue": "NeurIPS 2019",
    "architecture": "WideResNet-28-10",
    "eps": "8/255",
    "clean_acc": "89.69",
    "reported": "62.5",
    "autoattack_acc": "59.53",
}
QUICKGELU = {
    "dataset": "cifar10",
    "model": "ViT-B-32-quickgelu",
    "pretrained": "laion400m_e32",
    "task": "zeroshot_classification",
    "metrics": {"acc1": 0.9074, "acc5": 0.998},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def autoattacked(*, n: int = 100, origin: str = "robench 0.1.0", classes: int = 4, **params: Any) -> RunResult:
    """A run under AutoAttack on `n` of 100 images, and under a transfer attack."""
    record = result(attacks=[("autoattack", 30, n), ("pgd-resnet20", 50, 100)])
    first, second = record.spec.attacks
    full = {"norm": "Linf", "eps": "8/255", "steps": 100, "queries": 5000, **params}
    spec = record.spec.model_copy(update={"attacks": (first.model_copy(update={"params": full}), second)})
    made = record.provenance.model_copy(update={"plugins": {"attacker autoattack": origin}})
    assert record.data is not None
    data = record.data
    if classes != 4:
        data = data.model_copy(update={"class_names": ("a", "b", "c"), "test_counts": (40, 30, 30), "labels": None})
    return record.model_copy(update={"spec": spec, "run_id": spec.run_id(), "provenance": made, "data": data})


def elsewhere(record: RunResult, trained_on: int | None = 100) -> RunResult:
    other = record.spec.dataset.model_copy(
        update={"name": "cifar10", "label": "cifar10:path=x", "params": {"path": "x"}}
    )
    spec = record.spec.model_copy(update={"eval_datasets": (ScoredSpec(**dict(other)),), "train_size": trained_on})
    assert record.data is not None and record.clean is not None
    found = Evaluation(
        dataset=other,
        data=record.data,
        clean=record.clean,
        attacks=record.attacks,
        worst_case=worst_cases(record.clean, list(record.attacks)),
    )
    return record.model_copy(update={"spec": spec, "run_id": spec.run_id(), "elsewhere": (found,)})


def one(documents: list[Document]) -> dict[str, Any]:
    (document,) = documents
    return document.content


def written(folder: Path, content: object, name: str = "file.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


# What is written


def test_robustbench_is_told_what_it_knows_and_nothing_is_invented(registry: Registry) -> None:
    content = one(export(certified(autoattacked()), "robustbench", registry))
    footnote, carried = content.pop("footnote"), content.pop(EXTENSION)
    assert content == {
        "link": "",
        "name": "clip-tiny, none",
        "authors": "",
        "additional_data": None,
        "number_forward_passes": None,
        "dataset": "leaf-synth",
        "venue": "",
        "architecture": "clip-tiny",
        "eps": "8/255",
        "clean_acc": "90.0",
        "reported": "30.0",
        "autoattack_acc": "30.0",
    }
    assert "AutoAttack (standard version, 8-bit images) on n=100" in footnote and "checks: pass" in footnote
    assert set(CARMON) <= {*content, "footnote"} and carried["status"] == "completed"


@pytest.mark.parametrize(
    "record",
    [
        autoattacked(n=50),
        autoattacked(steps=10),
        autoattacked(queries=100),
        autoattacked(seeds=3),
        autoattacked(origin="somebody-elses 1.0"),
        autoattacked(classes=3),
        result(attacks=[("apgd-t", 30, 100)]),
        result(attacks=[("autoattack-resnet20", 30, 100)]),
    ],
    ids=["some images", "steps", "queries", "other settings", "a plugin's", "classes", "another attack", "a surrogate"],
)
def test_only_the_standard_version_on_all_images_is_autoattack(registry: Registry, record: RunResult) -> None:
    content = one(export(record, "robustbench", registry))
    assert content["autoattack_acc"] is None
    assert float(content["reported"]) == 100 * record.worst_case[0].accuracy
    assert "AutoAttack" not in content["footnote"]


def test_each_ball_is_a_file_and_smaller_ones_count_in_it(registry: Registry) -> None:
    record = result(attacks=[("pgd-resnet20", 50, 100), ("pgd", 20, 80)])
    wide, narrow = record.spec.attacks
    score = record.attacks[1].model_copy(update={"eps": "2/255", "largest_norm": 2 / 255})
    narrow = narrow.model_copy(update={"params": {"eps": "2/255"}})
    spec = record.spec.model_copy(update={"attacks": (wide, narrow)})
    attacks = (record.attacks[0], score)
    assert record.clean is not None
    worst = worst_cases(record.clean, list(attacks))
    record = record.model_copy(update={"spec": spec, "run_id": spec.run_id(), "attacks": attacks, "worst_case": worst})
    files = {each.name: each.content for each in export(record, "robustbench", registry)}
    assert [(name.split("_")[1], each["eps"], each["reported"]) for name, each in sorted(files.items())] == [
        ("2-255.json", "2/255", "25.0"),
        ("8-255.json", "8/255", "25.0"),
    ]
    assert "on n=80 under pgd-resnet20, pgd" in next(c["footnote"] for c in files.values() if c["eps"] == "8/255")


def test_clip_benchmark_is_told_zero_shot_only_where_it_is(registry: Registry) -> None:
    content = one(export(result(), "clip-benchmark", registry))
    carried = content.pop(EXTENSION)
    assert content == {
        "dataset": "leaf-synth",
        "model": "clip-tiny",
        "pretrained": f"none {carried['run_id']}",
        "task": "zeroshot_classification",
        "metrics": {"acc1": 0.9, "mean_per_class_recall": pytest.approx(0.9, abs=0.02)},
    }
    tuned = {
        each.content["dataset"]: each.content["task"]
        for each in export(elsewhere(result()), "clip-benchmark", registry)
    }
    assert tuned == {"leaf-synth": "finetuned_classification", "cifar10": "zeroshot_classification"}


def test_mean_per_class_recall_is_the_balanced_accuracy(registry: Registry) -> None:
    from sklearn.metrics import balanced_accuracy_score

    record = result(clean=37)
    assert record.data is not None and record.clean is not None
    labels = record.data.scored_labels()
    assert labels is not None
    wrong = (labels + 1) % 4
    predicted = [right if hit else other for right, other, hit in zip(labels, wrong, record.clean.mask(), strict=True)]
    found = one(export(record, "clip-benchmark", registry))["metrics"]["mean_per_class_recall"]
    assert found == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_their_own_readers_read_our_files(tmp_path: Path, registry: Registry) -> None:
    """What ``clip_benchmark build`` and RobustBench's leaderboard do with files, key by key."""
    rows = []
    for number, record in enumerate((result(), elsewhere(result()))):
        for document in export(record, "clip-benchmark", registry):
            data = json.loads(document.write(tmp_path / str(number)).read_text())
            row = {**data["metrics"], **data, "model_fullname": data["model"] + " " + data["pretrained"]}
            del row["metrics"]
            rows.append(row)
    with (tmp_path / "benchmark.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=sorted({key for row in rows for key in row}))
        writer.writeheader()
        writer.writerows(rows)
    with (tmp_path / "benchmark.csv").open(newline="") as file:
        assert [float(row["acc1"]) for row in csv.DictReader(file)] == [0.9, 0.9, 0.9]

    (document,) = export(autoattacked(), "robustbench", registry)
    model = json.loads(document.write(tmp_path).read_text())
    assert document.name.split("/")[:2] == ["leaf-synth", "Linf"]
    assert float(model["autoattack_acc"]) / 100 == 0.3 and float(model["clean_acc"]) / 100 == 0.9
    assert isinstance(model["eps"], str) and ("Unpublished" if model["venue"] == "" else "") == "Unpublished"


@pytest.mark.parametrize(
    ("record", "style", "message"),
    [
        (result(status="failed"), "robustbench", "is failed"),
        (result(attacks=[]), "robustbench", "was not attacked"),
        (result(attacks=[("noise", 50, 100)]), "robustbench", "was not attacked"),
        (result().model_copy(update={"worst_case": ()}), "robustbench", "worst case does not follow"),
    ],
)
def test_what_has_no_place_in_a_format_is_refused(
    registry: Registry, record: RunResult, style: str, message: str
) -> None:
    if [attack.name for attack in record.spec.attacks] == ["noise"]:
        control = record.attacks[0].model_copy(update={"knowledge": "nothing"})
        record = record.model_copy(update={"attacks": (control,), "worst_case": ()})
    with pytest.raises(DataError, match=message):
        export(record, style, registry)


@pytest.mark.parametrize(("model", "message"), [("leaf-vit", "reads no text"), ("somebodys", "cannot tell whether")])
def test_only_models_that_read_text_are_of_clip_benchmark(registry: Registry, model: str, message: str) -> None:
    record = result()
    spec = record.spec.model_copy(
        update={"model": record.spec.model.model_copy(update={"name": model, "label": model})}
    )
    with pytest.raises(DataError, match=message):
        export(record.model_copy(update={"spec": spec, "run_id": spec.run_id()}), "clip-benchmark", registry)


def test_validation_images_are_nobodys_benchmark(registry: Registry) -> None:
    record = result()
    spec = record.spec.model_copy(update={"split": "validation"})
    for style in FORMATS:
        with pytest.raises(DataError, match="scored validation images"):
            export(record.model_copy(update={"spec": spec, "run_id": spec.run_id()}), style, registry)


def test_another_file_is_not_overwritten(tmp_path: Path, registry: Registry) -> None:
    (document,) = export(result(), "clip-benchmark", registry)
    taken = tmp_path / document.name
    taken.write_text("mine")
    with pytest.raises(DataError, match="is not overwritten"):
        document.write(tmp_path)
    assert taken.read_text() == "mine"


def test_names_cannot_leave_the_folder(tmp_path: Path, registry: Registry) -> None:
    record = result()
    dataset = record.spec.dataset.model_copy(update={"name": "../../x", "label": "../../x"})
    spec = record.spec.model_copy(update={"dataset": dataset})
    record = record.model_copy(update={"spec": spec, "run_id": spec.run_id()})
    for style in FORMATS:
        for document in export(record, style, registry):
            assert document.write(tmp_path / "out").resolve().is_relative_to(tmp_path / "out")


# There and back

RUNS = st.builds(
    lambda clean, correct, seed, away, checked, repeat: (
        lambda made: (certified(made) if checked else made).model_copy(
            update={"run_id": made.spec.run_id() + ("-2" if repeat else "")}
        )
    )((elsewhere if away else lambda record: record)(result(clean=clean, attacks=[("pgd", correct, 100)], seed=seed))),
    clean=st.integers(0, 100),
    correct=st.integers(0, 100),
    seed=st.integers(0, 2**31),
    away=st.booleans(),
    checked=st.booleans(),
    repeat=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(record=RUNS, style=st.sampled_from(sorted(FORMATS)))
def test_a_record_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, record: RunResult, style: str) -> None:
    folder = tmp_path_factory.mktemp("exported")
    documents = export(record, style, discover())
    assert len({document.name for document in documents}) == len(documents)
    for document in documents:
        back = read_foreign(document.write(folder))
        assert isinstance(back, RunResult) and back.model_dump_json() == record.model_dump_json()


@pytest.mark.parametrize("style", FORMATS)
def test_the_commands_carry_a_record_over_to_another_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], style: str
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    _, path = Store(mine).write(certified(result()))
    words = ["export", path.stem, "--format", style, "--output", tmp_path / "out", "--results", mine]
    files = command(capsys, *words)[0].split()
    assert command(capsys, *words)[0].split() == files  # the same again is no conflict
    assert command(capsys, "import", *files, "--results", theirs)[0] == ""
    assert (theirs / path.name).read_bytes() == path.read_bytes()
    assert "already" in command(capsys, "import", *files, "--results", theirs)[1]


def test_people_may_fill_in_what_is_theirs_but_no_figure(tmp_path: Path, registry: Registry) -> None:
    content = one(export(autoattacked(), "robustbench", registry))
    filled = {**content, "authors": "A. Nobody", "venue": "Nowhere 2026", "additional_data": False}
    assert read_foreign(written(tmp_path, filled)) == autoattacked()
    for key in ("clean_acc", "reported", "autoattack_acc", "eps", "dataset"):
        with pytest.raises(DataError, match="not those of the record it carries"):
            read_foreign(written(tmp_path, {**content, key: "99.0"}))


def test_a_forged_record_is_refused_and_the_rest_comes_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], registry: Registry
) -> None:
    good = one(export(autoattacked(), "robustbench", registry))
    carried = dict(good[EXTENSION])
    forged = {
        "count": {**carried, "clean": {**carried["clean"], "correct": 99}},
        "worst": {**carried, "worst_case": []},
        "other": {**carried, "status": "failed"},
        "none": 7,
    }
    paths = [written(tmp_path, {**good, EXTENSION: each}, f"{name}.json") for name, each in forged.items()]
    _, errors = command(capsys, "import", *paths, written(tmp_path, good), "--results", tmp_path / "results", code=1)
    assert errors.count("refused") == 4 and len(list((tmp_path / "results").glob("*.json"))) == 1


# What others report


def test_figures_of_others_become_rows_of_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [written(tmp_path, CARMON, "Carmon2019Unlabeled.json"), written(tmp_path, QUICKGELU, "result.json")]
    out, _ = command(capsys, "import", *files, "--results", tmp_path / "results")
    rows = tomllib.loads(out)["rows"]
    assert rows == [
        {"name": "Carmon2019Unlabeled", "published": {"clean": 89.69, "adversarial": 59.53}},
        {"name": "ViT-B-32-quickgelu laion400m_e32", "published": {"clean": 90.74}},
    ]
    assert all(Published.model_validate(row["published"]) for row in rows)
    assert "its authors report 62.5" in out and "NeurIPS 2019" in out
    assert not (tmp_path / "results").exists()  # nothing of it is a record


def test_an_external_evaluation_goes_before_autoattack(tmp_path: Path) -> None:
    found = read_foreign(written(tmp_path, {**CARMON, "external": "55.1"}))
    assert isinstance(found, Reference) and found.adversarial == 55.1 and "an external evaluation" in found.about[1]
    bare = {key: value for key, value in CARMON.items() if key != "autoattack_acc"}
    found = read_foreign(written(tmp_path, bare))
    assert isinstance(found, Reference) and found.adversarial is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "not a file of RobustBench or CLIP_benchmark"),
        ([CARMON], "not a file of"),
        ({**CARMON, "clean_acc": "ninety"}, "clean_acc is 'ninety'; expected an accuracy, at most 100"),
        ({**CARMON, "clean_acc": None}, "clean_acc is None"),
        ({**CARMON, "autoattack_acc": "159"}, "autoattack_acc is '159'"),
        ({**QUICKGELU, "metrics": {"acc1": 90.74}}, "acc1 is 90.74; expected an accuracy, at most 1"),
        ({**QUICKGELU, "metrics": {"mean_average_precision": 0.7}}, "has no 'acc1'"),
        ({**QUICKGELU, "metrics": {"acc1": float("nan")}}, "acc1 is nan"),
    ],
)
def test_files_that_say_nothing_usable_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, message: str
) -> None:
    path = written(tmp_path, content)
    _, errors = command(capsys, "import", path, "--results", tmp_path / "results", code=1)
    assert message in errors and errors.count("\n") == 1


@pytest.mark.parametrize("text", ["", "not JSON", "[" * 100_000, '{"clean_acc": ' + "9" * 5000 + "}"])
def test_files_that_are_no_json_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"file\.json"):
        read_foreign(path)


@settings(max_examples=200, deadline=None)
@given(name=st.text(min_size=1), about=st.text(), clean=st.floats(0, 100))
def test_whatever_a_file_says_the_row_is_toml(name: str, about: str, clean: float) -> None:
    text = Reference(name=name, clean=clean, adversarial=None, about=(about,)).to_toml()
    (row,) = tomllib.loads(text)["rows"]
    assert row["published"] == {"clean": clean} and set(row) == {"name", "published"} and row["name"]
