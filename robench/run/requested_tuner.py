"""Settle the tuner of a request: its own text, the flags, what the model recommends, or a saved adapter."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from robench.contracts.dataset import Dataset
from robench.contracts.types import parse_name, require_utf8
from robench.errors import DataError, SpecError
from robench.records.record import AdapterSpec
from robench.registry.products import recommendations
from robench.registry.registry import Registry
from robench.registry.resolved import SURROGATE_PREFIX, Resolved, ResolvedAttack

if TYPE_CHECKING:
    from robench.run.plan import Request


def read_adapter(request: Request, registry: Registry) -> tuple[AdapterSpec | None, Request]:
    """Return the identity of the saved adapter, and the request with the tuner and model that it was trained with.

    Raises:
        SpecError: The file cannot be read, or the request contradicts it.
    """
    if request.adapter is None:
        return None, request
    require_utf8(request.adapter)
    sha256, made_with = _identify(Path(request.adapter))
    for key in ("tuner", "model"):
        asked, default = getattr(request, key), type(request).__dataclass_fields__[key].default
        if asked not in (default, made_with[key]) and not _same(registry, key, asked, made_with[key]):
            raise SpecError(
                f"adapter {request.adapter} was trained with {key} {made_with[key]!r}, not {asked!r}; leave --{key} out"
            )
    if (request.epochs, request.lr, request.batch_size) != (None, None, None):
        raise SpecError(
            "--epochs, --lr and --batch-size do nothing with --adapter, which trains nothing; leave them out"
        )
    adapted = replace(request, tuner=made_with["tuner"], model=made_with["model"])
    return AdapterSpec(sha256=sha256, path=request.adapter), adapted


def _same(registry: Registry, key: Literal["tuner", "model"], asked: str, recorded: str) -> bool:
    """Tell whether a component as typed is the recorded one: labels leave out what is at its default."""
    if key == "tuner":
        return False  # what a model recommends decides a tuner's label
    try:
        return registry.resolve(key, asked).label == registry.resolve(key, recorded).label
    except SpecError:
        return False


def _identify(path: Path) -> tuple[str, dict[str, str]]:
    """Return the hash of an adapter file and its metadata; no tensor is read."""
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        found = "a peft adapter" if (path / "adapter_config.json").is_file() else "a folder"
        raise SpecError(
            f"--adapter {path} is {found}, not a file made by --save-adapter; an adapter of peft is part of the model: "
            f"--model clip:path=BASE,adapter={path}"
        )
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")
        with safe_open(path, framework="np") as file:
            made_with = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        reason = "it does not exist" if not path.exists() else str(error)
        raise SpecError(f"adapter {path} cannot be read: {reason}; expected a file made by --save-adapter") from None
    if not {"tuner", "model", "model_fingerprint"} <= made_with.keys():
        raise SpecError(f"{path} does not name its tuner and model; expected a file made by --save-adapter")
    return adapter_hash(path), made_with


def check_adapter(path: str | Path, dataset: Dataset) -> str | None:
    """Check that an adapter file was trained on the classes of `dataset`: labels are positions.

    Returns:
        What to warn of: None if it names these classes.

    Raises:
        SpecError: It cannot be read. DataError: It names other classes.
    """
    path = Path(path)
    try:
        named = json.loads(_identify(path)[1].get("class_names", "null"))
    except (ValueError, RecursionError):
        named = False
    if named is None:
        return f"adapter {path} does not name the classes it was trained on; nobody knows if they are these"
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise DataError(f"adapter {path} is damaged: its class_names are no list of names")
    dataset.require_classes(named, path)
    return None


def adapter_hash(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of an adapter file.

    Raises:
        SpecError: There is no such file.
    """
    if not path.is_file():
        raise SpecError(f"adapter {path} cannot be read: it does not exist; expected a file made by --save-adapter")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def resolve_tuner(registry: Registry, request: Request, model: Resolved) -> tuple[Resolved, ResolvedAttack | None]:
    """Return the tuner with its parameters, and the attack that makes its training images, if any.

    A parameter is taken from the tuner's text or a flag; else from what `model` recommends; else it is the default.

    Raises:
        SpecError: A name or parameter is wrong, or is given twice.
    """
    name = parse_name(request.tuner)
    typed = {key: value for key, value in name.params if not key.startswith(SURROGATE_PREFIX)}
    surrogate = [f"{key}={value}" for key, value in name.params if key.startswith(SURROGATE_PREFIX)]
    flags = {"epochs": request.epochs, "lr": request.lr, "batch_size": request.batch_size}
    given = {key: str(value) for key, value in flags.items() if value is not None}
    for key in given.keys() & typed.keys():
        raise SpecError(f"{key} is given both in {request.tuner!r} and as --{key.replace('_', '-')}; give it once")
    _, component = registry.find("tuner", name.text, lambda better: request.tuner.replace(name.text, better, 1))
    recommended = recommendations(model.component, component)
    params = ",".join(f"{key}={value}" for key, value in {**typed, **given}.items())
    tuner = registry.resolve("tuner", name.text + (f":{params}" if params else ""), recommended)
    adversary = tuner.build().adversary()
    if adversary is None:
        if surrogate:
            raise SpecError(f"tuner {name.text!r} trains on no attack, so {surrogate[0]} does nothing; leave it out")
        return tuner, None
    if surrogate:
        adversary += ("," if ":" in adversary else ":") + ",".join(surrogate)
    attack = registry.resolve_attack(adversary)
    if attack.n is not None:
        raise SpecError(f"n={attack.n} in the adversary of {name.text!r} does nothing; use --train-size")
    return tuner, attack
