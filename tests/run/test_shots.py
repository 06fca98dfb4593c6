"""Few-shot training images, prompts in records, and what a dry run shows of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from robench.run.data import few

from tests.conftest import command

TINY = ["--test-size", "all", "--attack", "fgsm:eps=2/255", "--checks", "off"]
VIT = "leaf-vit:image_size=8,patch_size=4,stride=4,dim=8,dense1=8,dense2=8,head_dropout=0"
TRAIN = ["--tuner", "supervised:batch_size=4,augment=none", "--model", VIT]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 2**48 - 1), st.integers(1, 20))
def test_shots_are_nested_seeded_and_of_each_class(labels: list[int], seed: int, shots: int) -> None:
    classes = np.array(labels)
    more, fewer = few(classes, shots + 3, seed), few(classes, shots, seed)
    assert set(fewer) <= set(more) and len(set(more)) == len(more)
    assert more[: len(np.unique(classes))].tolist() == few(classes, 1, seed).tolist()
    assert (np.bincount(classes[fewer], minlength=4) == np.minimum(np.bincount(classes, minlength=4), shots)).all()


def test_another_seed_draws_other_shots() -> None:
    labels = np.zeros(200, np.int64)
    assert set(few(labels, 16, 0)) != set(few(labels, 16, 1))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, count in {"train/ant": 12, "train/bee": 14, "test/ant": 3, "test/bee": 3}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


def test_a_dry_run_shows_classes_prompts_and_visits(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs.parent / "prompts.txt").write_text("a {}, walking.\n")
    (photographs / "extra").mkdir()
    prompts = photographs.parent / "prompts.txt"
    dataset = ["--dataset", f"folder:path={photographs},size=8,prompts={prompts}", *TINY]
    out, _ = command(capsys, "run", "--dry-run", *dataset, *TRAIN, "--epochs", 5, "--shots", 4)
    assert "training  8 images, 4 a class, 5 epochs of all, 40 image visits" in out
    assert "classes   2: ant, bee\nprompts   a {}, walking.\nnote      folder extra left out" in out
    assert " --shots 4 " in out and "--train-size" not in out
    _, error = command(capsys, "run", "--dry-run", *dataset, *TRAIN, "--train-size", 500, code=2)
    assert "folder has 23 train images; 500 were asked for" in error and error.count("\n") == 1
    _, error = command(capsys, "run", "--dry-run", *dataset, "--shots", 4, code=2)
    assert "--shots 4 does nothing, because tuner 'none' trains nothing here" in error and error.count("\n") == 1
    prompts.write_text("".join(f"a {{}} {'far ' * number}away\n" for number in range(40, 45)))
    out, _ = command(capsys, "run", "--dry-run", *dataset)
    shown = next(row for row in out.splitlines() if row.startswith("prompts"))
    assert shown.endswith("... | ... 5 in all") and len(shown) < 350
    _, error = command(capsys, "run", "--dry-run", *dataset, *TRAIN, "--train-size", 5, "--shots", 4, code=2)
    assert "--shots 4 and --train-size 5 contradict" in error


def test_a_test_only_folder_is_scored_but_not_trained_on(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--dataset", f"folder:path={photographs / 'test'},size=8,protocol=test", *TINY]
    for size in (["--train-size", "all"], ["--train-size", 5], ["--shots", 2]):
        _, error = command(capsys, "run", "--dry-run", *only, *TRAIN, *size, code=2)
        assert "no train" in error and "--tuner none" in error and error.count("\n") == 1
    results = ["--results", photographs.parent / "results", "--json"]
    out, _ = command(capsys, "run", *only, "--model", VIT, *results)
    made = json.loads(out)
    table, _ = command(capsys, "show", made["run_id"], "--images", *results[:2])
    rows = [row.split(",") for row in table.splitlines()]
    assert rows[0] == ["image", "class", "clean", "fgsm:eps=2/255"]
    assert sorted(row[0] for row in rows[1:]) == [
        f"{name}/{number}.png" for name in ("ant", "bee") for number in range(3)
    ]
    assert all(row[0].startswith(row[1]) for row in rows[1:])
    assert sum(row[1] == row[2] for row in rows[1:]) == made["clean"]["correct"]
    assert made["clean"]["n"] == 6 and made["data"]["prompts"] == [["a photo of a {}."]]


@pytest.mark.slow
def test_a_few_shot_run_trains_on_its_shots_of_its_seed(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = ["--results", photographs.parent / "results", "--json"]
    dataset = ["--dataset", f"folder:path={photographs},size=8", *TINY, *TRAIN, "--epochs", 1, *results]
    runs = [
        json.loads(command(capsys, "run", *dataset, "--shots", shots, "--seed", seed)[0])
        for shots, seed in ((2, 0), (2, 1), (40, 0))
    ]
    assert runs[0]["data"]["train_counts"] == [2, 2]
    assert runs[2]["spec"]["train_size"] == sum(runs[2]["data"]["train_counts"]) == 23
    assert len({run["data"]["train_fingerprint"] for run in runs}) == len({run["run_id"] for run in runs}) == 3


def test_prompts_of_a_model_are_shown_and_recorded_in_place_of_the_datasets(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "run",
        "--dataset",
        f"folder:path={photographs},size=32",
        "--model",
        "clip-tiny:template=an {} at work",
        *TINY,
    ]
    assert "prompts   an {} at work\n" in command(capsys, *words, "--dry-run")[0]
    out = command(capsys, *words, "--results", tmp_path / "results", "--cache-dir", tmp_path / "cache", "--json")[0]
    assert json.loads(out)["data"]["prompts"] == [["an {} at work"]]
