"""Hashes of the source of components, and plugins that are a single file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from robench.errors import PluginError


@cache
def own_packages() -> frozenset[str]:
    """Return the names of the packages of robench's release: the core, and the plugins that come with it."""
    found = (
        point for point in entry_points(group="robench") if point.dist is not None and point.dist.name == "robench"
    )
    return frozenset({"robench", *(point.module.partition(".")[0] for point in found)})


def foreign_code(modules: Iterable[str]) -> dict[str, str]:
    """Return the hashes of :func:`code_hashes` without those of robench's own packages."""
    return {name: found for name, found in code_hashes(modules).items() if name not in own_packages()}


def code_hashes(modules: Iterable[str]) -> dict[str, str]:
    """Return the hash of the Python files of each module's top-level package, by the package's name.

    Args:
        modules: Dotted names. A module without files is left out.
    """
    names = sorted({module.partition(".")[0] for module in modules})
    return {name: found for name in names if (found := _hash(name))}


@cache
def _hash(name: str) -> str | None:
    """Return the first 16 hex digits of the SHA-256 of a package's Python files and their paths, or of one file."""
    spec = _spec(name)
    if spec is None or spec.origin is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return file_hash(Path(spec.origin)) if Path(spec.origin).is_file() else None
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    return digest.hexdigest()[:16]


def _spec(name: str) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return getattr(loaded, "__spec__", None)
    return importlib.util.find_spec(name)


def file_hash(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def import_file(path: Path) -> ModuleType:
    """Import a plugin that is a single file, as a module of the file's name.

    Raises:
        PluginError: There is no such Python file, or another module has its name.
        Exception: Whatever the file raises.
    """
    name = path.stem
    if path.suffix != ".py" or not path.is_file():
        raise PluginError(f"no plugin at {path}; expected a Python file")
    known, found = sys.modules.get(name), _spec(name) if name.isidentifier() else None
    # Python finds the file by itself if it lies in a folder that is searched, such as one installed with `pip -e`.
    same = found is not None and found.origin == str(path.resolve())
    if known is not None and same:
        return known
    if not name.isidentifier() or known is not None or (found is not None and not same):
        raise PluginError(f"{path} cannot be imported as {name!r}, which is taken or not a valid name; rename the file")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs, because dataclasses and components look it up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
