"""Training steps per second: adaptations and objectives of robench against a bare loop with the same weights.

Both sides get the same bytes, clean and attacked beforehand, in the same order, and the same random streams. Equal
losses show that they did the same work. Neither side computes gradients below the first trained layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.attack.perturbation import seeded
from robench.bench.clips import as_rivals_have_it, clips
from robench.bench.report import Row, compared
from robench.bench.rivals import adapters, training_loop
from robench.bench.setting import Setting
from robench.bench.timing import Prepare, in_turns
from robench.contracts.model import Model
from robench.contracts.setting import TuningSetting
from robench.contracts.tuning import Tuner, TuningTask
from robench.images.image_set import ImageSet, to_pixels

if TYPE_CHECKING:
    from robench.contracts.tuning import Score

LEAST = 0.97
LR = 1e-4
ALIKE = 1e-3
"""How far losses may differ, relative to the rival's."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison: a tuner as typed, the name of its rival, and how that adapts the model."""

    tuner: str
    rival: str
    adapt: Callable[[Any], list[nn.Parameter]]
    clean_weight: float = 0


CASES = (
    Case(tuner="lora+ce:clean_weight=0.5", rival="bare peft loop", adapt=adapters.lora, clean_weight=0.5),
    Case(tuner="lora+tecoa", rival="bare peft loop", adapt=adapters.lora),
    Case(tuner="lora+tecoa:n=2", rival="bare peft loop", adapt=lambda model: adapters.lora(model, n=2)),
    Case(tuner="vpt+tecoa", rival="bare loop, prompts by hand", adapt=adapters.vpt),
    Case(
        tuner="vpt-deep+tecoa", rival="bare loop, prompts by hand", adapt=lambda model: adapters.vpt(model, deep=True)
    ),
    Case(tuner="last-n+tecoa:n=2", rival="bare loop", adapt=lambda model: adapters.last_blocks(model, n=2)),
)

WHOLE = Case(tuner="full+tecoa", rival="bare loop", adapt=adapters.whole_tower)
"""The whole tower: measured on a GPU, because a step on ViT-B/32 takes a CPU half a minute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """The training images, clean and attacked beforehand, and the batch size."""

    clean: ImageSet
    adversarial: NDArray[np.uint8]
    batch: int


def measure(setting: Setting) -> Iterator[Row]:
    """Compare each case on each CLIP."""
    for name, typed in clips(setting).items():
        model: Model = setting.registry.resolve("model", typed).build()
        network = model.build(setting.context).to(setting.device)
        images = _images(setting, as_rivals_have_it(network).image_size)
        more = (WHOLE,) if setting.device.type == "cuda" else ()
        for case in CASES[1:4] if setting.quick else (*CASES, *more):
            yield _compare(setting, case, name, model, network, images)


def _compare(setting: Setting, case: Case, name: str, model: Model, network: nn.Module, images: Images) -> Row:
    sides: dict[str, Prepare] = {
        "robench": lambda: fitting(setting, case.tuner, model, network, images),
        case.rival: lambda: _theirs(setting, case, network, images),
    }
    ours, theirs = in_turns(sides, setting.repeats, setting.device).values()
    return compared(
        ours.seconds,
        theirs.seconds,
        amount=-(-len(images.clean) // images.batch),
        least=LEAST,
        item="training",
        case=f"{case.tuner} on {name}, batches of {images.batch}",
        unit="steps/s",
        rival=case.rival,
        check=f"loss {ours.result:.4f} and {theirs.result:.4f}",
        same=abs(ours.result - theirs.result) <= ALIKE * abs(theirs.result),
    )


def _images(setting: Setting, image_size: int) -> Images:
    # Small networks take the study's batch size; a ViT-B/32 on a CPU takes seconds per image.
    large = image_size > 64 and setting.device.type != "cuda"
    batch, steps = (8, 2) if setting.quick else (16, 2) if large else (64, 8)
    clean = setting.context.dataset.split("train", batch * steps)
    # The attack does not matter for speed: random corners of the ball stand for its images.
    corners = np.random.default_rng(0).choice(np.array([-8, 8]), size=clean.images.shape)
    adversarial = np.clip(clean.images.astype(np.int64) + corners, 0, 255).astype(np.uint8)
    return Images(clean=clean, adversarial=adversarial, batch=batch)


def fitting(setting: Setting, name: str, model: Model, base: nn.Module, given: Images) -> Callable[[], float]:
    """Return a function that trains a copy of `base` by the tuner `name` for an epoch, and returns its loss."""
    context, network = setting.context, copy.deepcopy(base)
    settings = {"lr": LR, "epochs": 1, "batch_size": given.batch}
    tuner: Tuner = setting.registry.resolve("tuner", name, settings).build()
    with seeded(context.stream("adapt"), context.device):
        parts = model.adaptable(network)
        tuner.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
        tuner.adapt(network, parts)

    def adversary(indices: NDArray[np.int64], images: Tensor, labels: Tensor, score: Score | None = None) -> Tensor:
        return to_pixels(given.adversarial[indices], context.device)

    task = TuningTask(network=network, train=given.clean, adversary=adversary, context=context)

    def work() -> float:
        with seeded(context.stream("tuning"), context.device):
            return tuner.fit(task)[-1]["loss"]

    return work


def _theirs(setting: Setting, case: Case, base: nn.Module, images: Images) -> Callable[[], float]:
    context = setting.context
    clip = as_rivals_have_it(base)
    with seeded(context.stream("adapt"), context.device):
        weights = case.adapt(clip.model)
    training = training_loop.Training(
        clean=torch.from_numpy(images.clean.images),
        adversarial=torch.from_numpy(images.adversarial),
        labels=torch.from_numpy(images.clean.labels),
        clean_weight=case.clean_weight,
        lr=LR,
        epochs=1,
        batch=images.batch,
        seed=context.stream("tuning"),
    )

    def work() -> float:
        with seeded(0, context.device):
            return training_loop.train(clip.model, clip, weights, training)

    return work
