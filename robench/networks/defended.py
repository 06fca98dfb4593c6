"""A network behind a defence, and what an attack sees of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.contracts.defence import Defence
from robench.contracts.types import Aware


class Defended(nn.Module):
    """A network behind a defence: its answers, and for an attack the gradients that lead through the defence.

    The network may be behind a defence itself. The outer one meets images first, and passes them on.

    Networks that the defence keeps as attributes are its children, too.

    Args:
        network: The undefended network, or one behind other defences.
        defence: The defence, prepared for it.
        aware: How gradients pass: ``yes`` as the defence declares, ``bpda`` always by its approximation, ``exact``
            always by autograd.
    """

    def __init__(self, network: nn.Module, defence: Defence, aware: Aware = "yes") -> None:
        super().__init__()
        self.network, self.defence, self.aware = network, defence, aware
        self.parts = nn.ModuleList(value for value in vars(defence).values() if isinstance(value, nn.Module))

    @property
    def defences(self) -> tuple[Defence, ...]:
        """All defences, the one that meets images first."""
        return (self.defence, *(self.network.defences if isinstance(self.network, Defended) else ()))

    @property
    def undefended(self) -> nn.Module:
        """The network without any defence."""
        return self.network.undefended if isinstance(self.network, Defended) else self.network

    @property
    def stochastic(self) -> bool:
        """Whether answers are random: of a stack they are if one defence is."""
        return any(defence.stochastic for defence in self.defences)

    @property
    def differentiable(self) -> bool:
        """Whether autograd leads an attack through all defences."""
        return all(defence.differentiable for defence in self.defences)

    def seen(self, aware: Aware) -> nn.Module:
        """Return the network as an attack sees it that treats all defences as `aware` says."""
        if aware == "no":
            return self.undefended
        inner = self.network.seen(aware) if isinstance(self.network, Defended) else self.network
        return Defended(inner, self.defence, aware)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the defended network."""
        defence = self.defence
        if torch.is_grad_enabled() and images.requires_grad:
            exact = self.aware == "exact" or (self.aware == "yes" and defence.differentiable)
            logits = (defence.answer if exact else defence.approximate)(self.network, images)
            # Where autograd finds nothing, as through numpy, the gradient is zero and the attack goes on.
            return logits if logits.requires_grad else logits + 0 * images.flatten(1).sum(dim=1, keepdim=True)
        if not defence.uses_gradients:
            return defence.answer(self.network, images)
        # Tensors of inference mode cannot take part in gradients; a copy made outside of it can.
        with torch.inference_mode(False), torch.enable_grad():
            return defence.answer(self.network, images.detach().clone()).detach()


class MeanOfAnswers(nn.Module):
    """A network that is asked several times about each image: the mean of its logits, and so of their gradients.

    The gradient is an expectation over transformation: the mean over the randomness of a network or its defence.

    Source: Athalye, Engstrom, Ilyas and Kwok, "Synthesizing robust adversarial examples", ICML 2018
    (arXiv:1707.07397), equation 2. Deviation: a loss is taken of the mean logits, not the mean of the losses, so that
    every attack can be used as it is.

    Args:
        network: The network.
        samples: How often it is asked.
        votes: Whether each answer is a vote for the predicted class, for attacks that see no logits.
    """

    def __init__(self, network: nn.Module, samples: int, *, votes: bool = False) -> None:
        super().__init__()
        self.network, self.samples, self.votes = network, samples, votes

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits ``(N, n_classes)`` of so many passes, or the shares of the votes."""
        answers = torch.stack([self.network(images) for _ in range(self.samples)])
        if self.votes:
            answers = F.one_hot(answers.argmax(dim=2), answers.shape[2]).to(answers.dtype)
        return answers.mean(dim=0)
