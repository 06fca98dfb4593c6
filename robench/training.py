"""The training loop of every tuner that is an adaptation times an objective."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, create_model, model_validator
from torch import Tensor, nn

from robench.adapters import adapter_state, load_adapter
from robench.data import to_pixels
from robench.errors import PluginError
from robench.interfaces import Progress
from robench.params import Params, Pixels
from robench.tuning import Adaptation, Objective, Tuner, TuningTask


class TrainingParams(Params):
    """How any product of adaptation and objective is trained; the defaults are the study's."""

    lr: float = Field(default=1e-4, gt=0, description="learning rate, at its highest")
    epochs: int = Field(default=1, ge=1, description="passes over the training images")
    batch_size: int = Field(default=64, ge=1, description="images a batch")
    accumulate: int = Field(default=1, ge=1, description="batches whose gradients make one optimiser step")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="adamw, adam or sgd")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float | None = Field(default=None, ge=0, description="0.01 with adamw, else 0, if not given")
    schedule: Literal["constant", "cosine"] = Field(default="constant", description="constant, or cosine down to 0")
    warmup: float = Field(default=0.0, ge=0, lt=1, description="share of the steps in which lr rises from 0")
    clip_norm: float | None = Field(default=None, gt=0, description="largest norm of a step's gradient")
    adversary: str = Field(
        default="pgd-resnet20",
        description="attack that makes the training images: on a surrogate, white-box for PGD on the fly, or none",
    )
    eps: Pixels = Field(default=Fraction(8, 255), description="the adversary's radius, in [0, 1] pixel units")
    steps: int | None = Field(
        default=None, ge=1, description="the adversary's gradient steps; the attack's own default if not given"
    )
    validate_on: int = Field(default=0, ge=0, description="validation images scored after each epoch")
    keep: Literal["last", "best"] = Field(
        default="last",
        description="weights kept: those of the last epoch, or of the one most accurate on the validation images, "
        "adversarial ones if there is an adversary",
    )

    @model_validator(mode="after")
    def _best_needs_images(self) -> Self:
        if self.keep == "best" and not self.validate_on:
            raise ValueError("keep=best needs validation images to judge by, such as validate_on=500")
        return self

    def attack(self) -> str | None:
        """Return the adversary as an attack name with its parameters; None for none."""
        if self.adversary == "none":
            return None
        name = "pgd" if self.adversary == "white-box" else self.adversary
        steps = "" if self.steps is None else f",steps={self.steps}"
        return f"{name}{',' if ':' in name else ':'}eps={self.eps}{steps}"


class Product(Tuner):
    """What may change times what is optimised: the tuner behind every ``adaptation+objective``."""

    Params: ClassVar[type[Params]] = TrainingParams
    params: TrainingParams
    adaptation: ClassVar[type[Adaptation]]
    objective: ClassVar[type[Objective]]

    def __init__(self, params: TrainingParams | None = None) -> None:
        super().__init__(params)
        self._adaptation = self.adaptation(self.params)
        self._objective = self.objective(self.params)

    def adversary(self) -> str | None:
        """Return the attack that makes the training images."""
        return self.params.attack()

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Let the objective see the network as it came, then adapt it.

        Raises:
            PluginError: One of the two does not fit it.
        """
        self._objective.prepare(network)
        self._adaptation.adapt(network, parts)

    def fit(self, task: TuningTask) -> list[dict[str, float]]:
        """Train what may change."""
        return _Training(task, self.params, self._adaptation, self._objective).run()

    def settle(self, network: nn.Module) -> None:
        """Fold what was learned into the weights, so that attacks need not pass through an adapter."""
        self._adaptation.merge(network)


@cache
def product(name: str, adaptation: type[Adaptation], objective: type[Objective]) -> type[Product]:
    """Make the tuner `name` of its halves; its parameters are those of both and of training.

    Raises:
        PluginError: Two of them call a parameter alike.
    """
    owners: dict[str, type[Params]] = {
        "adaptation": adaptation.Params,
        "objective": objective.Params,
        "training": TrainingParams,
    }
    seen: dict[str, str] = {}
    for owner, params in owners.items():
        for key in params.model_fields:
            if key in seen:
                raise PluginError(f"tuner {name!r}: its {seen[key]} and its {owner} both have a parameter {key!r}")
            seen[key] = owner
    bases = tuple(params for params in owners.values() if params is not Params)
    merged: type[Params] = create_model(f"{name} parameters", __base__=bases)
    documentation = "\n\n".join(
        f"{role}: {inspect.getdoc(half)}" for role, half in (("What changes", adaptation), ("Objective", objective))
    )
    members = {"Params": merged, "adaptation": adaptation, "objective": objective, "__doc__": documentation}
    return type(name, (Product,), members)


class _Training:
    """One fit. On CUDA the loss is computed under bfloat16 autocast where the device has it; attacks never are."""

    def __init__(self, task: TuningTask, params: TrainingParams, adaptation: Adaptation, objective: Objective) -> None:
        self.task, self.params, self.adaptation, self.objective = task, params, adaptation, objective
        self.network, self.device = task.network, task.context.device
        self.trainable = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.images_a_step = params.batch_size * params.accumulate
        self.n_steps = params.epochs * math.ceil(len(task.train) / self.images_a_step)
        self.optimizer = make_optimizer(params, self.trainable)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: lr_factor(step, self.n_steps, warmup=params.warmup, schedule=params.schedule)
        )
        self.autocast = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.step = self.done = 0

    def run(self) -> list[dict[str, float]]:
        """Train for all epochs and return the history.

        Raises:
            PluginError: The loss is NaN or infinite.
        """
        self._report()
        self.adaptation.begin(self.network, self.n_steps)
        history: list[dict[str, float]] = []
        best: tuple[float, dict[str, Tensor]] | None = None
        for epoch in range(1, self.params.epochs + 1):
            loss = self._epoch()
            if not math.isfinite(loss):
                raise PluginError(f"the training loss became {loss} in epoch {epoch}; lower --lr")
            self.network.eval()
            scores = self.task.validate(self.params.validate_on) if self.params.validate_on else {}
            history.append({"epoch": epoch, "loss": loss, **scores})
            if self.params.keep == "best":
                score = scores.get("validation_adversarial", scores["validation_clean"])
                if best is None or score > best[0]:
                    best = score, adapter_state(self.network)
        if best is not None:
            load_adapter(self.network, best[1])
        return history

    def _epoch(self) -> float:
        """Pass once over the training images in random order and return the mean loss an image."""
        self.network.train()
        order = torch.randperm(len(self.task.train)).numpy()
        total = torch.zeros((), device=self.device)
        for start in range(0, len(order), self.images_a_step):
            total += self._step(order[start : start + self.images_a_step])
        return float(total) / len(order)

    def _step(self, order: np.ndarray) -> Tensor:
        """Take one optimiser step on the images of `order` and return the sum of their losses."""
        params = self.params
        total = torch.zeros((), device=self.device)
        for start in range(0, len(order), params.batch_size):
            indices = np.sort(order[start : start + params.batch_size])
            loss = self._loss(indices)
            # Weighed by images, so that accumulated batches act as one batch of their joint size.
            (loss * (len(indices) / len(order))).backward()
            total += loss.detach() * len(indices)
            self.done += len(indices)
            # Reading the loss waits for the device, so only every tenth step shows it.
            self._report(f"loss {loss.item():.3f}" if self.step % 10 == 0 else "")
        if params.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trainable, params.clip_norm)
        self.optimizer.step()
        self.adaptation.after_step(self.network, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        self.step += 1
        return total

    def _loss(self, indices: np.ndarray) -> Tensor:
        task = self.task
        clean = to_pixels(task.train.images[indices], self.device)
        labels = torch.from_numpy(task.train.labels[indices]).to(self.device)
        adversarial = clean
        if task.adversary is not None:
            score = self.objective.score(self.network, clean, labels) if task.white_box else None
            adversarial = task.adversary(indices, clean, labels, score)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            loss = self.objective.loss(self.network, clean, adversarial, labels)
        loss = loss + self.adaptation.penalty(self.network)
        if not loss.requires_grad:
            raise PluginError("the objective depends on nothing that the adaptation trains, so nothing can be learned")
        return loss

    def _report(self, detail: str = "") -> None:
        total = self.params.epochs * len(self.task.train)
        self.task.context.report(Progress(stage="tuning", done=self.done, total=total, detail=detail))


def make_optimizer(params: TrainingParams, trainable: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that `params` asks for."""
    decay = params.weight_decay if params.weight_decay is not None else 0.01 * (params.optimizer == "adamw")
    if params.optimizer == "sgd":
        return torch.optim.SGD(trainable, lr=params.lr, momentum=params.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if params.optimizer == "adamw" else torch.optim.Adam
    return kind(trainable, lr=params.lr, weight_decay=decay)


def lr_factor(step: int, n_steps: int, *, warmup: float, schedule: str) -> float:
    """Return what the learning rate is multiplied by in `step`, counted from 0.

    It rises linearly over the first ``warmup * n_steps`` steps; then it stays, or falls along half a cosine that
    reaches 0 after the last step (Loshchilov and Hutter, SGDR, ICLR 2017, eq. 5, without restarts).
    """
    rising = round(warmup * n_steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - rising) / max(1, n_steps - rising))) / 2
