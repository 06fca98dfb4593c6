"""A small vision transformer on overlapping patches, with a wide head on all tokens."""

from __future__ import annotations

from typing import Any

import torch
from robench import Part
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.resizing import resize_and_crop

LAYER_NORM_EPS = 1e-6


class PatchEncoder(nn.Module):
    """Cuts images into overlapping patches, projects each linearly, and adds a learned position.

    Images ``(N, 3, S, S)`` become ``(N, P, dim)`` with ``P = ((S - patch_size) // stride + 1) ** 2``.
    """

    def __init__(self, image_size: int, patch_size: int, stride: int, dim: int) -> None:
        super().__init__()
        self.patch_size, self.stride = patch_size, stride
        side = (image_size - patch_size) // stride + 1
        self.projection = nn.Linear(3 * patch_size**2, dim)
        self.positions = nn.Parameter(torch.empty(side**2, dim))
        nn.init.uniform_(self.positions, -0.05, 0.05)

    def forward(self, images: Tensor) -> Tensor:
        """Return the embedded patches, row by row."""
        patches = F.unfold(images, self.patch_size, stride=self.stride).transpose(1, 2)
        encoded: Tensor = self.projection(patches) + self.positions
        return encoded


class SelfAttention(nn.Module):
    """Multi-head self-attention with any ``heads * head_dim``, as in Keras; it need not be the width.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(dim, heads * head_dim) for _ in range(3))
        self.out = nn.Linear(heads * head_dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``(N, P, dim)`` to ``(N, P, dim)``."""
        projections = (self.query, self.key, self.value)
        query, key, value = (part(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projections)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        attended: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return attended


class Block(nn.Module):
    """A pre-norm encoder block. Its MLP has a GELU after both layers."""

    def __init__(self, dim: int, heads: int, head_dim: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attention = SelfAttention(dim, heads, head_dim, dropout)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        layers = (
            nn.Linear(dim, mlp),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp, dim),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.mlp = nn.Sequential(*layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``(N, P, dim)`` to ``(N, P, dim)``."""
        tokens = tokens + self.attention(self.norm1(tokens))
        encoded: Tensor = tokens + self.mlp(self.norm2(tokens))
        return encoded


class LeafViTNetwork(nn.Module):
    """A classifier of images ``(N, 3, H, W)`` in ``[0, 1]``, which it resizes and scales to ``[-1, 1]``."""

    def __init__(
        self,
        *,
        n_classes: int,
        image_size: int,
        patch_size: int,
        stride: int,
        dim: int,
        depth: int,
        heads: int,
        head_dim: int,
        mlp: int,
        head_units: tuple[int, int],
        dropout: float,
        head_dropout: float,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.patches = PatchEncoder(image_size, patch_size, stride, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, head_dim, mlp, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.dense1 = nn.Linear(len(self.patches.positions) * dim, head_units[0])
        self.dense2 = nn.Linear(*head_units)
        self.head = nn.Linear(head_units[1], n_classes)
        self.head_dropout = nn.Dropout(head_dropout)
        self.apply(_initialise)
        self.parts: dict[str, nn.Module] = {"encoder": Part.without(self._features, self, self.head)}

    def embed_patches(self, images: Tensor) -> Tensor:
        """Return the embedded patches ``(N, P, dim)`` that the first block takes."""
        encoded: Tensor = self.patches(2 * resize_and_crop(images, self.image_size) - 1)
        return encoded

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits ``(N, n_classes)``."""
        logits: Tensor = self.head(self.parts["encoder"](images))
        return logits

    def _features(self, images: Tensor) -> Tensor:
        tokens = self.embed_patches(images)
        for block in self.blocks:
            tokens = block(tokens)
        features: Tensor = self.head_dropout(self.norm(tokens).flatten(1))
        for dense in (self.dense1, self.dense2):
            features = self.head_dropout(F.gelu(dense(features)))
        return features


def _initialise(module: Any) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
