"""What the tests of the built-in plugins share: a toy dataset, a tiny CLIP, and the way to real data."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from robench import DataError, Dataset, ImageSet, RunContext
from torch import nn

from robench_plugins.models.shipped import shipped_path

TOY_CLASSES = ("red_leaf", "green_leaf", "blue_leaf")


class ToyDataset(Dataset):
    """Noise in which one colour channel is brighter: the class."""

    side = 16
    sizes = {"train": 240, "validation": 30, "test": 60}

    @property
    def class_names(self) -> tuple[str, ...]:
        return TOY_CLASSES

    def split(self, name: str, limit: int | None = None) -> ImageSet:
        n = self.sizes[name] if limit is None else limit
        if n > self.sizes[name]:
            raise DataError(f"toy has {self.sizes[name]} {name} images")
        random = np.random.default_rng(sorted(self.sizes).index(name))
        images = random.integers(0, 200, (self.sizes[name], 3, self.side, self.side), dtype=np.uint8)
        labels = np.arange(self.sizes[name]) % 3
        images[np.arange(len(images)), labels] += 50
        return ImageSet(images=images[:n], labels=labels[:n].astype(np.int64))

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        return tuple((f"a {name.partition('_')[0]} leaf", f"a photo of a {name}") for name in TOY_CLASSES)


class TenClasses(ToyDataset):
    """The toy's images under CIFAR-10's class names."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def make_context(folder: Path, dataset: Dataset | None = None, *, seed: int = 0, name: str = "toy") -> RunContext:
    return RunContext(
        dataset=dataset or ToyDataset(), dataset_name=name, device=torch.device("cpu"), seed=seed, cache_dir=folder
    )


def save_tiny_clip(folder: Path, *, image_size: int = 16, dtype: torch.dtype = torch.float32) -> Path:
    """Save an untrained two-layer CLIP with a real tokenizer in the Hub's layout."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel

    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shipped_path("clip-tiny-cifar10") / name, folder / name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**tower, **words},
        vision_config={**tower, "image_size": image_size, "patch_size": 4},
        projection_dim=24,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        clip = CLIPModel(config)
        for weight in clip.parameters():
            # Wider than transformers' own start, so that different images have different embeddings.
            if weight.dim() >= 2:
                weight.normal_(std=weight[0].numel() ** -0.5)
    clip.to(dtype).save_pretrained(folder)
    side = {"height": image_size, "width": image_size}
    CLIPImageProcessor(
        size=side, crop_size=side, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3]
    ).save_pretrained(folder)
    return folder


def switch_hub_off(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Leave an empty Hub cache, the Hub switched off, and a network that fails the test when touched."""
    from huggingface_hub import constants

    def refuse(*args: object) -> NoReturn:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(socket.socket, "connect", refuse)


def real(name: str) -> Path:
    """Return a folder of real data beside the checkout, or skip the test."""
    folder = Path(__file__).parents[3] / "shared" / name
    if not folder.is_dir():
        pytest.skip("real CIFAR-10 data not present")
    return folder


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}


def n_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
