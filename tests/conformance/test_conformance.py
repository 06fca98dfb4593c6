"""Every component that ships keeps its contract, and each rule catches a component that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from robench import (
    Attacker,
    AttackParams,
    Component,
    Constraint,
    Dataset,
    Field,
    ImageSet,
    Model,
    Objective,
    Part,
    Purifier,
    RunContext,
    Tuner,
    TuningTask,
    hookimpl,
)
from robench.cli import main
from robench.conformance.examine import examine
from robench.conformance.finding import Finding
from robench.contracts.types import KINDS, Kind
from robench.registry.discovery import GROUP
from robench.registry.registry import Registry, discover
from robench.testing import assert_conforms
from torch import Tensor, nn

from robench_plugins.datasets.catalogue import facts
from robench_plugins.tuners.recipes import RECIPES
from tests.conftest import entry_point, registry_of
from tests.helpers import toy
from tests.helpers.clip_kinds import save_tiny_open_clip, save_tiny_siglip
from tests.helpers.stand_in_gpu import stand_in_gpu
from tests.plugins import test_published_sets
from tests.plugins.test_cifar10 import write_parquet
from tests.plugins.test_natural_shifts import write_cifar10_1

# What a component needs to be tried in seconds and without a network; every other is tried at its defaults.
TEXTS: dict[tuple[Kind, str], str] = {
    ("dataset", "leaf-synth"): "leaf-synth:size=16",
    **{("dataset", name): f"{name}:size=16" for name in ("digits", "shapes", "textures", "counts")},
    ("dataset", "leaf"): "leaf:path={photographs}",
    ("dataset", "folder"): "folder:path={photographs},size=32",
    ("dataset", "cifar10"): "cifar10:path={cifar10}",
    ("dataset", "cifar10-1"): "cifar10-1:path={cifar10_1}",
    ("dataset", "hub"): "hub:path={hub}",
    ("dataset", "webdataset"): "webdataset:path={webdataset}",
    ("dataset", "stl10"): "stl10:path={stl10}",
    ("model", "clip"): "clip:path=shipped:clip-tiny",
    ("model", "clip-vit-b32"): "clip-vit-b32:path=shipped:clip-tiny",
    ("model", "clip-tiny-cifar10"): "clip-tiny-cifar10",
    ("model", "clip-tiny-offline"): "clip-tiny-offline",
    ("model", "open-clip"): "open-clip:path={open_clip}",
    ("model", "siglip-vit-b16"): "siglip-vit-b16:path={siglip}",
    ("model", "leaf-inception"): "leaf-inception:image_size=96",
    ("model", "timm"): "timm-resnet18",
    **{("model", f"resnet{depth}"): f"resnet{depth}:epochs=1" for depth in (32, 44, 56)},
    ("defence", "smoothing"): "smoothing:votes=5,certify=1,n0=5,n=20",
    ("defence", "rtpt"): "rtpt:views=6",
    ("attacker", "cw"): "cw:steps=20",
    ("attacker", "fab"): "fab:steps=10",
    ("attacker", "square"): "square:queries=1000",
    ("attacker", "torchattacks-onepixel"): "torchattacks-onepixel:steps=3",
    ("attacker", "vmi-fgsm"): "vmi-fgsm:steps=3,neighbours=5",
    ("attacker", "admix"): "admix:steps=3,mixes=1",
    ("attacker", "ssa"): "ssa:steps=3,spectra=5",
    ("attacker", "pgn"): "pgn:steps=3,neighbours=3",
    ("attacker", "sia"): "sia:steps=3,copies=5",
    ("attacker", "rays"): "rays:queries=100",
    ("attacker", "hopskipjump"): "hopskipjump:queries=300",
    **{("attacker", f"apgd-{loss}"): f"apgd-{loss}:steps=20" for loss in ("ce", "dlr", "t")},
    **{("attacker", name): f"{name}:queries=50" for name in ("sparse-rs", "sparse-rs-patch")},
    **{("attacker", name): f"{name}:steps=5" for name in ("pgd-l0", "patch-pgd")},
    ("attacker", "adversarial-patch"): "adversarial-patch:rounds=10",
    ("attacker", "spatial-grid"): "spatial-grid:angles=5,moves=3",
    ("attacker", "spatial-pgd"): "spatial-pgd:restarts=2",
    ("attacker", "colour-fw"): "colour-fw:steps=5",
    ("attacker", "colour-search"): "colour-search:queries=30",
    ("attacker", "torchattacks-vmifgsm"): "torchattacks-vmifgsm:steps=3",
    ("attacker", "torchattacks-vnifgsm"): "torchattacks-vnifgsm:steps=3",
    ("attacker", "torchattacks-sparsefool"): "torchattacks-sparsefool:steps=2",
    ("attacker", "torchattacks-jsma"): "torchattacks-jsma:eps=1",
    ("attacker", "torchattacks-eadl1"): "torchattacks-eadl1:binary_search_steps=2,max_iterations=20",
    ("attacker", "torchattacks-eaden"): "torchattacks-eaden:binary_search_steps=2,max_iterations=20",
    ("logger", "tensorboard"): "tensorboard:dir={logs}",
    ("logger", "wandb"): "wandb:dir={logs}",
    ("logger", "mlflow"): "mlflow:uri={mlflow}",
    ("adaptation", "coop"): "coop:context=2,adversary=none",
    **{("adaptation", name): f"{name}:adversary=none" for name in ("prompts", "lora-text")},
    **{("objective", name): f"{name}:adversary=none" for name in ("pmg-aft", "tga-zsr", "agft", "caw", "fap")},
    ("tuner", "supervised"): "supervised:validate_on=8",
    ("tuner", "supervised-at"): "supervised-at:validate_on=8",
    ("tuner", "supervised-trades"): "supervised-trades:validate_on=8",
}
# Networks without shipped weights are trained, which these few images make short.
DATASETS: dict[tuple[Kind, str], str] = {
    ("model", f"resnet{depth}"): "cifar10:path={cifar10}" for depth in (32, 44, 56)
}
TUNED = "clip:path={siglip}"
"""What adaptations, objectives and most tuners are tried on: the smallest image-text model."""
CLASSIFIER = "leaf-vit:image_size=16,patch_size=4,stride=4,dim=8,dense1=8,dense2=8"
MODELS: dict[tuple[Kind, str], str] = (
    {("adaptation", "head"): "timm-test_resnet", ("defence", "ttc"): TUNED, ("defence", "rtpt"): TUNED}
    | {("tuner", f"supervised{how}"): CLASSIFIER for how in ("", "-at", "-trades")}
    | {("tuner", name): TUNED for name in ("linear-probe", "lora-ce", "tecoa", "vpt")}
)
ATTACKED = "small-cnn"
"""What attacks are tried on: a network of two layers, because some make thousands of passes."""
OWN_TESTS = {
    ("dataset", "torchvision"): "test_published_sets.py, because torchvision refuses small samples",
    **{
        ("corruption", f"{name}-c"): "test_corruptions.py, because they need images of the very run"
        for name in ("cifar", "imagenet")
    },
    ("attacker", "images"): "test_images_attack.py, because it needs images of the very run",
    ("tuner", "wise-ft"): "test_wise_ft.py, because it needs adapters of the very model",
    **{("tuner", each.name): "test_guided_objectives.py; both halves are tried here" for each in RECIPES},
}
QUICK = {"leaf-synth", "clip-tiny", "none", "last-n", "ce", "jpeg", "fgsm", "common", "tensorboard"}
"""Components, one of each kind, whose check is part of the quick tests."""
BUILT_IN = {(kind, name): discover().find(kind, name)[1] for kind in KINDS for name in discover().names(kind)}
PRESETS = {
    at: component.target
    for at, component in BUILT_IN.items()
    if at not in TEXTS and (component.downloads or component.defaults.get("set"))
}
"""Components that need the Hub or files, each of a class that is tried under another name."""
SHIPPED = [
    pytest.param(kind, name, marks=() if name in QUICK else pytest.mark.slow, id=f"{kind}-{name}")
    for kind, name in BUILT_IN
    if (kind, name) not in PRESETS and (kind, name) not in OWN_TESTS
]


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> dict[str, Path | str]:
    """Local folders in the layouts that datasets read, and where loggers write."""
    random = np.random.default_rng(0)
    photographs, cifar10 = tmp_path_factory.mktemp("photographs"), tmp_path_factory.mktemp("cifar10")
    for name in ("healthy", "late_blight", "leaf_mold"):
        (photographs / name).mkdir()
        for index in range(20):
            coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
            coarse.resize((40, 40), Image.Resampling.BICUBIC).save(photographs / name / f"{index}.png")

    def part(n: int) -> tuple[Any, Any]:
        return random.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8), np.arange(n) % 10

    write_parquet(cifar10, {"train": part(200), "test": part(50)})
    published: dict[str, Path | str] = {
        name: tmp_path_factory.mktemp(name)
        for name in ("hub", "webdataset", "stl10", "open_clip", "siglip", "logs", "cifar10_1")
    }
    parts = {
        name: (random.integers(0, 256, (n, 20, 24, 3), dtype=np.uint8), np.arange(n) % 3)
        for name, n in (("train", 60), ("test", 40))
    }
    test_published_sets.write_parquet(Path(published["hub"]), parts)
    for name in ("webdataset", "stl10"):
        test_published_sets.write_tar(Path(published[name]), parts)
    names = "\n".join(facts()["stl10"]["classes"])
    (Path(published["stl10"]) / "classnames.txt").write_text(names)
    save_tiny_open_clip(Path(published["open_clip"]))
    save_tiny_siglip(Path(published["siglip"]))
    write_cifar10_1(Path(published["cifar10_1"]))
    return {"photographs": photographs, "cifar10": cifar10, "mlflow": mlflow_server, **published}


def test_a_preset_is_of_a_class_that_is_tried() -> None:
    tried = {component.target for at, component in BUILT_IN.items() if at not in PRESETS}
    assert set(PRESETS.values()) <= tried


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_component_conforms(kind: Kind, name: str, places: dict[str, Path | str]) -> None:
    """On a stand-in for a GPU, which computes on the CPU and refuses to mix devices; the quick ones also on the CPU."""
    text = TEXTS.get((kind, name), name).format(**places)
    dataset = DATASETS.get((kind, name), "leaf-synth").format(**places)
    usual = {"attacker": ATTACKED, "defence": ATTACKED, "adaptation": TUNED, "objective": TUNED}
    model = MODELS.get((kind, name), usual.get(kind, ""))
    registry = discover([*entry_points(group=GROUP, name="builtin"), entry_point("small", __name__, "small")])
    given: dict[str, Any] = {"dataset": dataset, "model": model.format(**places) or None}
    if computes := kind not in ("dataset", "logger"):
        with stand_in_gpu() as device:
            found = list(examine(registry, kind, text, device=device, **given))
        assert not [each for each in found if not each.kept]
    if name in QUICK or not computes:
        assert_conforms(kind, text, registry=registry, **given)


class SmallCnn(Model):
    """A convolution and a linear layer with random weights, for images of 32 x 32 and ten classes."""

    def build(self, context: RunContext) -> nn.Module:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            layers = [nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)]
        return nn.Sequential(*layers).to(context.device).eval()


@hookimpl
def robench_components() -> list[Component]:
    """The network that attacks are tried on."""
    return [Component(kind="model", name=ATTACKED, target=f"{__name__}:SmallCnn", summary="two layers")]


class Restless(toy.Dots):
    """Draws other images each time, and has one of them in two splits."""

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        data = super().split(name, limit)
        images = np.random.default_rng().integers(0, 256, data.images.shape, dtype=np.uint8)
        images[0] = 7
        return ImageSet(images=images, labels=data.labels)


class Endless(toy.Dots):
    """Never says that it has no more images."""

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        return super().split(name, None if limit is None else min(limit, toy.SIZES[name]))


class Misnamed(toy.Dots):
    """Names one class twice, and has labels of a third."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("dark", "dark")

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        data = super().split(name, limit)
        return ImageSet(images=data.images, labels=data.labels + 1)


class Mirrored(toy.Dots):
    """Reads images of others the wrong way round."""

    def read_image(self, file: Path, size: tuple[int, int]) -> np.ndarray:
        return super().read_image(file, size)[..., ::-1]


class Rubbish(nn.Module):
    """A linear network with a fault of choice."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.line = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        if self.fault == "inputs":
            images.mul_(0.5)
        if self.fault == "modes":
            self.norm.training = not self.norm.training
        if self.fault == "weights":
            self.seen += 1
        if self.fault == "gradients":
            images = (images * 4).round() / 4
        logits = self.line(images.mean(dim=(2, 3)))
        if self.fault == "batches":
            logits = logits - logits.mean(dim=0)
        if self.fault == "determinism":
            logits = logits + torch.randn_like(logits)
        if self.fault == "extremes":
            logits = logits / images.amax(dim=(1, 2, 3))[:, None]
        return logits[:, :1] if self.fault == "logits" else logits


class Faulty(Model):
    fault = ""

    def build(self, context: RunContext) -> nn.Module:
        if self.fault == "works":
            raise RuntimeError("no\nweights")
        if self.fault != "again":
            torch.manual_seed(0)
        network = Rubbish(self.fault)
        if self.fault == "save and load":
            network.extra = np.random.default_rng().uniform()
            network.register_forward_hook(lambda module, inputs, logits: logits * module.extra)
        return network

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        return {"head": nn.Linear(2, 2)} if self.fault == "parts" else {}


class Rude(Attacker):
    """An attack with a fault of choice."""

    fault = ""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        eps = float(self.params.eps)
        if self.fault == "images":
            return images[:, :1]
        if self.fault == "pixels":
            return images * 255
        if self.fault == "budget":
            return (images + 2 * eps).clamp(0, 1)
        if self.fault == "seed":
            return (images + eps * np.random.default_rng().uniform()).clamp(0, 1)
        if self.fault == "batches":
            return images[:7].repeat(7 // len(images), 1, 1, 1)
        if self.fault == "inputs":
            return images.add_(eps).clamp_(0, 1)
        if self.fault == "weights":
            with torch.no_grad():
                next(network.parameters()).add_(1)
        if self.fault == "modes":
            network.train()
        return images


class Queries(AttackParams):
    queries: int = Field(default=3, ge=1)


class Greedy(Attacker):
    """An attack that may only ask, and asks once too often if it has its fault."""

    Params = Queries
    params: Queries
    knowledge = "labels"
    fault = ""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        for _ in range(self.params.queries + bool(self.fault)):
            network(images)
        return images


class Flimsy(Purifier):
    """A defence with a fault of choice."""

    fault = ""

    def purify(self, network: nn.Module, images: Tensor) -> Tensor:
        if self.fault == "inputs":
            images.mul_(0.5)
        if self.fault == "randomness":
            return images + torch.rand(()) / 100
        if self.fault == "another network":
            return images + self.__dict__.setdefault("shift", np.random.default_rng().uniform()) / 100
        if self.fault == "batches":
            return images - images.mean(dim=0) + 0.5
        if self.fault == "gradients":
            return (images * 255).round() / 255
        if self.fault == "modes":
            network.train()
        if self.fault == "weights":
            with torch.no_grad():
                next(network.parameters()).add_(1)
        if self.fault == "works":
            (gradient,) = torch.autograd.grad(network(images.requires_grad_()).sum(), images)
            return images + gradient
        return images

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        logits = super().answer(network, images)
        return logits[:, :1] if self.fault == "logits" else logits


class Lazy(Tuner):
    """A tuner with a fault of choice."""

    fault = ""

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        bias = getattr(network, "bias", None) if self.fault != "without parts" else network.bias
        for weight in network.parameters():
            weight.requires_grad_(weight is bias and self.fault != "parameters")

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        with torch.no_grad():
            if self.fault == "again":
                task.network.bias += np.random.default_rng().uniform()
            elif self.fault == "save and load":
                task.network.gain += 1
                task.network.bias += 1
            elif self.fault == "resumed" and task.checkpoint is not None:
                task.network.bias += 1 if task.checkpoint.load() is None else 2
                task.checkpoint.save({})
            elif self.fault != "learning":
                task.network.bias += 1
        return [{"loss": float("nan") if self.fault == "history" else 1.0}]


class Bent(Constraint):
    """The number of changed values, with a fault of choice."""

    fault = ""
    unit = "values"
    usual = Fraction(5)

    def sizes(self, clean: Tensor, changed: Tensor) -> Tensor:
        if self.fault == "inputs":
            clean.fill_(7)
        found = (clean != changed).flatten(1).sum(dim=1).double()
        if self.fault == "batches":
            return found * len(found)
        return found * 0 if self.fault == "measure" else found

    def inside(self, clean: Tensor, changed: Tensor, radius: Fraction) -> Tensor:
        within = super().inside(clean, changed, radius)
        return torch.ones_like(within) if self.fault == "inside" else within

    def project(self, clean: Tensor, perturbed: Tensor, radius: Fraction) -> Tensor:
        levels = (perturbed.clamp(0, 1) * 255).round().to(clean.dtype).flatten(1)
        many = int(radius) * (2 if self.fault == "ball" else 1)
        first = (levels != clean.flatten(1)).cumsum(dim=1) <= many
        found = torch.where(first, levels, clean.flatten(1)).view_as(clean)
        return 255 - found if self.fault == "projection" else found

    def furthest(self, images: Tensor, direction: Tensor, radius: Fraction) -> Tensor:
        found, many = images.flatten(1).clone(), int(radius) * (3 if self.fault == "noise" else 1)
        found[:, :many] = (direction.flatten(1)[:, :many] > 0).float()
        return found.view_as(images)

    def written(self, radius: Fraction) -> str:
        return "five values" if self.fault == "works" else super().written(radius + (self.fault == "radius"))


def breaking(kind: Kind, base: Any, fault: str, module: Callable[..., str]) -> Registry:
    """Return the toy components and one that has `fault`."""
    made = type("Broken", (base,), {"fault": fault, "__module__": __name__})
    item = Component(kind=kind, name="broken", target="broken_plugin:Broken", summary="broken")
    plugin = module("broken_plugin", Broken=made, robench_components=hookimpl(lambda: [item]))
    return registry_of(entry_point("toy", toy.__name__, "toy-dist"), entry_point("broken", plugin, "broken-dist"))


def broken_rules(registry: Registry, kind: Kind) -> set[str]:
    return {each.rule for each in examine(registry, kind, "broken", dataset="dots", model="linear") if not each.kept}


MODEL_FAULTS = ("logits", "extremes", "determinism", "batches", "gradients", "inputs", "modes", "weights", "again")


@pytest.mark.parametrize(
    ("kind", "base", "fault"),
    [
        *(("model", Faulty, fault) for fault in (*MODEL_FAULTS, "save and load", "parts", "works")),
        *(
            ("attacker", Rude, fault)
            for fault in ("images", "pixels", "budget", "seed", "batches", "inputs", "weights", "modes")
        ),
        ("attacker", Greedy, "queries"),
        *(
            ("defence", Flimsy, fault)
            for fault in (
                *("logits", "inputs", "randomness", "batches", "gradients", "modes", "weights", "another network"),
                "works",
            )
        ),
        *(
            ("constraint", Bent, fault)
            for fault in ("radius", "measure", "ball", "inside", "projection", "noise", "batches", "inputs", "works")
        ),
        *(
            ("tuner", Lazy, fault)
            for fault in ("parameters", "learning", "again", "save and load", "resumed", "without parts")
        ),
    ],
)
def test_each_rule_catches_what_breaks_it(kind: Kind, base: Any, fault: str, module: Callable[..., str]) -> None:
    assert broken_rules(breaking(kind, base, "", module), kind) == set()
    assert fault in broken_rules(breaking(kind, base, fault, module), kind)


class Half(nn.Module):
    """A convolution, then a linear layer; its parts are what a fault makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, 2)
        self.words = nn.Embedding(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(images))
        return logits


class Named(Model):
    """Names parts that are not what their names say."""

    fault = ""

    def build(self, context: RunContext) -> nn.Module:
        torch.manual_seed(0)
        return Half()

    def tokenize(self, network: nn.Module, texts: Sequence[str]) -> Tensor:
        return torch.arange(len(texts))[:, None]

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        assert isinstance(network, Half)
        parts: dict[str, nn.Module] = {"encoder": network.encoder, "head": network.head}
        parts["text"] = Part(lambda tokens: network.words(tokens).mean(1), words=network.words)
        if self.fault == "encoder: logits":
            parts["encoder"] = Part(network.forward, all=network)
        elif self.fault == "encoder: not called":
            parts["encoder"] = nn.ModuleList([network.encoder])
        elif self.fault == "encoder: aside":
            parts["encoder"] = Part(lambda images: network.encoder(images), inner=network.encoder)
        elif self.fault == "encoder: pixels":
            parts["encoder"] = network.encoder[0]
        elif self.fault == "patches: none":
            parts["patches"] = Part(lambda images: images.flatten(2).transpose(1, 2)[:, :0])
        elif self.fault.startswith("attention"):
            parts |= {"attention": Part(self._attention), "patches": Part(lambda images: images.flatten(2).mT)}
        elif self.fault == "patches: constant":
            parts["patches"] = Part(lambda images: torch.ones(len(images), 4, 4))
        elif self.fault == "text: frozen":
            parts["text"] = Part(lambda tokens: network.words(tokens).mean(1).detach(), words=network.words)
        return parts

    def _attention(self, images: Tensor) -> Tensor:
        scores = images.flatten(2).transpose(1, 2) @ images.flatten(2)
        how = {
            "attention: shape": scores.softmax(dim=2),
            "attention: scores": scores[:, None],
            "attention: constant": torch.full_like(scores, 1 / scores.shape[2])[:, None],
            "attention: few": images[:, :1].softmax(dim=3),
        }
        return how.get(self.fault, scores.softmax(dim=2)[:, None])


PART_FAULTS = ("logits", "not called", "aside", "pixels")


@pytest.mark.parametrize(
    "fault",
    [
        *(f"encoder: {how}" for how in PART_FAULTS),
        *(f"patches: {how}" for how in ("none", "constant")),
        *(f"attention: {how}" for how in ("shape", "scores", "constant", "few")),
        "text: frozen",
    ],
)
def test_a_part_that_is_not_what_its_name_says_is_caught(fault: str, module: Callable[..., str]) -> None:
    assert broken_rules(breaking("model", Named, "", module), "model") == set()
    if fault.startswith("attention"):
        assert broken_rules(breaking("model", Named, "attention", module), "model") == set()
    assert broken_rules(breaking("model", Named, fault, module), "model") == {fault.partition(":")[0]}


class Hollow(Objective):
    """Adds a sum over nothing, which is 0 for every batch and has no gradient."""

    fault = ""

    def terms(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        logits = network(adversarial)
        nothing = logits[:, :0].square().sum()
        loss = nn.functional.cross_entropy(logits, labels)
        return {"likely": loss, "nothing": nothing} if self.fault else {"likely": loss}


def test_a_term_that_depends_on_nothing_that_is_trained_is_caught(module: Callable[..., str]) -> None:
    def tried(fault: str) -> list[Finding]:
        registry = breaking("objective", Hollow, fault, module)
        found = examine(registry, "objective", "broken:adversary=sign", dataset="dots", model="linear")
        return [each for each in found if not each.kept]

    assert tried("") == []
    (broken,) = tried("terms")
    assert broken.rule == "terms" and broken.seen.startswith("on two batches: nothing 0 and 0; no gradient")


def test_a_history_that_no_record_can_hold_is_named(module: Callable[..., str]) -> None:
    registry = breaking("tuner", Lazy, "history", module)
    (found,) = [each for each in examine(registry, "tuner", "broken", dataset="dots", model="linear") if not each.kept]
    assert found.rule == "works" and "loss is nan after epoch 1; expected a finite number" in found.seen


class Mute(Attacker):
    """Returns nothing, as one that works in place would."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return None  # type: ignore[return-value]


def test_an_attack_that_returns_no_images_is_told_so(module: Callable[..., str]) -> None:
    registry = breaking("attacker", Mute, "", module)
    (found,) = examine(registry, "attacker", "broken", dataset="dots", model="linear")
    assert found.rule == "images"
    assert found.seen.endswith("Broken.perturb returned None; expected a floating-point tensor of shape (7, 3, 8, 8)")


class Helper(Attacker):
    """Makes dark images darker and light ones lighter, as a network that takes them for each other would like."""

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return images - float(self.params.eps) * (2 * labels - 1)[:, None, None, None]


def test_an_attack_that_helps_is_caught(module: Callable[..., str]) -> None:
    registry = breaking("attacker", Helper, "", module)
    found = examine(registry, "attacker", "broken:eps=32/255", dataset="dots", model="linear:gain=-50")
    assert [(each.rule, each.seen) for each in found if not each.kept] == [
        ("strength", "0 of 7 images are right before the attack, 7 after it")
    ]


@pytest.mark.parametrize(
    ("base", "rules"),
    [
        (Restless, {"train: again", "test: prefix", "disjoint"}),
        (Endless, {"train: too many", "validation: too many", "test: too many"}),
        (Misnamed, {"classes", "train: labels"}),
        (Mirrored, {"files"}),
    ],
)
def test_each_rule_of_datasets_catches_what_breaks_it(base: type[Dataset], rules: set[str], module: Any) -> None:
    assert rules <= broken_rules(breaking("dataset", base, "", module), "dataset")


def test_of_large_splits_a_part_is_compared_and_named(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> tuple[bool, str]:
        found = examine(breaking("dataset", Restless, "", module), "dataset", "broken", dataset="dots")
        return next((each.kept, each.seen) for each in found if each.rule == "disjoint")

    kept, told = seen()
    assert not kept and "of all images are in another split too" in told
    monkeypatch.setattr("robench.conformance.datasets.COMPARED", 4)
    assert "of the first 4 images of each split" in seen()[1] and "a run compares all that it uses" in seen()[1]


def test_the_assertion_names_what_is_broken(module: Callable[..., str]) -> None:
    registry = breaking("attacker", Rude, "budget", module)
    message = r"attacker broken breaks 1 of 9 rules\n  budget: largest change 16/255, of Linf 8/255"
    with pytest.raises(AssertionError, match=message):
        assert_conforms("attacker", "broken", dataset="dots", model="linear", registry=registry)


def test_the_command_says_pass_and_fail(capsys: pytest.CaptureFixture[str], places: dict[str, Path]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "fgsm:eps=4/255", "--model", "resnet20"])
    assert not ended.value.code
    output = capsys.readouterr().out
    assert "attacker fgsm:eps=4/255: keeps all 9 rules" in output
    assert "largest change 4/255, of Linf 4/255 white-box" in output
    with pytest.raises(SystemExit) as ended:
        main(["check", "clip-vit-b32:path=/nowhere"])
    assert ended.value.code == 1
    assert "FAIL  works" in capsys.readouterr().out
    for wrong, told in (("fgsn", "did you mean 'fgsm'?"), ("fgsm:eps=x", "eps=x"), ("fgsm:epz=1", "epz")):
        with pytest.raises(SystemExit) as ended:
            main(["check", wrong])
        assert ended.value.code == 2 and told in capsys.readouterr().err
