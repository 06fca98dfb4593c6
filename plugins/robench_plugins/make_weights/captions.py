"""A byte-level BPE tokenizer in CLIP's format, and captions as token ids."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from robench_plugins.make_weights.source import Source

START, END, PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"
SUFFIX = "</w>"


def train_tokenizer(texts: Iterable[str], *, n_merges: int = 400, context_length: int = 40) -> CLIPTokenizer:
    """Return a CLIP tokenizer with at most `n_merges` byte-pair merges, learned from `texts` (Sennrich et al. 2016).

    Every byte is in the vocabulary, with and without the end-of-word mark, so any text can be encoded.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(alphabet) + n_merges,
        initial_alphabet=alphabet,
        end_of_word_suffix=SUFFIX,
        show_progress=False,
    )
    learner.train_from_iterator(sorted(set(texts)), trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]][:n_merges]
    pieces = [START, END, PAD, *alphabet, *(char + SUFFIX for char in alphabet)]
    pieces += [first + second for first, second in merges]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context_length,
    )


class CaptionBank:
    """All texts of a source, as token ids.

    Attributes:
        token_ids: int64 ``(T, L)``, one row for each distinct text, padded on the right.
        caption_rows: int64 ``(N, K)``, the rows of each image's texts, repeated to equal length.
        prompt_rows: int64 ``(C, P)``, the rows of each class's prompts, likewise.
    """

    def __init__(self, source: Source, tokenizer: CLIPTokenizer) -> None:
        groups = (*source.class_prompts, *source.captions)
        texts = sorted({text for group in groups for text in group})
        row = {text: index for index, text in enumerate(texts)}
        self.token_ids = torch.tensor(tokenizer(texts, padding=True, truncation=True)["input_ids"])
        self.caption_rows = _rows(source.captions, row)
        self.prompt_rows = _rows(source.class_prompts, row)


def _rows(groups: tuple[tuple[str, ...], ...], row: dict[str, int]) -> torch.Tensor:
    width = max(len(group) for group in groups)
    return torch.tensor([[row[group[k % len(group)]] for k in range(width)] for group in groups])
