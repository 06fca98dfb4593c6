"""The default run with the shipped weights, at a small size and with no network to reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from robench import cli
from robench.records.record import RunResult

from tests.helpers.plugin_fixtures import real, switch_hub_off


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    switch_hub_off(monkeypatch, tmp_path)

    def run(*arguments: str) -> RunResult:
        folders = ["--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / "cache")]
        with pytest.raises(SystemExit) as exit_:
            cli.main(["run", *arguments, *folders, "--json"])
        captured = capsys.readouterr()
        assert not exit_.value.code, captured.err
        return RunResult.model_validate_json(captured.out)

    return run


def accuracies(result: RunResult) -> list[float]:
    return [score.accuracy for score in result.attacks]


@pytest.mark.slow
def test_the_demonstration_shows_what_the_study_saw(run: Any) -> None:
    size = ["--train-size", "256", "--test-size", "200", "--attack", "pgd-resnet20", "--attack", "pgd:n=40"]
    size += ["--checks", "off"]
    zero_shot = run("--tuner", "none", *size)
    assert zero_shot.clean.accuracy >= 0.85
    transfer, white_box = accuracies(zero_shot)
    assert zero_shot.clean.accuracy - transfer >= 0.2
    assert white_box <= 0.05
    surrogate = zero_shot.attacks[0].surrogate
    assert surrogate.adversarial_correct <= 10 < 160 <= surrogate.clean_correct < 200

    tuned = run("--tuner", "tecoa", *size)
    assert tuned.attacks[0].cached and tuned.attacks[0].images == zero_shot.attacks[0].images
    assert accuracies(tuned)[0] > transfer + 0.03
    assert tuned.tuning.trainable_parameters == 6 * 3 * 8 * (128 + 128)
    assert tuned.worst_case[0].n == 40


@pytest.mark.slow
def test_prompts_and_white_box_training_run_through(run: Any) -> None:
    size = ["--train-size", "32", "--test-size", "20", "--epochs", "1", "--attack", "fgsm-resnet20"]
    prompted = run("--tuner", "vpt", *size)
    assert prompted.tuning.trainable_parameters == 10 * 128
    assert [score.label for score in prompted.attacks] == ["fgsm-resnet20", "fgsm"]
    hardened = run("--tuner", "tecoa:adversary=white-box,eps=2/255", *size)
    expected = {"eps": "2/255", "norm": "Linf", "alpha": "1/510", "steps": 7, "random_start": True}
    assert hardened.spec.adversary.params == expected


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes(run: Any) -> None:
    words = ["--tuner", "lora-ce", "--train-size", "32", "--test-size", "20", "--attack", "pgd-resnet20"]
    first, second = (run(*words, "--force", "--checks", "off") for _ in range(2))
    assert second.run_id == f"{first.run_id}-2"
    assert first.tuning.tuned_fingerprint == second.tuning.tuned_fingerprint
    assert [score.images for score in first.attacks] == [score.images for score in second.attacks]


@pytest.mark.slow
def test_real_photographs_run_through(run: Any) -> None:
    data, weights = real("data/cifar10"), real("weights/cifar10") / "resnet20.th"
    surrogate = f"surrogate.weights={weights}"
    result = run(
        *("--dataset", f"cifar10:path={data}", "--tuner", f"tecoa:{surrogate}", "--train-size", "32"),
        *("--test-size", "100", "--attack", f"pgd-resnet20:{surrogate}", "--no-white-box"),
    )
    assert result.spec.model.name == "clip-tiny-cifar10"
    assert result.clean.accuracy > 0.6
    assert result.attacks[0].surrogate.clean_correct > 70 and result.attacks[0].surrogate.adversarial_correct == 0
    assert json.loads(result.model_dump_json())["data"]["class_names"][9] == "truck"


@pytest.mark.slow
def test_a_tuned_clip_is_scored_on_another_datasets_classes(run: Any) -> None:
    data = real("data/cifar10")
    size = ["--train-size", "32", "--test-size", "30", "--attack", "fgsm", "--epochs", "1"]
    tuned = run("--tuner", "tecoa", *size, "--eval-dataset", f"cifar10:path={data}")
    (away,) = tuned.elsewhere
    assert away.data.class_names[9] == "truck" and away.clean.n == 30
    # It never saw a truck; what matters here is that both were scored, with prompts of their own.
    assert tuned.clean.accuracy > 0.8 > away.clean.accuracy


@pytest.mark.slow
def test_a_saved_adapter_is_attacked_later_by_something_stronger(run: Any, tmp_path: Path) -> None:
    file = str(tmp_path / "tecoa.safetensors")
    size = ["--test-size", "20", "--attack", "fgsm-resnet20", "--no-white-box"]
    trained = run("--tuner", "tecoa:epochs=1", "--train-size", "32", *size, "--save-adapter", file)
    later = run("--adapter", file, *size, "--attack", "apgd-ce:steps=5,n=8")
    assert later.clean == trained.clean and later.attacks[0].bits == trained.attacks[0].bits
    assert later.attacks[1].knowledge == "white-box" and later.attacks[1].n == 8


@pytest.mark.slow
def test_a_cnn_of_timm_is_trained_by_the_same_loop(run: Any) -> None:
    result = run(
        *("--model", "timm-resnet10t:image_size=32", "--tuner", "full+ce:adversary=none,lr=3e-3,epochs=2"),
        *("--train-size", "256", "--test-size", "50", "--attack", "pgd-timm-resnet10t:surrogate.image_size=32,n=10"),
        "--no-white-box",
    )
    first, last = result.tuning.history
    assert last["loss"] < first["loss"]
    assert result.tuning.trainable_parameters == result.tuning.parameters
    assert any("surrogate timm-resnet10t" in warning for warning in result.warnings)  # a random one is no surrogate
