"""The target as an attack sees it that may only ask: answers without gradients, counted for each image.

An image has a budget of queries. What is asked beyond it gets the last answer again, and the attack's image is cut: the
first image within the budget that fooled the target stands for it, or else the last one that was asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from robench.attack.projection import judged, project
from robench.contracts.types import ThreatModel
from robench.errors import PluginError
from robench.networks.defended import MeanOfAnswers

NEVER = -1
"""Of an image that never fell."""
PATIENCE = 1000
"""Calls in a row about spent images alone, after which an attack is stopped."""


class Spent(Exception):  # noqa: N818  # no error: the attack ends here
    """No image of the batch may be asked about any more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What was asked about each image of a set.

    Attributes:
        asked: Queries within the budget, ``int64 (N,)``.
        fell: The query whose image, rounded to 8 bits and within the ball, was the first to be misclassified,
            ``int64 (N,)``; ``NEVER`` where none was.
    """

    asked: NDArray[np.int64]
    fell: NDArray[np.int64]


class Queried(nn.Module):
    """Answers an attack: logits, or of an attack of ``labels`` 1 for the predicted class and 0 for the others.

    Args:
        network: The target.
        images: The clean images of the batch, ``uint8 (N, 3, H, W)``.
        labels: ``int64 (N,)``.
        threat: The ball, what the attack sees, and its budget.
    """

    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> None:
        super().__init__()
        self.network, self.threat = network, threat
        self.images, self.labels = images, labels
        averaged = (each.samples for each in network.modules() if isinstance(each, MeanOfAnswers))
        self.cost = next(averaged, 1)
        self.asked = torch.zeros_like(labels)
        self.fell = torch.full_like(labels, NEVER)
        self.refused = torch.zeros_like(labels, dtype=torch.bool)
        self.last = images.float() / 255
        self.fooling = images.clone()
        self.n_logits = self._judge(self.last[:1]).shape[1]
        self._answers = torch.zeros(len(images), self.n_logits, device=images.device)
        self._in_vain = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the answers ``(M, n_classes)`` to images ``(M, 3, H, W)``.

        As many images as the batch has are taken for one version of each, in order. Of any other number each belongs to
        the clean image that it is nearest to; :func:`ask` says it instead.
        """
        n = len(self.images)
        if len(images) == n:
            return self.answer(images, torch.arange(n, device=images.device))
        return self.answer(images, torch.cdist(images.flatten(1), self.images.flatten(1) / 255).argmin(dim=1))

    def answer(self, images: Tensor, positions: Tensor) -> Tensor:
        """Return the answers to versions of the images at `positions` of the batch, ``int64 (M,)``.

        Raises:
            PluginError: The attack records gradients by the images.
        """
        if images.requires_grad:
            sees = "labels" if self.threat.knowledge == "labels" else "logits"
            raise PluginError(
                f"the attack says it sees {sees} alone (knowledge={self.threat.knowledge!r}) but asks for gradients; "
                "expected knowledge='white-box'"
            )
        with torch.no_grad():
            numbers = self.asked[positions] + self.cost * (1 + _among_equals(positions))
            budget = self.threat.queries
            if budget is None or bool((numbers <= budget).all()):
                self._in_vain = 0
                return self._ask(images, positions, numbers)
            within = numbers <= budget
            self.refused[positions[~within]] = True
            if within.any():
                self._in_vain = 0
                self._ask(images[within], positions[within], numbers[within])
                return self._answers[positions]
            self._in_vain += 1
            if self._in_vain > PATIENCE or bool((self.asked + self.cost > budget).all()):
                raise Spent
            return self._answers[positions]

    def chosen(self, found: Tensor) -> Tensor:
        """Return the images ``uint8 (N, 3, H, W)`` to judge, of those `found` by the attack, which are in the ball.

        An image that was asked about beyond the budget is replaced, as the module says. So is one that fools nobody
        although an earlier one did.
        """
        found = torch.where(_each(self.refused), project(self.images, self.last, self.threat), found)
        fell = self.fell != NEVER
        differs = (found != self.fooling).flatten(1).any(dim=1)
        unsure = (fell & ~self.refused & differs).nonzero().flatten()
        lost = fell & self.refused
        if len(unsure):
            lost[unsure] = self._judge(found[unsure].float() / 255).argmax(dim=1) == self.labels[unsure]
        return torch.where(_each(lost), self.fooling, found)

    def counted(self) -> Asked:
        """Return what was asked."""
        return Asked(asked=self.asked.cpu().numpy(), fell=self.fell.cpu().numpy())

    def _ask(self, images: Tensor, positions: Tensor, numbers: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        self.asked.index_put_((positions,), torch.full_like(positions, self.cost), accumulate=True)
        # Of several versions of an image the last one counts.
        rows = torch.arange(len(images), device=images.device)
        latest = torch.full_like(self.asked, NEVER).scatter_reduce(0, positions, rows, "amax")
        seen = (latest != NEVER).nonzero().flatten()
        self.last[seen] = images[latest[seen]].to(self.last.dtype)
        self._note_fallen(images, positions, numbers, logits.argmax(dim=1))
        answers = logits
        if self.threat.knowledge == "labels":
            answers = F.one_hot(logits.argmax(dim=1), logits.shape[1]).float()
        self._answers[seen] = answers[latest[seen]].to(self._answers.dtype)
        return answers

    def _note_fallen(self, images: Tensor, positions: Tensor, numbers: Tensor, classes: Tensor) -> None:
        """Note the images that fell: by a query no farther outside than rounding explains, whose 8-bit image within the
        ball is misclassified, too. To judge that image is no query.
        """
        rows = ((classes != self.labels[positions]) & (self.fell[positions] == NEVER)).nonzero().flatten()
        if not len(rows):
            return
        rounded, beyond = judged(self.images[positions[rows]], images[rows].float(), self.threat)
        rows, rounded = rows[~beyond], rounded[~beyond]
        if not len(rows):
            return
        moved = (rounded - images[rows].float() * 255).abs().flatten(1).amax(dim=1) > 1e-3
        fools = torch.ones_like(moved)
        if moved.any():
            fools[moved] = (
                self._judge(rounded[moved].float() / 255).argmax(dim=1) != self.labels[positions[rows[moved]]]
            )
        rows, rounded = rows[fools], rounded[fools]
        for row, image in zip(rows.flip(0).tolist(), rounded.flip(0), strict=True):  # the earliest last
            self.fell[positions[row]], self.fooling[positions[row]] = numbers[row], image

    def _judge(self, images: Tensor) -> Tensor:
        """Return the logits of images that the attack has not asked about; its random numbers stay as they are."""
        with torch.no_grad(), torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            logits: Tensor = self.network(images)
        return logits


def ask(network: nn.Module, images: Tensor, positions: Tensor) -> Tensor:
    """Return the logits ``(M, n_classes)`` that an attack gets for versions of some images of its batch.

    An attack that asks about other images than one version of each, in order, says by this function whose they are.

    Args:
        network: The network that the attack was given.
        images: ``float32 (M, 3, H, W)`` in ``[0, 1]``.
        positions: Which image of the batch each of them is a version of, ``int64 (M,)``.
    """
    answers: Tensor = network.answer(images, positions) if isinstance(network, Queried) else network(images)
    return answers


def _each(mask: Tensor) -> Tensor:
    return mask.view(-1, 1, 1, 1)


def _among_equals(positions: Tensor) -> Tensor:
    """Return how many equal values stand before each of `positions`."""
    order = positions.argsort(stable=True)
    ranked = positions[order]
    before = torch.arange(len(ranked), device=ranked.device) - torch.searchsorted(ranked, ranked)
    return torch.empty_like(before).scatter_(0, order, before)
