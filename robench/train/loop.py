"""The training loop of every tuner that is an adaptation times an objective."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from robench.compute.precision import computing
from robench.contracts.context import Progress
from robench.contracts.tuning import Adaptation, Objective, TuningTask
from robench.errors import PluginError
from robench.images.image_set import to_device, to_pixels
from robench.networks.memory import halve, out_of_memory
from robench.storage.checkpoint import random_state, set_random_state
from robench.train.adapters import adapter_state, changing, load_adapter
from robench.train.early_stopping import EpochMonitor
from robench.train.optimizer import lr_factor, make_optimizer
from robench.train.params import TrainingParams
from robench.train.sampler import Drawn, batches, draw

CARRIED = ("history", "best", "step", "done", "position", "loss", "lr", "shuffle", "most")
"""What a training remembers from step to step besides weights, optimiser and random streams."""


class Training:
    """One fit. Nothing in a step waits for the device; the loss is computed in the precision of the run's tuning.

    The processes that share a run take parts of each batch, and all the same step. Where a batch cannot be cut, because
    the objective or a batch norm looks at all of it, the main process takes it whole.
    """

    def __init__(self, task: TuningTask, params: TrainingParams, adaptation: Adaptation, objective: Objective) -> None:
        self.task, self.params, self.adaptation, self.objective = task, params, adaptation, objective
        self.network, self.device, self.world = task.network, task.context.device, task.context.world
        self.trainable = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.images_a_step = params.batch_size * params.accumulate
        counts = np.bincount(task.train.labels)
        self.drawn = params.balance * int((counts > 0).sum()) if params.balance else len(task.train)
        self.total = params.epochs * self.drawn
        self.n_steps = params.epochs * math.ceil(self.drawn / self.images_a_step)
        self.watch = EpochMonitor(params.monitor)
        self.optimizer = make_optimizer(params, self.trainable)
        self.shown: Shown | None = None
        self.most = params.batch_size
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.step = self.done = 0
        self.position, self.loss, self.lr = 0, torch.zeros((), device=self.device), params.lr
        self.shuffle = random_state(self.device)
        self.uncut = objective.whole_batch or has_batch_norm(self.network)

    def run(self) -> list[dict[str, float]]:
        """Train, for all epochs or until they stop getting better, and return the history.

        Raises:
            PluginError: A loss is NaN or infinite.
        """
        params = self.params
        self.adaptation.begin(self.network, self.n_steps)
        checkpoint = self.task.checkpoint if self.world.is_main else None
        state = self.world.from_main(checkpoint.load() if checkpoint else None)
        if state is not None:
            self._resume(state)
        self._report()
        while len(self.history) < params.epochs and not 0 < params.patience <= self.watch.epochs_since_best:
            self._epoch()
            if checkpoint:
                checkpoint.save(self._state())
        if self.best is not None:
            load_adapter(self.network, self.best)
        if self.done < self.total:  # it stopped early
            self.done = self.total
            self._report()
        return self.history

    def _rate(self) -> float:
        """Return the learning rate of the step to come."""
        params = self.params
        factor = lr_factor(self.step, self.n_steps, warmup=params.warmup, schedule=params.schedule)
        return params.lr * self.watch.factor * factor

    def _epoch(self) -> None:
        """Pass once over the training images in random order, or over what is left of them, and judge the result."""
        params, epoch = self.params, len(self.history) + 1
        self._pass(epoch)
        loss = float(self.loss) / self.drawn
        if not math.isfinite(loss):
            spoilt = not getattr(self.task.adversary, "finite", True)
            also = ", unless the adversary, which returned NaN or infinite pixels, is at fault" if spoilt else ""
            raise PluginError(f"the training loss became {loss} in epoch {epoch}; lower --lr{also}")
        self.network.eval()
        scores = self.task.validate(params.validate_on) if params.validate_on else {}
        self.history.append({"epoch": epoch, "loss": loss, "lr": self.lr, **scores})
        self.position = 0
        if not scores:
            return
        if self.watch.see(scores) and params.keep == "best":
            self.best = adapter_state(self.network)
        if params.schedule == "plateau":
            self.watch.lower(params.lr)

    def _pass(self, epoch: int) -> None:
        self.network.train()
        params, train = self.params, self.task.train
        checkpoint = self.task.checkpoint if self.world.is_main else None
        now = random_state(self.device)
        if self.position == 0:
            self.shuffle, self.lr = self.world.from_main(now), self._rate()
            self.loss = torch.zeros((), device=self.device)
        set_random_state(self.shuffle, self.device)
        order = draw(train.labels, params.balance)
        if self.position:
            set_random_state(now, self.device)
        seed = self.task.context.stream(f"augmentation, epoch {epoch}")
        first = self.position // params.batch_size
        share = self.world.whole if self.uncut else self.world.share
        drawn = batches(train, order, params.batch_size, params.augment, seed, self.device, first, share)
        while self.position < self.drawn:
            n = min(self.images_a_step, self.drawn - self.position)
            self.loss += self._step(list(islice(drawn, params.accumulate)), n)
            self.position += n
            if checkpoint and checkpoint.due() and self.position < self.drawn:
                checkpoint.save(self._state())
        if self.uncut:  # running statistics of batch norms
            self.world.copy_main(tensor for _, tensor in changing(self.network))

    def _step(self, drawn: list[Drawn], n: int) -> Tensor:
        """Take one optimiser step on `n` images, of which `drawn` are this process's, and return their losses' sum."""
        if not self.world.is_main:
            self._draw_apart()
        done = self.done + n
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        total: Tensor | None = None
        while total is None:
            total = self._gradients(drawn, n)
        self.world.add_up(self.trainable, total)
        if self.done != done:  # other processes took the rest
            self.done = done
            self._report()
        if self.params.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.params.clip_norm)
        self.optimizer.step()
        self.adaptation.after_step(self.network, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return total

    def _draw_apart(self) -> None:
        """Take random streams that are not the main process's; they follow from the step, so that none need be kept."""
        rank = self.world.rank
        torch.manual_seed(self.task.context.stream(f"tuning, process {rank}") + self.step)
        if hasattr(self.task.adversary, "calls"):
            vars(self.task.adversary)["calls"] = (rank << 40) + self.done

    def _gradients(self, drawn: list[Drawn], n: int) -> Tensor | None:
        """Accumulate the gradients of a step and return the sum of its losses; None if memory ran out, with half the
        images at a time from now on.
        """
        total, done = torch.zeros((), device=self.device), self.done
        largest = min(self.most, max(len(indices) for indices, _ in drawn))
        try:
            for indices, images in pieces(drawn, self.most):
                loss = self._loss(indices, images)
                # Weighed by images, so that accumulated batches act as one batch of their joint size.
                (loss * (len(indices) / n)).backward()
                total += loss.detach() * len(indices)
                self.done += len(indices)
                if self.step % 10 == 0:
                    self.shown = Shown(loss)
                self._report()
            return total
        except Exception as error:
            if largest == 1 or not out_of_memory(error):
                raise
        self.done = done
        self.optimizer.zero_grad(set_to_none=True)
        self.most = halve(largest, self.task.context.warn, "tuning")
        return None

    def _state(self) -> dict[str, Any]:
        """Return all that the steps to come depend on."""
        return {
            "weights": adapter_state(self.network),
            "optimizer": self.optimizer.state_dict(),
            "adaptation": self.adaptation.state(),
            "adversary": getattr(self.task.adversary, "calls", 0),
            "watch": dict(vars(self.watch)),
            "random": random_state(self.device),
            **{name: getattr(self, name) for name in CARRIED},
        }

    def _resume(self, state: dict[str, Any]) -> None:
        load_adapter(self.network, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.adaptation.restore(state["adaptation"])
        if hasattr(self.task.adversary, "calls"):
            vars(self.task.adversary)["calls"] = state["adversary"]
        vars(self.watch).update(state["watch"])
        for name in CARRIED:
            setattr(self, name, state[name])
        self.loss = self.loss.to(self.device)
        set_random_state(state["random"], self.device)
        self.task.context.warn(
            f"training went on from {self.done:,} of {self.total:,} images, where it was interrupted"
        )

    def _loss(self, indices: NDArray[np.int64], images: NDArray[np.uint8]) -> Tensor:
        task = self.task
        clean = to_pixels(images, self.device)
        labels = to_device(task.train.labels[indices], self.device)
        adversarial = clean
        if task.adversary is not None:
            score = self.objective.score(self.network, clean, labels) if task.white_box else None
            adversarial = task.adversary(indices, clean, labels, score)
        with computing(task.context.precision.tuning, self.device):
            loss = self.objective.loss(self.network, clean, adversarial, labels)
        loss = loss + self.adaptation.penalty(self.network)
        if not loss.requires_grad:
            raise PluginError("the objective depends on nothing that the adaptation trains, so nothing can be learned")
        return loss

    def _report(self) -> None:
        loss = self.shown.read() if self.shown else None
        if loss is not None:
            self.shown = None
        values = {} if loss is None else {"loss": loss, "lr": self._rate()}
        detail = "" if loss is None else f"loss {loss:.3f}"
        self.task.context.report(
            Progress(stage="tuning", done=self.done, total=self.total, detail=detail, values=values)
        )


class Shown:
    """A loss on its way from the device, which nobody waits for."""

    def __init__(self, loss: Tensor) -> None:
        self.loss = loss.detach().to("cpu", non_blocking=True)
        self.arrived = torch.cuda.Event() if loss.is_cuda else None
        if self.arrived is not None:
            self.arrived.record()

    def read(self) -> float | None:
        """Return the loss, or None if it is still to come."""
        return None if self.arrived is not None and not self.arrived.query() else self.loss.item()


def pieces(drawn: list[Drawn], most: int) -> Iterator[Drawn]:
    """Yield the batches of a step in parts of at most `most` images."""
    for indices, images in drawn:
        for start in range(0, len(indices), most):
            yield indices[start : start + most], images[start : start + most]


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether a batch norm of `network` is trained, so that it normalises images by those beside them."""
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return any(weight.requires_grad for norm in norms for weight in norm.parameters())
