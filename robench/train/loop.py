"""The training loop of every tuner that is made of an adaptation and an objective."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.compute.precision import computing
from robench.contracts.tuning import Adaptation, Objective, TuningTask
from robench.errors import PluginError
from robench.images.image_set import to_device, to_pixels
from robench.networks.memory import halve, out_of_memory
from robench.storage.checkpoint import random_state, set_random_state
from robench.train.adapters import adapter_state, changing, interpolate, load_adapter
from robench.train.batch_norms import freeze_statistics, has_batch_norm
from robench.train.early_stopping import EpochMonitor
from robench.train.optimizer import lr_factor, make_optimizer
from robench.train.params import TrainingParams
from robench.train.progress import TrainingProgress
from robench.train.sampler import Drawn, batches, draw, pieces

CARRIED = ("history", "best", "step", "done", "position", "loss", "lr", "shuffle", "most")
"""Attributes that change from step to step, besides weights, optimiser and random streams; a checkpoint has them."""


class Training:
    """One training. No step waits for the device, and the loss is computed in the run's tuning precision.

    The processes that share a run divide each batch and take the same step. If the objective or a batch norm looks at
    whole batches, the main process computes these alone.
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
        self.monitor = EpochMonitor(params.monitor)
        self.optimizer = make_optimizer(params, self.trainable)
        self.progress = TrainingProgress(task.context.report, self.total)
        self.most = params.batch_size
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.step = self.done = 0
        self.position, self.loss, self.lr = 0, torch.zeros((), device=self.device), params.lr
        self.shuffle = random_state(self.device)
        self.uncut = objective.whole_batch or has_batch_norm(self.network)
        self.growing = params.eps_schedule == "linear"
        if self.growing and not hasattr(task.adversary, "at"):
            raise PluginError(
                f"eps_schedule=linear changes the radius at every step, and {params.adversary} makes its images "
                "beforehand; expected adversary=white-box"
            )
        self.start = adapter_state(self.network) if params.wise < 1 else None

    def run(self) -> list[dict[str, float]]:
        """Train for all epochs, or until they stop getting better, and return the history.

        Raises:
            PluginError: A loss is NaN or infinite.
        """
        params = self.params
        self._check_last_batch()
        self.adaptation.begin(self.network, self.n_steps)
        self.objective.begin(self.network, self.n_steps)
        checkpoint = self.task.checkpoint if self.world.is_main else None
        state = self.world.from_main(checkpoint.load() if checkpoint else None)
        if state is not None:
            self._resume(state)
        self.progress.at(self.done, self._rate())
        while len(self.history) < params.epochs and not 0 < params.patience <= self.monitor.epochs_since_best:
            self._epoch()
            if checkpoint:
                checkpoint.save(self._state())
        if self.best is not None:
            load_adapter(self.network, self.best)
        if self.start is not None:
            interpolate(self.network, self.start, params.wise)
        if self.done < self.total:  # it stopped early
            self.done = self.total
            self.progress.at(self.done, self._rate())
        return self.history

    def _check_last_batch(self) -> None:
        """Refuse a batch of one image that the network's batch norms cannot normalise, before any training.

        Raises:
            PluginError: There is one, at the end of each epoch; the message names what to change.
        """
        size = self.params.batch_size
        if (self.drawn % size != 1 and size > 1) or not has_batch_norm(self.network):
            return
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        devices = [self.device] if self.device.type == "cuda" else []
        training = self.network.training
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=devices):
                self.network.train()(to_pixels(self.task.train.images[:1], self.device))
        except ValueError as error:  # torch's batch norm: more than one value per channel is needed
            raise PluginError(
                f"the last batch of an epoch would have one image, which a batch norm of this network cannot "
                f"normalise ({self.drawn} images, batch_size={size}); use another --batch-size or --train-size"
            ) from error
        finally:
            self.network.train(training)
            for name, buffer in self.network.named_buffers():
                buffer.copy_(buffers[name])

    def _rate(self) -> float:
        """Return the learning rate of the next step."""
        params = self.params
        factor = lr_factor(self.step, self.n_steps, warmup=params.warmup, schedule=params.schedule)
        return params.lr * self.monitor.factor * factor

    def _epoch(self) -> None:
        """Train on the images of an epoch, or on those left of it after an interruption, then validate."""
        params, epoch = self.params, len(self.history) + 1
        self._pass(epoch)
        loss = float(self.loss) / self.drawn
        if not math.isfinite(loss):
            finite = getattr(self.task.adversary, "finite", True)
            also = "" if finite else ", or check the adversary, which returned NaN or infinite pixels"
            raise PluginError(f"the training loss became {loss} in epoch {epoch}; lower --lr{also}")
        self.network.eval()
        scores = self.task.validate(params.validate_on) if params.validate_on else {}
        self.history.append({"epoch": epoch, "loss": loss, "lr": self.lr, **scores})
        self.position = 0
        if not scores:
            return
        if self.monitor.see(scores) and params.keep == "best":
            self.best = adapter_state(self.network)
        if params.schedule == "plateau":
            self.monitor.lower(params.lr)

    def _pass(self, epoch: int) -> None:
        self.network.train()
        freeze_statistics(self.network)
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
        """Take one optimiser step on `n` images, of which `drawn` are this process's; return the sum of losses."""
        if not self.world.is_main:
            self._draw_apart()
        done = self.done + n
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        if self.growing:
            self.task.adversary.at(Fraction(self.step + 1, self.n_steps))  # type: ignore[union-attr]
        total: Tensor | None = None
        while total is None:
            total = self._gradients(drawn, n)
        self.world.add_up(self.trainable, total)
        if self.done != done:  # other processes took the rest
            self.done = done
            self.progress.at(done, self._rate())
        if self.params.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.params.clip_norm)
        self.optimizer.step()
        self.adaptation.after_step(self.network, self.step)
        self.objective.after_step(self.network, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return total

    def _draw_apart(self) -> None:
        """Use other random streams than the main process. They follow from the step, so no checkpoint needs them."""
        rank = self.world.rank
        torch.manual_seed(self.task.context.stream(f"tuning, process {rank}") + self.step)
        if hasattr(self.task.adversary, "calls"):
            vars(self.task.adversary)["calls"] = (rank << 40) + self.done

    def _gradients(self, drawn: list[Drawn], n: int) -> Tensor | None:
        """Accumulate the gradients of a step and return the sum of its losses.

        If memory runs out, return None, and take half as many images at a time from now on.
        """
        total, done = torch.zeros((), device=self.device), self.done
        largest = min(self.most, max(len(indices) for indices, _ in drawn))
        try:
            for indices, images in pieces(drawn, self.most):
                loss = self._loss(indices, images)
                # Weighted by images, so that accumulated batches act as one large batch.
                (loss * (len(indices) / n)).backward()
                total += loss.detach() * len(indices)
                self.done += len(indices)
                if self.step % 10 == 0:
                    self.progress.fetch(loss)
                self.progress.at(self.done, self._rate())
            return total
        except Exception as error:
            if largest == 1 or not out_of_memory(error):
                raise
        self.done = done
        self.optimizer.zero_grad(set_to_none=True)
        self.most = halve(largest, self.task.context.warn, "tuning")
        return None

    def _state(self) -> dict[str, Any]:
        """Return all that the next steps depend on, for a checkpoint."""
        return {
            "weights": adapter_state(self.network),
            "optimizer": self.optimizer.state_dict(),
            "adaptation": self.adaptation.state(),
            "objective": self.objective.state(),
            "adversary": getattr(self.task.adversary, "calls", 0),
            "watch": dict(vars(self.monitor)),
            "random": random_state(self.device),
            **{name: getattr(self, name) for name in CARRIED},
        }

    def _resume(self, state: dict[str, Any]) -> None:
        load_adapter(self.network, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.adaptation.restore(state["adaptation"])
        self.objective.restore(state.get("objective", {}))
        if hasattr(self.task.adversary, "calls"):
            vars(self.task.adversary)["calls"] = state["adversary"]
        vars(self.monitor).update(state["watch"])
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
            raise PluginError("the objective depends on nothing that the adaptation trains; choose another of the two")
        return loss
