"""Tiny image-text models of every kind, each written by its own library."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robench_plugins.models.shipped import shipped_path

VISION = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 4, "image_size": 16, "mlp_ratio": 2.0}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


def spread(model: nn.Module) -> nn.Module:
    """Give weights that tell images apart, the same each time."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() >= 2:
                weight.copy_(torch.randn(weight.shape, generator=generator) * weight[0].numel() ** -0.5)
    return model.eval()


def save_tiny_open_clip(folder: Path, vision: dict[str, Any] | None = None, **more: Any) -> Path:
    """Save an untrained model in the layout that open_clip pushes to the Hub."""
    import open_clip
    from safetensors.torch import save_file

    config = {"embed_dim": 24, "vision_cfg": {**VISION, **(vision or {})}, "text_cfg": TEXT, **more}
    images = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "interpolation": "bicubic", "resize_mode": "shortest"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": images}))
    with torch.random.fork_rng(devices=[]):
        model = spread(open_clip.create_model(f"local-dir:{folder}", load_weights=False))
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def save_tiny_siglip(folder: Path) -> Path:
    """Save an untrained SigLIP with a real tokenizer in the Hub's layout."""
    from transformers import AutoTokenizer, SiglipConfig, SiglipImageProcessor, SiglipModel

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shipped_path("clip-tiny-cifar10") / name, folder / name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(tokenizer), "max_position_embeddings": 16, "projection_size": 32}
    config = SiglipConfig(text_config=text, vision_config={**sizes, "image_size": 16, "patch_size": 4})
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = spread(SiglipModel(config))
        model.logit_scale.fill_(2.0)
        model.logit_bias.fill_(-3.0)
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": 16, "width": 16}, resample=2).save_pretrained(folder)
    return folder
