"""A report on this installation: versions, device, cache, plugins, and which downloads are here already."""

from __future__ import annotations

import os
from pathlib import Path

from robench.compute.software import versions
from robench.contracts.types import KINDS
from robench.registry.registry import Registry
from robench.storage.location import Location, local_folder
from robench.storage.shared_folder import SharedFolder


def examine(registry: Registry, cache_dir: Location) -> dict[str, dict[str, str]]:
    """Return the sections of the report, without downloading anything or contacting a host."""
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
            f"{item.kind} {item.name}": f"{source}: {'here' if is_here(source) else 'fetched on first use'}"
            for kind in KINDS
            for _, item in registry.components(kind)
            for source in item.downloads
        },
    }


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


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "empty"
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{total / 1e6:.1f} MB"
