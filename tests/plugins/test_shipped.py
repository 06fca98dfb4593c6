"""The weights that come with the package: small, safe, documented, and each loads by its name."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from robench import Dataset
from robench.contracts.types import Component
from robench.images.image_set import to_pixels
from robench.networks.evaluate import fingerprint
from robench.registry.registry import discover

from robench_plugins import MODELS
from robench_plugins.datasets.cifar10 import CIFAR10
from robench_plugins.datasets.leaf_synth import LeafSynth
from robench_plugins.models import resnet as resnet_module
from robench_plugins.models.resnet import CIFARResNet
from robench_plugins.models.shipped import shipped_path
from tests.helpers.plugin_fixtures import TenClasses, make_context

WEIGHTS = shipped_path("")
CLIPS = {
    component.name: component.defaults["path"].removeprefix("shipped:")
    for component in MODELS
    if str(component.defaults.get("path", "")).startswith("shipped:")
}
FOLDERS = sorted({*CLIPS.values(), "resnet20-leaf-synth"})


@pytest.fixture(autouse=True)
def untrainable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where weights are missing, say so at once instead of training them."""

    def train(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("not shipped: it trained")

    monkeypatch.setattr(resnet_module, "train", train)
    draw = LeafSynth.split
    monkeypatch.setattr(LeafSynth, "split", lambda self, name, limit=None: draw(self, name, limit or 10))


class CIFAR10Stub(TenClasses):
    """CIFAR-10's classes and prompts, without its images."""

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        return CIFAR10().prompts()


def dataset_of(folder: str) -> Dataset:
    return CIFAR10Stub() if "cifar10" in folder else LeafSynth()


def test_nothing_else_is_shipped() -> None:
    programs = {"recipes", "__pycache__"}
    assert sorted(path.name for path in WEIGHTS.iterdir() if path.is_dir() and path.name not in programs) == FOLDERS


def test_all_weights_together_stay_below_12_megabytes() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 12_000_000


def test_no_weights_are_pickled() -> None:
    files = (path for folder in FOLDERS for path in (WEIGHTS / folder).rglob("*") if path.is_file())
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md", ".txt"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_card_says_what_the_weights_were_made_of_how_and_how_good_they_are(folder: str) -> None:
    card = (WEIGHTS / folder / "README.md").read_text()
    assert "data" in card.lower()
    assert "accuracy" in card.lower()
    assert re.search(r"\d+(\.\d+)? ?%", card)
    assert not re.search(r"\b(TEST|TODO|TBD|XXX)\b", card)  # a number still to be filled in
    modules = re.findall(r"python -m ([\w.]+)", card)
    assert modules
    for module in modules:
        assert Path(WEIGHTS.parent.parent, *module.split(".")).with_suffix(".py").is_file() or module == "robench"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_hash_on_the_card_is_that_of_the_weights(folder: str) -> None:
    card = (WEIGHTS / folder / "README.md").read_text()
    digest = hashlib.sha256((WEIGHTS / folder / "model.safetensors").read_bytes()).hexdigest()
    assert set(re.findall(r"\b[0-9a-f]{64}\b", card)) <= {digest}


@pytest.mark.parametrize(("name", "folder"), CLIPS.items())
def test_a_shipped_clip_loads_by_name_and_tells_classes_apart(name: str, folder: str, tmp_path: Path) -> None:
    dataset = dataset_of(folder)
    network = discover().resolve("model", name).build().build(make_context(tmp_path, dataset))
    logits = network(torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, len(dataset.class_names))
    cosines = network.class_embeddings() @ network.class_embeddings().T
    assert cosines.fill_diagonal_(-1).max() < 0.98


def test_the_shipped_clip_knows_leaves(tmp_path: Path) -> None:
    assert accuracy("clip-tiny", tmp_path) > 0.5


def test_the_shipped_surrogate_knows_leaves(tmp_path: Path) -> None:
    assert accuracy("resnet20", tmp_path) > 0.6


def accuracy(name: str, cache: Path) -> float:
    dataset = LeafSynth()
    network = discover().resolve("model", name).build().build(make_context(cache, dataset, name="leaf-synth")).eval()
    data = dataset.split("test", 200)
    with torch.no_grad():
        predicted = network(to_pixels(data.images, torch.device("cpu"))).argmax(dim=1).numpy()
    assert not any(cache.iterdir())  # shipped, so not trained
    return float((predicted == data.labels).mean())


def test_the_surrogate_says_which_images_and_classes_it_is_for() -> None:
    config = json.loads((WEIGHTS / "resnet20-leaf-synth" / "config.json").read_text())
    assert config.get("image_size", 32) == 32
    assert tuple(config["class_names"]) == LeafSynth().class_names
    assert len(config["mean"]) == len(config["std"]) == 3


def test_shipped_weights_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    model = CIFARResNet(CIFARResNet.Params())
    contexts = [make_context(tmp_path, LeafSynth(), seed=seed, name="leaf-synth") for seed in (0, 1)]
    assert fingerprint(model.build(contexts[0])) == fingerprint(model.build(contexts[1]))


@pytest.mark.parametrize("component", MODELS, ids=lambda component: component.name)
def test_what_is_downloaded_is_declared(component: Component) -> None:
    path = str(component.defaults.get("path", "")).removeprefix("hf-hub:")
    repositories = [path, *([str(component.defaults["processor"])] if "processor" in component.defaults else [])]
    if "/" in path:
        assert component.downloads == tuple(f"hf:{each}" for each in repositories)
    if path.startswith("shipped:"):
        assert not component.downloads
