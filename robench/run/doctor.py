"""A report on this installation: versions, device, cache, plugins, and which downloads are here already."""

from __future__ import annotations

import os
from pathlib import Path

from robench.compute.software import versions
from robench.contracts.types import KINDS, Component
from robench.errors import RobenchError
from robench.registry.registry import Registry
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder


def examine(registry: Registry, cache_dir: Location, *, sizes: bool = False) -> dict[str, dict[str, str]]:
    """Return the sections of the report, without downloading anything.

    Args:
        sizes: Ask the Hub how large the missing downloads are; no host is contacted otherwise.
    """
    import torch

    from robench.compute.device import resolve_device

    device = resolve_device("auto")
    failed = [plugin.name for plugin in registry.plugins if plugin.error]
    return {
        "versions": versions(),
        "device": {
            "auto": str(device),
            "name": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            "threads": str(torch.get_num_threads()),
        },
        "cache": {
            **({"shared at": str(cache_dir)} if isinstance(cache_dir, SharedFolder) else {}),
            "folder": str(local_folder(cache_dir)),
            "size": _size(local_folder(cache_dir)),
        },
        "plugins": {plugin.name: "FAILED" if plugin.name in failed else "ok" for plugin in registry.plugins},
        "network": {name: os.environ.get(name, "not set") for name in ("HF_HUB_OFFLINE", "HF_HOME", "TORCH_HOME")},
        "downloads": {
            f"{item.kind} {item.name}": f"{source}: {_state(source, sizes)}"
            for kind in KINDS
            for _, item in registry.components(kind)
            for source in item.downloads
        },
    }


def _state(source: str, sizes: bool) -> str:
    return "here" if is_here(source) else "fetched on first use" + (size_of(source) if sizes else "")


def is_here(source: str) -> bool:
    """Tell whether a download is in the cache of its library.

    Args:
        source: ``hf:NAME``, ``hf-dataset:NAME`` or ``torch.hub:FILE``.
    """
    scheme, _, name = source.partition(":")
    if scheme == "torch.hub":
        import torch

        return (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(name, repo_type="dataset" if scheme == "hf-dataset" else "model", local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def size_of(source: str) -> str:
    """Return how large a download is, as ``", 1.2 GB"``, or that it cannot be told; the Hub is asked.

    Args:
        source: ``hf:NAME`` or ``hf-dataset:NAME``; nobody tells it of others.
    """
    from huggingface_hub import HfApi

    scheme, _, name = source.partition(":")
    if scheme == "torch.hub":
        return ", size unknown"
    try:
        kind = "dataset" if scheme == "hf-dataset" else "model"
        found = HfApi().repo_info(name, repo_type=kind, files_metadata=True, timeout=10)
        total: int = sum(each.size or 0 for each in getattr(found, "siblings", None) or ())
    except Exception:  # without a network its client raises errors of several libraries
        return ", size unknown: the Hub cannot be reached"
    return f", {total / 1e9:.1f} GB" if total >= 1e8 else f", {total / 1e6:.1f} MB"


def is_available(registry: Registry, component: Component) -> bool:
    """Tell whether a component can be used as it is: it needs no parameter, and what it downloads is here."""
    if not all(map(is_here, component.downloads)):
        return False
    try:
        registry.resolve(component.kind, component.name).build().check_files()
    except RobenchError:
        return False
    return True


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "empty"
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{total / 1e6:.1f} MB"
