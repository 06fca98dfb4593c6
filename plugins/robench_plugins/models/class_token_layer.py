"""The last block of CLIP's vision tower, computed only for the class token."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class ClassTokenLayer(nn.Module):
    """The last block of CLIP's vision tower, computed only for the class token where nothing reads the others.

    That is where the tower is called with ``class_token_only=True``, as a classifier calls it; the tower hands it on to
    its blocks. Called in any other way it computes all tokens. It has the modules, and so the names of weights, of the
    block it replaces. Queries are made for all tokens, so that an adapter's dropout draws the same random numbers.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.self_attn, self.mlp = layer.self_attn, layer.mlp
        self.layer_norm1, self.layer_norm2 = layer.layer_norm1, layer.layer_norm2
        self.training = layer.training

    def forward(self, hidden: Tensor, *args: Any, class_token_only: bool = False, **kwargs: Any) -> Tensor:
        """Map ``(N, tokens, width)``, the class token first, to all, or to the class token's ``(N, 1, width)``."""
        attention, normed = self.self_attn, self.layer_norm1(hidden)
        heads = (*normed.shape[:-1], -1, attention.head_dim)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        query, key, value = (project(normed).view(heads).transpose(1, 2) for project in projections)
        read = slice(1) if class_token_only else slice(None)
        mixed = F.scaled_dot_product_attention(query[:, :, read], key, value, scale=attention.scale)
        token: Tensor = hidden[:, read] + attention.out_proj(mixed.transpose(1, 2).flatten(2))
        result: Tensor = token + self.mlp(self.layer_norm2(token))
        return result
