"""Class embeddings that a text tower makes anew whenever what it is made of has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize


class FromTexts(nn.Module):
    """Computes the weight of a head from texts, as a parametrisation of torch.

    Args:
        compute: Returns the class embeddings ``(n_classes, D)``.
        made_of: The weights that they depend on.
        learned: Weights of its own among these, by name.
    """

    def __init__(self, compute: Callable[[], Tensor], made_of: Iterable[nn.Parameter], **learned: nn.Parameter) -> None:
        super().__init__()
        for name, weight in learned.items():
            self.register_parameter(name, weight)
        self.compute = compute
        self.made_of = [*made_of, *learned.values()]  # in a list, so that the text tower is no child of the head
        self._kept: tuple[Any, Tensor] | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Return the class embeddings; they are kept while nobody trains them and nothing has changed."""
        if torch.is_grad_enabled() and any(each.requires_grad for each in self.made_of):
            return self.compute()
        now = [(each.data_ptr(), each._version) for each in self.made_of]
        if self._kept is None or self._kept[0] != now:
            with torch.inference_mode(False), torch.no_grad():
                self._kept = now, self.compute()
        return self._kept[1]


def follow(head: nn.Module, made: FromTexts) -> None:
    """Let the rows of `head` be what `made` computes, at unit length."""
    head.weight.requires_grad_(False)
    parametrize.register_parametrization(head, "weight", made)


def settle(head: nn.Module) -> None:
    """Put the class embeddings as they are now into `head`, which no longer follows."""
    if parametrize.is_parametrized(head, "weight"):
        parametrize.remove_parametrizations(head, "weight", leave_parametrized=True)
        head.weight.requires_grad_(False)


def class_means(embeddings: Tensor, sizes: list[int]) -> Tensor:
    """Return for each class the mean of its prompts' unit embeddings, at unit length, ``(n_classes, D)``.

    Args:
        embeddings: Of all prompts ``(N, D)``, of any length, class after class.
        sizes: Prompts of each class.
    """
    unit = F.normalize(embeddings.float(), dim=-1)
    return F.normalize(torch.stack([group.mean(dim=0) for group in unit.split(sizes)]), dim=-1)
