"""Photographs to report through the command line: train, save, evaluate, attack from another network, write up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from robench import cli
from robench.records.record import RunResult
from robench.records.samples import Samples, samples_path

VIT = "leaf-vit:image_size=16,patch_size=8,stride=4,dim=16,dense1=32,dense2=16,head_dropout=0"
FAST = "epochs=6,balance=30,batch_size=16,validate_on=50,lr=3e-3"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two classes of blobs, one greener than the other; one file is damaged."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("Tomato_healthy", "Tomato___Late_blight")):
        (tmp_path / "leaves" / name).mkdir(parents=True)
        for number in range(30):
            coarse = random.integers(60, 160, (8, 8, 3), dtype=np.uint8)
            coarse[..., 1] += np.uint8(60 * label)
            picture = Image.fromarray(coarse).resize((24, 24), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "leaves" / name / f"{number:02}.png")
    (tmp_path / "leaves" / "Tomato_healthy" / "30.png").write_text("damaged")
    return tmp_path / "leaves"


@pytest.fixture
def robench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def robench(*arguments: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main([*arguments, "--results", str(tmp_path / "results")])
        captured = capsys.readouterr()
        assert (exit_.value.code or 0) == code, captured.err
        return captured.out, captured.err

    return robench


@pytest.mark.slow
def test_a_network_is_trained_saved_scored_and_attacks_another(tmp_path: Path, photographs: Path, robench: Any) -> None:
    common = ["--dataset", f"leaf:path={photographs},size=16", "--test-size", "all", "--cache-dir", str(tmp_path / "c")]
    saved, tuner = tmp_path / "vit.safetensors", f"supervised:{FAST},augment=study-vit"
    training = ["--model", VIT, "--tuner", tuner, "--train-size", "all", "--save-adapter", str(saved)]
    attacks = ["--attack", "fgsm:eps=8/255", "--attack", "pgd:eps=8/255"]
    out, warnings = robench("run", *common, *training, *attacks, "--json")
    trained = RunResult.model_validate_json(out)
    assert trained.clean is not None and trained.clean.accuracy >= 0.8
    assert trained.attacks[1].accuracy <= trained.clean.accuracy
    assert trained.data is not None and trained.tuning is not None
    assert sum(trained.data.train_counts or ()) == trained.spec.train_size
    assert trained.tuning.drawn_counts == (30, 30) and sum(trained.tuning.layers.values()) == trained.tuning.parameters
    assert "1 damaged file skipped: Tomato_healthy/30.png" in warnings

    # The same weights, as a model of their own, and as the surrogate of another.
    out, _ = robench("run", *common, "--model", f"{VIT},weights={saved}", *attacks, "--json")
    scored = RunResult.model_validate_json(out)
    assert scored.clean == trained.clean and scored.tuning is not None
    assert [score.bits for score in scored.attacks] == [score.bits for score in trained.attacks]
    assert scored.tuning.tuned_fingerprint == trained.tuning.tuned_fingerprint
    surrogate = VIT.partition(":")[2].replace(",", ",surrogate.")
    transfer = f"pgd-leaf-vit:eps=8/255,surrogate.{surrogate},surrogate.weights={saved}"
    robust = f"supervised-at:{FAST},eps=4/255,steps=2,augment=study-cnn"
    out, _ = robench(
        "run", *common, "--model", VIT, "--tuner", robust, "--train-size", "all", "--attack", transfer, "--json"
    )
    other = RunResult.model_validate_json(out)
    assert [score.knowledge for score in other.attacks] == ["transfer", "white-box"]
    assert other.attacks[0].surrogate is not None
    assert other.attacks[0].surrogate.clean_correct == trained.clean.correct
    assert "validation_adversarial" in (other.tuning.history[0] if other.tuning else {})

    kept = Samples.load(samples_path(tmp_path / "results", trained.run_id))
    assert kept.augmented is not None and kept.augmented.shape == (2, 6, 3, 16, 16)
    assert kept.patches is not None and kept.patches.shape == (9, 16)
    robench("report", trained.run_id, other.run_id, "--output", str(tmp_path / "report"))
    page = (tmp_path / "report" / "report.html").read_text()
    for part in (
        "Encoded patches",
        "drawn in an epoch",
        "blocks.0",
        "Transfer",
        "1 damaged file skipped",
        "Late blight",
    ):
        assert part in page, part
    assert {path.stem.partition("-")[2] for path in (tmp_path / "report").glob(f"{trained.run_id}-*.png")} >= {
        *("confusion", "curves", "balance", "augmented", "patches", "examples")
    }


def test_the_studys_protocol_is_an_option_and_says_what_it_is(tmp_path: Path, photographs: Path, robench: Any) -> None:
    dataset = ["--dataset", f"leaf:path={photographs},size=16,balance=60", "--cache-dir", str(tmp_path / "c")]
    sizes = ["--train-size", "all", "--test-size", "all", "--attack", "fgsm", "--json"]
    tuner = ["--model", VIT, "--tuner", f"supervised:{FAST},epochs=1".replace("epochs=6,", "")]
    out, warnings = robench("run", *dataset, "--protocol", "study", *tuner, *sizes)
    record = RunResult.model_validate_json(out)
    assert (record.spec.train_size, record.spec.test_size) == (108, 12)
    assert record.spec.dataset.params["protocol"] == "study"
    assert "show a photograph also trained on" in warnings
    _, errors = robench("run", *dataset, *tuner, *sizes, code=2)
    assert "needs protocol=study" in errors and errors.count("\n") == 1
