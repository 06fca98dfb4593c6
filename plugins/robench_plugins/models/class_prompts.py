"""Class prompts as tokens and as embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from robench import DataError
from torch import Tensor
from torch.nn import functional as F

from robench_plugins.models.clip_network import ClassTexts


class Words(Protocol):
    """The vocabulary of a text tower."""

    @property
    def longest(self) -> int:
        """How many tokens the text tower reads."""

    def length(self, text: str) -> int:
        """Return the number of tokens of a text that is not cut."""

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the arguments of ``get_text_features``; ``input_ids`` are ``int64 (N, L)``."""


class TransformersWords:
    """The tokenizer of a model of transformers.

    Args:
        fixed: Whether texts are padded to the full length and the padding is read, as SigLIP was trained.
    """

    def __init__(self, tokenizer: Any, clip: Any, *, fixed: bool = False) -> None:
        self._tokenizer, self._fixed = tokenizer, fixed
        # Not every tokenizer states it.
        self.longest = int(min(tokenizer.model_max_length, clip.config.text_config.max_position_embeddings))

    def length(self, text: str) -> int:
        """Return the number of tokens of a text that is not cut."""
        return len(self._tokenizer(text)["input_ids"])

    def tokens(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return token ids, and which of them are no padding."""
        padding = "max_length" if self._fixed else True
        found: dict[str, Tensor] = dict(
            self._tokenizer(list(texts), padding=padding, truncation=True, max_length=self.longest, return_tensors="pt")
        )
        return {"input_ids": found["input_ids"]} if self._fixed else found


def embed_classes(
    clip: Any,
    words: Words,
    class_names: Sequence[str],
    prompts: Sequence[Sequence[str]],
    warn: Callable[[str], None],
) -> ClassTexts:
    """Return for each class the mean of its prompts' unit embeddings, at unit length, and the prompts' tokens.

    Args:
        warn: Is told how many prompts are cut.

    Raises:
        DataError: Two classes have the same tokens, mostly because long names are cut; the message names both.
    """
    given = words.tokens([prompt for group in prompts for prompt in group])
    sizes = [len(group) for group in prompts]
    tokens = given["input_ids"].split(sizes)
    seen: dict[tuple[tuple[int, ...], ...], str] = {}
    for name, ids in zip(class_names, tokens, strict=False):
        key = tuple(map(tuple, ids.tolist()))
        if key in seen:
            raise DataError(
                f"classes {seen[key][:80]!r} and {name[:80]!r} have the same prompts for this text tower, which "
                f"reads {words.longest} tokens of the characters it knows; shorten or rename one of them"
            )
        seen[key] = name
    if cut := sum(words.length(prompt) > words.longest for group in prompts for prompt in group):
        warn(f"{cut} prompts are cut to the {words.longest} tokens that the text tower reads")
    return ClassTexts(embeddings=_means(clip, given, sizes), tokens=tuple(tokens))


@torch.no_grad()
def _means(clip: Any, tokens: Mapping[str, Tensor], sizes: list[int]) -> Tensor:
    device = clip.logit_scale.device
    moved = {name: value.to(device) for name, value in tokens.items()}
    features = F.normalize(clip.get_text_features(**moved).pooler_output, dim=-1)
    return F.normalize(torch.stack([group.mean(dim=0) for group in features.split(sizes)]), dim=-1)
