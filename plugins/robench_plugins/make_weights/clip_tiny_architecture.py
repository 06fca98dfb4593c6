"""A CLIP that one CPU thread can train: a ViT on an 8 x 8 grid of patches, and a text tower of two layers."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

WIDTH = 128
N_HEADS = 4
N_VISION_LAYERS = 6
N_TEXT_LAYERS = 2
GRID = 8
POSITION_WIDTH = 4 * GRID
"""Channels for the position: sine and cosine of `GRID` frequencies for both axes."""
PEAK_LOGIT = 6.0
"""Attention logit of a head at its offset, before training."""
OFFSETS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))
"""Offsets in the grid (rows, columns) that heads look at, assigned to them layer by layer."""


def build_clip_tiny(tokenizer: CLIPTokenizer, *, image_size: int) -> CLIPModel:
    """Return an untrained model of about 1.7 million parameters for square images of `image_size` pixels.

    The id of the end-of-text token is set, because ``CLIPTextModel`` reads its output at the first one.
    """
    shared = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_attention_heads": N_HEADS,
        "hidden_act": "gelu",
        "projection_dim": WIDTH,
    }
    config = CLIPConfig(
        text_config={
            **shared,
            "num_hidden_layers": N_TEXT_LAYERS,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": tokenizer.model_max_length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            **shared,
            "num_hidden_layers": N_VISION_LAYERS,
            "image_size": image_size,
            "patch_size": image_size // GRID,
        },
        projection_dim=WIDTH,
    )
    return CLIPModel(config)


@torch.no_grad()
def structure_vision_tower(model: CLIPModel, pixel_values: torch.Tensor) -> None:
    """Initialise the vision tower as local filters on decorrelated patches.

    Positions are sines and cosines of the frequencies ``pi (k + 1/2) / GRID`` in the first `POSITION_WIDTH` channels,
    and zero elsewhere. Queries are keys rotated by an offset in the grid, so that each head attends to one neighbour.
    The class token has no position and attends uniformly. Patches are whitened by their principal components.

    Args:
        model: Is changed in place.
        pixel_values: float32 ``(N, 3, H, W)``, normalised as in training; a few thousand images are enough.

    Source: Zheng, Li and Lucey 2024, "Structured Initialization for Attention in Vision Transformers",
    arXiv:2404.01139 (attention maps as shifted impulses). Deviation: queries and keys are computed for sinusoidal
    positions, not fitted; value and output projections start as transposes of each other.
    """
    tower = model.vision_model
    embeddings = tower.embeddings
    frequencies = math.pi * (torch.arange(GRID) + 0.5) / GRID
    angle = torch.arange(GRID)[:, None] * frequencies
    axis = torch.cat([angle.sin(), angle.cos()], dim=1)
    table = torch.cat([axis.repeat_interleave(GRID, 0), axis.repeat(GRID, 1)], dim=1)
    embeddings.position_embedding.weight.zero_()
    embeddings.position_embedding.weight[1:, :POSITION_WIDTH] = table * math.sqrt(2)

    patches = nn.functional.unfold(pixel_values, embeddings.patch_size, stride=embeddings.patch_size)
    patches = patches.transpose(1, 2).reshape(-1, patches.shape[1])
    variance, basis = torch.linalg.eigh(torch.cov(patches.T))
    whiten = (basis / (variance + 0.01 * variance.max()).sqrt()).T
    n_content = WIDTH - POSITION_WIDTH
    mix = nn.init.orthogonal_(torch.empty(n_content, len(whiten)))
    filters = mix @ whiten
    filters /= (patches @ filters.T).std()
    kernels = embeddings.patch_embedding.weight
    kernels.zero_()
    kernels[POSITION_WIDTH:] = filters.reshape(n_content, *kernels.shape[1:])

    head_width = WIDTH // N_HEADS
    gain = math.sqrt(PEAK_LOGIT * math.sqrt(head_width) / (4 * GRID))
    for depth, layer in enumerate(tower.encoder.layers):
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.normal_(std=0.02)
        for head in range(N_HEADS):
            rows = slice(head * head_width, head * head_width + POSITION_WIDTH)
            attention.k_proj.weight[rows, :POSITION_WIDTH] = gain * torch.eye(POSITION_WIDTH)
            offset = OFFSETS[(depth * N_HEADS + head) % len(OFFSETS)]
            attention.q_proj.weight[rows, :POSITION_WIDTH] = gain * _shift(offset, frequencies)
        nn.init.orthogonal_(attention.v_proj.weight)
        attention.out_proj.weight.copy_(attention.v_proj.weight.T / math.sqrt(2 * N_VISION_LAYERS))
        for into_stream in (attention.out_proj, layer.mlp.fc2):
            into_stream.weight[:POSITION_WIDTH] = 0.0


def _shift(offset: tuple[int, int], frequencies: torch.Tensor) -> torch.Tensor:
    """Return the matrix that maps the position code of ``(row, column)`` to that of the shifted position."""
    blocks = []
    for step in offset:
        cosine, sine = torch.diag((step * frequencies).cos()), torch.diag((step * frequencies).sin())
        blocks.append(torch.cat([torch.cat([cosine, sine], 1), torch.cat([-sine, cosine], 1)], 0))
    return cast(torch.Tensor, torch.block_diag(*blocks))


def random_patches(n_images: int, n_kept: int, generator: torch.Generator) -> torch.Tensor:
    """Return the positions of the class token and of `n_kept` random patches of each image, ``(N, 1 + n_kept)``."""
    patches = torch.rand(n_images, GRID * GRID, generator=generator).argsort(dim=1)[:, :n_kept] + 1
    return nn.functional.pad(patches, (1, 0))


def image_embeddings(model: CLIPModel, pixel_values: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
    """Return the embeddings ``(N, D)`` of normalised images, not at unit length.

    Args:
        model: The model.
        pixel_values: float32 ``(N, 3, H, H)``.
        kept: int64 ``(N, L)``, the positions that the tower sees; None for all. Fewer patches save time in training.

    Source of dropping patches: Li et al. 2023, "Scaling Language-Image Pre-training via Masking".
    """
    tower = model.vision_model
    hidden = tower.embeddings(pixel_values)
    if kept is not None:
        hidden = hidden.gather(1, kept[:, :, None].expand(-1, -1, WIDTH))
    hidden = tower.pre_layrnorm(hidden)
    for layer in tower.encoder.layers[:-1]:
        hidden = layer(hidden, attention_mask=None)
    token = _class_token_layer(tower.encoder.layers[-1], hidden)
    features: torch.Tensor = model.visual_projection(tower.post_layernorm(token))
    return features


def _class_token_layer(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Return the output of an encoder layer for the class token ``(N, W)``, of ``(N, L, W)``; nothing else is read."""
    attention = layer.self_attn
    normed = layer.layer_norm1(hidden)
    queries, keys, values = (
        projected.unflatten(-1, (N_HEADS, -1)).transpose(1, 2)
        for projected in (attention.q_proj(normed[:, :1]), attention.k_proj(normed), attention.v_proj(normed))
    )
    weights = (queries @ keys.mT * attention.scale).softmax(dim=-1)
    token = hidden[:, 0] + attention.out_proj((weights @ values).flatten(1))
    output: torch.Tensor = token + layer.mlp(layer.layer_norm2(token))
    return output
