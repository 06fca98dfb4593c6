"""CLIPs at their real size with random weights: folders in the Hub's layout, made without a download."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

N_MERGES = 49152 - 256 - 2
TEXT = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
}
LARGE_TEXT = {**TEXT, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
LARGE_VISION = {
    **VISION,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
}


def configuration() -> Any:
    """Return the configuration of openai/clip-vit-base-patch32."""
    from transformers import CLIPConfig

    return CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=512)


def large_configuration() -> Any:
    """Return the configuration of openai/clip-vit-large-patch14."""
    from transformers import CLIPConfig

    return CLIPConfig(text_config=LARGE_TEXT, vision_config=LARGE_VISION, projection_dim=768)


def letters() -> list[str]:
    """Return the characters by which CLIP's tokenizer writes the 256 bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def stand_in_merges() -> list[str]:
    """Return as many merges as CLIP's vocabulary has, of any two bytes; prompts differ but mean nothing."""
    known = letters()
    return [f"{first} {second}" for first in known for second in known][:N_MERGES]


def vocabulary_of(merges: Sequence[str]) -> dict[str, int]:
    """Return the number of each token as CLIP has them: bytes, bytes that end a word, merges, start and end of text."""
    known = letters()
    tokens = [*known, *(f"{letter}</w>" for letter in known), *("".join(merge.split()) for merge in merges)]
    return {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def write_tokenizer(folder: Path, merges: Sequence[str]) -> None:
    """Write vocabulary, merges and settings in the Hub's format."""
    (folder / "vocab.json").write_text(json.dumps(vocabulary_of(merges), ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings = {**special, "pad_token": "<|endoftext|>", "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def build(folder: Path, merges: Sequence[str], config: Any = None) -> None:
    """Write the whole folder: configuration, random weights, tokenizer and preprocessing.

    Args:
        config: The configuration of a CLIP; that of ViT-B/32, whose folder has 605 MB, if not given.
    """
    import torch
    from transformers import CLIPImageProcessor, CLIPModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, merges)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Its defaults are CLIP's: 224 pixels, bicubic, the mean and deviation of its training images.
        CLIPImageProcessor().save_pretrained(folder)
        # Last, so that a folder with weights is complete.
        CLIPModel(config or configuration()).save_pretrained(folder)
