"""The training loop of every tuner that is an adaptation times an objective."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import create_model
from torch import Tensor, nn

from robench.adapters import adapter_state, load_adapter
from robench.augmentation import augment
from robench.batches import Drawn, batches, draw
from robench.data import to_pixels
from robench.errors import PluginError
from robench.interfaces import Progress
from robench.params import Params
from robench.training_params import TrainingParams
from robench.tuning import Adaptation, Objective, Tuner, TuningTask
from robench.watch import Watch

FUSED_FROM = 4_000_000
"""Trainable parameters from which on Adam's step is fused."""


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

    def drawn(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many images of each class an epoch draws."""
        balance = self.params.balance
        return tuple(balance if count else 0 for count in counts) if balance else counts

    def augmented(self, images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8] | None:
        """Return `images` under the recipe of ``augment``."""
        if self.params.augment == "none":
            return None
        return augment(images, seed + np.arange(len(images)), self.params.augment)

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
        counts = np.bincount(task.train.labels)
        drawn = params.balance * int((counts > 0).sum()) if params.balance else len(task.train)
        self.total = params.epochs * drawn
        self.n_steps = params.epochs * math.ceil(drawn / self.images_a_step)
        self.watch = Watch(params.monitor)
        self.optimizer = make_optimizer(params, self.trainable)
        self.autocast = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.step = self.done = 0

    def run(self) -> list[dict[str, float]]:
        """Train, for all epochs or until they stop getting better, and return the history.

        Raises:
            PluginError: A loss is NaN or infinite.
        """
        params = self.params
        self._report()
        self.adaptation.begin(self.network, self.n_steps)
        history: list[dict[str, float]] = []
        best: dict[str, Tensor] | None = None
        for epoch in range(1, params.epochs + 1):
            rate = self._rate()
            loss = self._epoch(epoch)
            if not math.isfinite(loss):
                raise PluginError(f"the training loss became {loss} in epoch {epoch}; lower --lr")
            self.network.eval()
            scores = self.task.validate(params.validate_on) if params.validate_on else {}
            history.append({"epoch": epoch, "loss": loss, "lr": rate, **scores})
            if not scores:
                continue
            if self.watch.see(scores) and params.keep == "best":
                best = adapter_state(self.network)
            if params.schedule == "plateau":
                self.watch.lower(params.lr)
            if 0 < params.patience <= self.watch.epochs_since_best:
                break
        if best is not None:
            load_adapter(self.network, best)
        if self.done < self.total:  # it stopped early
            self.done = self.total
            self._report()
        return history

    def _rate(self) -> float:
        """Return the learning rate of the step to come."""
        params = self.params
        factor = lr_factor(self.step, self.n_steps, warmup=params.warmup, schedule=params.schedule)
        return params.lr * self.watch.factor * factor

    def _epoch(self, epoch: int) -> float:
        """Pass once over the training images in random order and return the mean loss an image."""
        self.network.train()
        params, train = self.params, self.task.train
        order = draw(train.labels, params.balance)
        seed = self.task.context.stream(f"augmentation, epoch {epoch}")
        drawn = batches(train, order, params.batch_size, params.augment, seed, self.device)
        total = torch.zeros((), device=self.device)
        for start in range(0, len(order), self.images_a_step):
            n = min(self.images_a_step, len(order) - start)
            total += self._step(islice(drawn, params.accumulate), n)
        return float(total) / len(order)

    def _step(self, drawn: Iterable[Drawn], n: int) -> Tensor:
        """Take one optimiser step on `n` images and return the sum of their losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        total = torch.zeros((), device=self.device)
        for indices, images in drawn:
            loss = self._loss(indices, images)
            # Weighed by images, so that accumulated batches act as one batch of their joint size.
            (loss * (len(indices) / n)).backward()
            total += loss.detach() * len(indices)
            self.done += len(indices)
            # Reading the loss waits for the device, so only every tenth step shows it.
            self._report(f"loss {loss.item():.3f}" if self.step % 10 == 0 else "")
        if self.params.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.params.clip_norm)
        self.optimizer.step()
        self.adaptation.after_step(self.network, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return total

    def _loss(self, indices: NDArray[np.int64], images: NDArray[np.uint8]) -> Tensor:
        task = self.task
        clean = to_pixels(images, self.device)
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
        self.task.context.report(Progress(stage="tuning", done=self.done, total=self.total, detail=detail))


def make_optimizer(params: TrainingParams, trainable: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser that `params` asks for."""
    decay = params.weight_decay if params.weight_decay is not None else 0.01 * (params.optimizer == "adamw")
    if params.optimizer == "sgd":
        return torch.optim.SGD(trainable, lr=params.lr, momentum=params.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if params.optimizer == "adamw" else torch.optim.Adam
    # One pass over millions of weights instead of ten halves the time of a step; an adapter would not notice.
    fused = sum(weight.numel() for weight in trainable) >= FUSED_FROM
    return kind(trainable, lr=params.lr, weight_decay=decay, fused=fused or None)


def lr_factor(step: int, n_steps: int, *, warmup: float, schedule: str) -> float:
    """Return what the learning rate is multiplied by in `step`, counted from 0.

    It rises linearly over the first ``warmup * n_steps`` steps; then it stays, or falls along half a cosine that
    reaches 0 after the last step (Loshchilov and Hutter, SGDR, ICLR 2017, eq. 5, without restarts).
    """
    rising = round(warmup * n_steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule != "cosine":
        return 1.0
    return (1 + math.cos(math.pi * (step - rising) / max(1, n_steps - rising))) / 2
