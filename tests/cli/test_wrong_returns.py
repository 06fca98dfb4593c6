"""What a plugin returns that its contract does not allow is one line, and nothing that is saved changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import command

PLUGIN = '''
import os

import numpy as np
import torch
from robench import Adaptation, Attacker, Certified, Component, Constraint, Corruption, Dataset, Defence, ImageSet
from robench import Model, Objective, Purifier, Tuner, hookimpl

IMAGES = np.random.RandomState(0).randint(0, 255, (60, 3, 8, 8)).astype(np.uint8)


def value(method, right):
    """Return `right`, or what the test wants of this method."""
    faulty, _, wrong = os.environ.get("WRONG", "").partition("=")
    return eval(wrong) if faulty == method else right


class Grey(Dataset):
    @property
    def class_names(self):
        return value("class_names", ("dark", "light"))

    def split(self, name, limit=None):
        right = ImageSet(images=IMAGES[:limit], labels=(np.arange(60) % 2)[:limit])
        return value("split", right)

    def size(self, name):
        return value("size", 60)

    def prompts(self):
        return value("prompts", (("a",), ("b",)))


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(192, 2)

    def forward(self, images):
        return value("forward", self.head(images.flatten(1)))


class Flat(Model):
    def build(self, context):
        return value("build", Network())

    def adaptable(self, network):
        return value("adaptable", {"head": network.head})


class Salt(Attacker):
    def perturb(self, network, images, labels):
        found = value("perturb", images)
        return found(images) if callable(found) else found


class Own(Tuner):
    def adapt(self, network, parts):
        for weight in network.parameters():
            weight.requires_grad_(True)

    def fit(self, task):
        return value("fit", [{"loss": 1.0}])


class Mean(Objective):
    def loss(self, network, clean, adversarial, labels):
        loss = network(adversarial).mean()
        found = value("loss", loss)
        return found(loss) if callable(found) else found


class Terms(Objective):
    def terms(self, network, clean, adversarial, labels):
        return value("terms", {"mean": network(adversarial).mean()})

    def score(self, network, clean, labels):
        return value("score", lambda images: network(images).square().sum(dim=1))


class Whole(Adaptation):
    def adapt(self, network, parts):
        network.requires_grad_(True)

    def penalty(self, network):
        return value("penalty", 0.0)


class Lens(Purifier):
    def purify(self, network, images):
        return value("purify", images)


class Proof(Defence):
    def answer(self, network, images):
        return value("answer", network(images))

    def certified_images(self):
        return value("certified_images", 2)

    def certify(self, network, images, n_classes):
        found = torch.zeros(len(images))
        return value("certify", Certified(classes=found.long(), radii=found))


class Rows(Constraint):
    unit = "rows"

    def sizes(self, clean, changed):
        return value("sizes", (clean != changed).any(dim=3).any(dim=1).sum(dim=1).double())

    def far(self, clean, perturbed, radius):
        return value("far", super().far(clean, perturbed, radius))

    def furthest(self, images, direction, radius):
        found = images.clone()
        found[:, :, : int(radius)] = (direction[:, :, : int(radius)] > 0).float()
        return found

    def project(self, clean, perturbed, radius):
        levels = (perturbed.clamp(0, 1) * 255).round().to(clean.dtype)
        return value("project", torch.cat([levels[:, :, : int(radius)], clean[:, :, int(radius) :]], dim=2))

    def written(self, radius):
        return value("written", super().written(radius))


class Fog(Corruption):
    def names(self):
        return value("names", ("fog",))

    def severities(self):
        return value("severities", (1, 2))

    def corrupted(self, name, severity, images, positions, context):
        return value("corrupted", images.images // 2)


@hookimpl
def robench_components():
    kinds = {"dataset": [Grey], "model": [Flat], "attacker": [Salt], "tuner": [Own], "objective": [Mean, Terms]}
    kinds |= {"adaptation": [Whole], "defence": [Lens, Proof], "constraint": [Rows], "corruption": [Fog]}
    return [
        Component(kind=kind, name=f"x{each.__name__.lower()}", target=f"wrong_returns:{each.__name__}", summary="toy")
        for kind, found in kinds.items()
        for each in found
    ]
'''
TRAINED = ("--tuner", "xwhole+xmean:adversary=none,epochs=1")
ROWS, FOG = ("--attack", "noise:norm=xrows,eps=2"), ("--corruption", "xfog")
SCORED = ("--tuner", "xwhole+xterms:adversary=white-box,epochs=1,eps=8/255")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plugin") / "wrong_returns.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def run(plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    words = ["--plugin", plugin, "--results", tmp_path / "results", "--quiet", "--device", "cpu"]
    words += ["--dataset", "xgrey", "--model", "xflat", "--train-size", 20, "--checks", "off"]
    words += ["--cache-dir", tmp_path / "cache", "--attack", "xsalt:eps=8/255"]

    def run(*more: object, code: int = 0) -> str:
        size = () if "--test-size" in more else ("--test-size", 20)
        return command(capsys, "run", *words, *size, *more, code=code)[1]

    return run


@pytest.mark.parametrize(
    ("method", "wrong", "words", "said"),
    [
        ("perturb", "lambda images: None", (), "Salt.perturb returned None; expected a floating-point tensor of shape"),
        ("perturb", "lambda images: images.numpy()", (), "Salt.perturb returned a numpy array float32 (20, 3, 8, 8)"),
        ("perturb", "lambda images: images[:1]", (), "returned a tensor float32 (1, 3, 8, 8); expected a floating"),
        ("perturb", "lambda images: (images * 255).byte()", (), "returned a tensor uint8 (20, 3, 8, 8); expected"),
        ("perturb", "lambda images: [images]", (), "Salt.perturb returned a list of 1; expected"),
        ("class_names", "'ab'", (), "Grey.class_names returned the str 'ab'; expected a tuple of str"),
        ("split", "(IMAGES, IMAGES)", (), "Grey.split returned a tuple of 2; expected a robench.ImageSet of 20 images"),
        ("size", "'many'", ("--test-size", "all"), "Grey.size returned the str 'many'; expected an int of at least 0"),
        ("prompts", "('a', 'b')", (), "Grey.prompts returned a tuple of 2; expected a tuple of prompts"),
        ("build", "lambda images: images", (), "Flat.build returned a function; expected a torch.nn.Module"),
        ("adaptable", "[]", (), "Flat.adaptable returned a list of 0; expected a dict of torch.nn.Module"),
        ("forward", "(1, 2)", (), "the model returned a tuple; expected a tensor of logits"),
        ("fit", "None", ("--tuner", "xown"), "Own.fit returned None; expected a list with a dict of numbers an epoch"),
        ("fit", "[{'loss': 'low'}]", ("--tuner", "xown"), "Own.fit returned a list of 1; expected a list with a dict"),
        ("loss", "None", TRAINED, "Mean.loss returned None; expected a floating-point tensor without dimensions"),
        ("loss", "lambda loss: loss.item()", TRAINED, "Mean.loss returned the float"),
        ("loss", "lambda loss: loss.expand(20)", TRAINED, "Mean.loss returned a tensor float32 (20,)"),
        ("terms", "[]", SCORED, "Terms.terms returned a list of 0; expected floating-point tensors"),
        ("score", "3", SCORED, "Terms.score returned the int 3; expected a function of images, or None"),
        ("score", "lambda images: images.sum()", SCORED, "the score of the objective returned a tensor float32 ()"),
        ("penalty", "'none'", TRAINED, "Whole.penalty returned the str 'none'; expected a number"),
        ("purify", "IMAGES", ("--defence", "xlens"), "Lens.purify returned a numpy array uint8 (60, 3, 8, 8)"),
        ("answer", "None", ("--defence", "xproof"), "Proof.answer returned None; expected a floating-point tensor of"),
        ("certified_images", "2.5", ("--defence", "xproof"), "Proof.certified_images returned the float 2.5"),
        (
            "certify",
            "(1, 2)",
            ("--defence", "xproof"),
            "Proof.certify returned a tuple of 2; expected a robench.Cert",
        ),
        ("sizes", "2", ROWS, "Rows.sizes returned the int 2; expected a floating-point tensor of shape (20,)"),
        ("far", "torch.ones(3)", ROWS, "Rows.far returned a tensor float32 (3,); expected a tensor bool of shape"),
        ("project", "IMAGES[:20]", ROWS, "Rows.project returned a numpy array uint8 (20, 3, 8, 8); expected a tensor"),
        ("written", "2", ROWS, "Rows.written returned the int 2; expected a str"),
        ("severities", "(2, 1)", FOG, "Fog.severities returned a tuple of 2; expected a tuple of int in rising order"),
        ("corrupted", "IMAGES[:1]", FOG, "Fog.corrupted returned a numpy array uint8 (1, 3, 8, 8); expected a numpy"),
    ],
)
def test_it_is_one_line(
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    wrong: str,
    words: tuple[str, ...],
    said: str,
) -> None:
    run(*words)
    saved = {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.json")}
    monkeypatch.setenv("WRONG", f"{method}={wrong}")
    told = run("--force", *words, code=2)
    (line,) = (each for each in told.splitlines() if "returned" in each)
    assert said in line and "unexpected" not in told and "Traceback" not in told
    assert len(saved) == 1 and {file: file.read_bytes() for file in saved} == saved
