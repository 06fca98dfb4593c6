"""Provisional."""

from __future__ import annotations
import os, tempfile
from pathlib import Path
from torch import Tensor, nn
from robench.errors import DataError


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """State."""
    return {n: p.detach().clone() for n, p in network.named_parameters() if p.requires_grad}


def save_adapter(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Save."""
    from safetensors.torch import save_file

    save_file({k: v.cpu().contiguous() for k, v in adapter_state(network).items()}, path, metadata)


def read_adapter(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as f:
        return {k: f.get_tensor(k) for k in f.keys()}, dict(f.metadata() or {})


def load_adapter(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load."""
    own = dict(network.named_parameters())
    for name, value in state.items():
        own[name].data.copy_(value)
