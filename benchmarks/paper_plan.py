"""What a table of ImageNet's size costs, and what sharing saves: python benchmarks/paper_plan.py

The table has 50 models x 20 tuners x 15 attacks x 10 datasets. Work is counted: the floating-point operations of the
real architectures, traced without weights or values, times images, times passes. Hours are these divided by a sustained
rate, the only assumption. ``--measure`` uses the seconds of this machine's device instead. ``--suite NAME`` counts one
method of a suite of robench instead of the table.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import timm
import torch
from robench.attack.perturbation import perturb_set
from robench.bench.clips import clips
from robench.bench.setting import Setting
from robench.bench.timing import OURS, in_turns
from robench.bench.training import Images, fitting
from robench.bench.vit_b32 import configuration
from robench.compute.device import resolve_device
from robench.compute.precision import ieee
from robench.compute.software import device_name
from robench.contracts.model import Model
from robench.errors import SpecError
from robench.images.image_set import ImageSet
from robench.networks.evaluate import predict
from robench.registry.registry import discover
from robench.registry.resolved import ResolvedAttack
from robench.suite.definition import Suite, SuiteSet
from robench.suite.shelf import find_suite
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPModel

from robench_plugins.datasets.catalogue import facts

PIXELS = 224
BYTES = 3 * PIXELS**2
"""Bytes of an image in the cache, 8 bits a value."""
TARGETS = 9
"""Target classes that an attack tries for each image."""
PARTS = {
    "apgd-t": TARGETS,
    "autoattack": 1 + 2 * TARGETS,  # APGD-CE, APGD-T and FAB-T
    "autoattack-ce-t": 1 + TARGETS,
    "autoattack-ce-dlr": 2,
}
"""Attacks that take their steps several times."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of the table."""

    models: int = 50
    tuners: int = 20
    datasets: int = 10
    transfer: int = 9
    white_box: int = 6
    train: int = 1_281_167
    test: int = 50_000
    attacked: int = 5_000
    steps: int = 10

    @property
    def networks(self) -> int:
        """The number of tuned networks, each of one model, tuner and dataset."""
        return self.models * self.tuners * self.datasets


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What one image costs, in 1e9 operations or in seconds.

    Attributes:
        forward: The evaluation of a target.
        gradient: A step of an attack on a target.
        tuning: A training step of adapters in every block of a target.
        surrogate: A step of an attack on a surrogate.
    """

    forward: float
    gradient: float
    tuning: float
    surrogate: float


class Embedding(nn.Module):
    """CLIP's image tower. The text tower is only computed once, so it is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.clip = CLIPModel(configuration())

    def forward(self, images: Tensor) -> Tensor:
        """Return image features."""
        features: Tensor = self.clip.get_image_features(pixel_values=images).pooler_output
        return features


def operations(network: nn.Module) -> tuple[float, float]:
    """Return the floating-point operations of a forward pass and of an input gradient for an image, in 1e9."""
    network.eval().requires_grad_(False)
    counts = []
    for gradient in (False, True):
        with FlopCounterMode(display=False) as counter:
            images = torch.rand(1, 3, PIXELS, PIXELS, device="meta").requires_grad_(gradient)
            output = network(images * 1)
            if gradient:
                torch.autograd.grad(output.sum(), images)
        counts.append(counter.get_total_flops() / 1e9)
    return counts[0], counts[1]


def counted() -> Unit:
    """Return the operations of each, in 1e9.

    A training image takes one forward and one backward pass. Adapters in every block need the whole backward pass, like
    the gradient of an image.
    """
    with torch.device("meta"):
        forward, gradient = operations(Embedding())
        surrogate = operations(timm.create_model("resnet50"))[1]
    return Unit(forward=forward, gradient=gradient, tuning=gradient, surrogate=surrogate)


@ieee()
def measured(device: torch.device, n: int, side: int = PIXELS, typed: str = "", surrogate: str = "resnet50") -> Unit:
    """Return the seconds of each on `device`, by robench's own loops in float32, for `n` images together.

    Args:
        side: The side of the images for the surrogate, in pixels.
        typed: A model as typed, instead of a ViT-B/32 with random weights.
        surrogate: A model of timm.
    """
    random = np.random.default_rng(0)
    large = random.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    attack = discover().resolve_attack("pgd:steps=2")

    def seconds(work: Callable[[], object]) -> float:
        return median(in_turns({OURS: lambda: work}, 3, device)[OURS].seconds) / n

    def step(network: nn.Module, data: ImageSet) -> float:
        given = attack.build(), network, data
        return seconds(lambda: perturb_set(*given, threat=attack.threat(), device=device, seed=0)) / 2

    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(registry=discover(), device=device, folder=Path(folder))
        model: Model = setting.registry.resolve("model", typed or clips(setting)["ViT-B/32"]).build()
        network = model.build(setting.context).to(device).eval()
        data = setting.context.dataset.split("train", n)
        images = Images(clean=data, adversarial=data.images, batch=n)
        forward = seconds(lambda: predict(network, data.images, n_classes=10, device=device))
        gradient = step(network, data)
        tuning = seconds(fitting(setting, "tecoa", model, network, images))
    attacked = timm.create_model(surrogate, num_classes=10).to(device).to(memory_format=torch.channels_last)
    made = step(attacked, ImageSet(images=large, labels=random.integers(0, 10, n)))
    return Unit(forward=forward, gradient=gradient, tuning=tuning, surrogate=made)


def costs(plan: Plan, unit: Unit) -> list[tuple[str, float, float]]:
    """Return the cost of each part of the work in the units of `unit`: shared as in robench, and not shared."""
    networks, attacks = plan.networks, plan.transfer + plan.white_box
    made = plan.steps * unit.surrogate
    tuning = networks * plan.train * unit.tuning
    train_sets = plan.datasets * plan.train * made
    test_sets = plan.datasets * plan.transfer * plan.attacked * made
    per_dataset = plan.models * plan.tuners
    return [
        ("tuning, one epoch", tuning, tuning),
        ("training images on the surrogate", train_sets, train_sets * per_dataset),
        ("test images on surrogates", test_sets, test_sets * per_dataset),
        ("white-box attacks", *2 * (networks * plan.white_box * plan.attacked * plan.steps * unit.gradient,)),
        ("evaluation", *2 * (networks * (plan.test + attacks * plan.attacked) * unit.forward,)),
    ]


def passes(attack: ResolvedAttack) -> tuple[int, int]:
    """Return how many gradients and how many queries an image costs at most: if nothing breaks it."""
    params = attack.params.model_dump()
    steps = params.get("steps", 1) * params.get("restarts", 1)
    return steps * PARTS.get(attack.name, 1), params["queries"] if attack.name == "autoattack" else 0


def suite_costs(suite: Suite, tuner: str, unit: Unit) -> list[tuple[str, int, str, float]]:
    """Return what one method costs on a suite: part, images, passes an image at most, cost in the units of `unit`.

    Of a tuner one pass over the attacked images is counted, back to the weights as well where all are trained.

    Raises:
        SpecError: The suite has a data set of unknown size, or trains on few images of each class.
    """
    registry, known = discover(), {"cifar10": {"train": 50_000, "test": 10_000}, **facts()}
    sets = [each.dataset.partition(":")[0] for each in suite.datasets]
    if unknown := [name for name in [*sets, suite.train] if name not in known]:
        raise SpecError(
            f"--suite {suite.full_name}: the size of {unknown[0]!r} is not known; expected a suite that trains on one "
            "published set, such as tecoa-16@1 or robustvlm-13@1"
        )

    def scored(each: SuiteSet, attack: ResolvedAttack | None = None) -> int:
        available = known[each.dataset.partition(":")[0]]["test"]
        limits = [limit for limit in (suite.scored(each), attack and attack.n) if isinstance(limit, int)]
        return min([available, *limits])

    found = []
    if tuner != "none":
        params: Any = registry.resolve("tuner", tuner).params
        images = suite.train_size if isinstance(suite.train_size, int) else known[suite.train]["train"]
        steps = params.steps or passes(registry.resolve_attack(params.adversary))[0]
        # The gradients of all weights cost as much as those of the images.
        whole = str(registry.find("tuner", tuner.partition(":")[0])[1].target).startswith("full+")
        step = unit.tuning + (unit.gradient - unit.forward if whole else 0)
        cost = params.epochs * images * (steps * unit.gradient + step)
        found.append((f"tuning by `{tuner}`", images, f"{params.epochs} x ({steps} gradients + 1 step)", cost))
    clean = sum(map(scored, suite.datasets))
    found.append(("clean images", clean, "1 forward", clean * unit.forward))
    for each in suite.attacks:
        attack = registry.resolve_attack(each.attack)
        n, (gradients, forwards) = sum(scored(entry, attack) for entry in suite.datasets), passes(attack)
        told = f"{gradients:,} gradients, {forwards + 1:,} forward"
        found.append((each.name, n, told, n * (gradients * unit.gradient + (forwards + 1) * unit.forward)))
    return found


def suite_table(suite: Suite, tuner: str, unit: Unit, rate: float, devices: Sequence[int]) -> str:
    """Return the hours of each part, and of all, on each number of devices."""
    parts = suite_costs(suite, tuner, unit)
    rows = [
        (name, f"{images:,}" if images else "", told, *(f"{cost / rate / count:,.1f}" for count in devices))
        for name, images, told, cost in [*parts, ("all", 0, "", sum(part[-1] for part in parts))]
    ]
    columns = (
        "",
        "images",
        "passes an image, at most",
        *(f"hours on {count} device{'s' * (count > 1)}" for count in devices),
    )
    return tabulate(rows, columns, "github", colalign=("left", *["right"] * (len(columns) - 1)), disable_numparse=True)


def sustained(unit: Unit, operations: Unit) -> str:
    """Return a table of the seconds in `unit`, and of the operations a second that these are."""
    names = {
        "forward": "ViT-B/32 evaluated",
        "gradient": "ViT-B/32 attacked, a step",
        "tuning": "ViT-B/32 with LoRA trained",
        "surrogate": "ResNet-50 attacked, a step",
    }
    rows = [
        (text, f"{1e3 * getattr(unit, name):,.1f}", f"{getattr(operations, name) / getattr(unit, name) / 1e3:,.2f}")
        for name, text in names.items()
    ]
    headings = ("", "ms an image", "TFLOP/s")
    return tabulate(rows, headings, "github", colalign=("left", "right", "right"), disable_numparse=True)


def main() -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, default=10, help="1e12 operations a second that a GPU sustains")
    parser.add_argument("--train-size", type=int, default=Plan.train, help="training images a network")
    parser.add_argument("--measure", action="store_true", help="take the seconds that --device needs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--batch", type=int, default=32, help="images measured together")
    parser.add_argument("--suite", help="count one method of a suite, such as tecoa-16@1")
    parser.add_argument("--tuner", default="tecoa-paper", help="that method, as typed")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8], help="numbers of devices to divide by")
    given = parser.parse_args()
    plan, unit = Plan(train=given.train_size), counted()
    size = f"{plan.networks:,} tuned networks, {plan.train:,} training images each"
    suite = None
    if given.suite:
        try:
            suite = find_suite(discover(), given.suite).suite
        except SpecError as error:
            parser.error(str(error))
        size = f"{suite.full_name}, one method on CLIP ViT-B/32"
    if given.measure:
        try:
            device = resolve_device(given.device)
        except SpecError as error:
            parser.error(str(error))
        print(f"{size}; {device_name(device)}, {torch.get_num_threads()} threads.\n")
        taken = measured(device, given.batch)
        print(sustained(taken, unit), end="\n\n")
        unit, rate = taken, 3600.0
    else:
        print(f"{size}, {given.tflops:g} TFLOP/s sustained.")
        other = "" if suite is not None else f"; ResNet-50: {unit.surrogate:.1f} a gradient"
        print(f"ViT-B/32: {unit.forward:.1f} GFLOP forward, {unit.gradient:.1f} a gradient{other}.\n")
        rate = given.tflops * 3.6e6
    if suite is not None:
        try:
            print(suite_table(suite, given.tuner, unit, rate, given.gpus))
        except SpecError as error:
            parser.error(str(error))
        return
    hours = [(name, shared / rate, apart / rate) for name, shared, apart in costs(plan, unit)]
    hours.append(("all", *(sum(column) for column in list(zip(*hours, strict=True))[1:])))
    rows = [(name, f"{shared:,.0f}", f"{apart:,.0f}") for name, shared, apart in hours]
    headings = ("hours" if given.measure else "GPU hours", "shared", "nothing shared")
    print(tabulate(rows, headings, "github", colalign=("left", "right", "right")))
    test = plan.datasets * plan.transfer * plan.attacked * BYTES
    train = plan.datasets * plan.train * BYTES
    print(f"\nCache: {test / 1e9:,.0f} GB of test images, {train / 1e12:,.2f} TB of training images.")


if __name__ == "__main__":
    main()
