"""From what the user typed to a fully resolved plan, before data, weights or torch's devices are touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from robench.compute.precision import DEFAULT, LEVELS
from robench.contracts.types import Component, parse_name
from robench.errors import SpecError, nearest
from robench.records.labels import attack_label, command_of
from robench.records.record import AdapterSpec, AttackSpec, ComponentSpec, RunSpec
from robench.registry.discovery import Plugin
from robench.registry.registry import Registry, halves_of
from robench.registry.resolved import SURROGATE_PREFIX, Resolved, ResolvedAttack

DEFAULT_DATASET = "leaf-synth"
DEFAULT_MODEL = "clip-tiny"
DEFAULT_TUNER = "none"
DEFAULT_ATTACKS = ("pgd-resnet20", "pgd")
DEFAULT_TRAIN_SIZE = 2000
DEFAULT_TEST_SIZE = 1000
SPLITS = ("test", "validation")

Size = int | Literal["all"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run as asked for, all names still text; ``None`` where the user said nothing.

    ``epochs``, ``lr`` and ``batch_size`` are shorthands for the tuner's parameters of those names, ``protocol`` for the
    dataset's. ``adapter`` is a file that an earlier run saved; it is loaded in place of training, and names the tuner
    if nothing else does. A size of ``all`` is that of the split. ``precision`` is one of
    ``robench.compute.precision.LEVELS``.
    """

    dataset: str = DEFAULT_DATASET
    model: str | None = None
    tuner: str = DEFAULT_TUNER
    attacks: tuple[str, ...] = ()
    train_size: Size = DEFAULT_TRAIN_SIZE
    test_size: Size = DEFAULT_TEST_SIZE
    split: str = "test"
    seed: int = 0
    epochs: int | None = None
    lr: float | None = None
    batch_size: int | None = None
    white_box: bool = True
    eval_datasets: tuple[str, ...] = ()
    adapter: str | None = None
    protocol: str | None = None
    precision: str = DEFAULT


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run with every component resolved."""

    spec: RunSpec
    dataset: Resolved
    model: Resolved
    tuner: Resolved
    adversary: ResolvedAttack | None
    attacks: tuple[ResolvedAttack, ...]
    eval_datasets: tuple[Resolved, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Return what will be done as names and descriptions, for a person to read."""
        spec = self.spec
        rows = [("dataset", spec.dataset.label), ("model", spec.model.label), ("tuner", spec.tuner.label)]
        if spec.train_size is not None:
            trained_on = f", {self.adversary.label} ({self.adversary.threat()})" if self.adversary else ""
            rows.append(("training", f"{spec.train_size} images{trained_on}"))
        if spec.adapter is not None:
            rows.append(("adapter", spec.adapter.path))
        rows.append(("clean", f"{spec.test_size} {spec.split} images"))
        for attack, resolved in zip(spec.attacks, self.attacks, strict=True):
            label = attack_label(attack.label, attack.n, spec.test_size)
            rows.append(("attack", f"{label} ({resolved.threat()}), {attack.n} {spec.split} images"))
        rows += [("also on", dataset.label) for dataset in spec.eval_datasets]
        rows += [] if spec.precision == DEFAULT else [("precision", spec.precision)]
        return [*rows, ("seed", str(spec.seed)), ("command", command_of(spec, self.files()))]

    def plugins(self) -> dict[str, str]:
        """Return the distribution and version each component came from."""
        return {name: f"{plugin.distribution} {plugin.version}" for name, (plugin, _) in self._origins().items()}

    def files(self) -> list[str]:
        """Return the single-file plugins that components came from, as typed."""
        return list(dict.fromkeys(plugin.file for plugin, _ in self._origins().values() if plugin.file))

    def modules(self) -> set[str]:
        """Return the modules that the components live in."""
        targets = [component.target.partition(":") for _, component in self._origins().values()]
        return {module for module, colon, _ in targets if colon}

    def _origins(self) -> dict[str, tuple[Plugin, Component]]:
        resolved = [self.dataset, self.model, self.tuner, *self.attacks, *self.eval_datasets]
        resolved += [self.adversary] if self.adversary else []
        resolved += [a.surrogate for a in (*self.attacks, self.adversary) if a and a.surrogate]
        return {name: origin for part in resolved for name, origin in part.origins.items()}


def plan(registry: Registry, request: Request) -> Plan:
    """Resolve and validate everything the user typed.

    A run with transfer attacks alone would pass for more robust than it is, so the first one's white-box twin
    is added unless ``white_box`` is off or the user names a white-box attack.

    Raises:
        SpecError: A name, parameter or size is wrong.
    """
    if request.split not in SPLITS:
        raise SpecError(f"cannot score split {request.split!r}{nearest(request.split, SPLITS)}")
    if (precision := next((level for level in LEVELS if level == request.precision), None)) is None:
        raise SpecError(f"cannot compute in precision {request.precision!r}{nearest(request.precision, LEVELS)}")
    if request.seed < 0:
        raise SpecError(f"--seed must not be negative (got {request.seed})")
    dataset = registry.resolve("dataset", _with_protocol(request))
    adapter, request = _read_adapter(request)
    model = registry.resolve("model", request.model or dataset.component.recommends.get("model", DEFAULT_MODEL))
    tuner, adversary = _resolve_tuner(registry, request, model)
    others = tuple(registry.resolve("dataset", text) for text in request.eval_datasets)
    attacks = [registry.resolve_attack(text) for text in request.attacks or DEFAULT_ATTACKS]
    transferred = [attack for attack in attacks if attack.threat().knowledge == "transfer"]
    controls = [attack for attack in attacks if attack.threat().knowledge == "nothing"]
    if request.white_box and transferred and len(transferred) + len(controls) == len(attacks):
        attacks.append(replace(transferred[0], surrogate=None))
    trains = tuner.build().trains and adapter is None
    adversary = adversary if trains else None
    train_size = _count(request.train_size, "--train-size", dataset, "train") if trains else None
    test_size = _count(request.test_size, "--test-size", dataset, request.split)
    spec = RunSpec(
        dataset=_spec(dataset),
        model=_spec(model),
        tuner=_spec(tuner),
        adversary=_attack_spec(adversary, train_size) if adversary and train_size else None,
        attacks=tuple(_attack_spec(attack, test_size) for attack in attacks),
        train_size=train_size,
        split=request.split,
        test_size=test_size,
        seed=request.seed,
        eval_datasets=tuple(_spec(other) for other in others),
        adapter=adapter,
        precision=precision,
    )
    _refuse_repeats("attack", [attack.label for attack in spec.attacks])
    _refuse_repeats("dataset", [part.label for part in (spec.dataset, *spec.eval_datasets)])
    return Plan(
        spec=spec,
        dataset=dataset,
        model=model,
        tuner=tuner,
        adversary=adversary,
        attacks=tuple(attacks),
        eval_datasets=others,
    )


def _with_protocol(request: Request) -> str:
    if request.protocol is None:
        return request.dataset
    return f"{request.dataset}{',' if ':' in request.dataset else ':'}protocol={request.protocol}"


def _count(size: Size, option: str, dataset: Resolved, split: str) -> int:
    """Return the number of images meant; only ``all`` looks at the data.

    Raises:
        SpecError: It is below 1.
        DataError: The dataset cannot say how many there are.
    """
    if size == "all":
        return int(dataset.build().size(split))
    if size < 1:
        raise SpecError(f"{option} must be at least 1, or all (got {size})")
    return size


def _refuse_repeats(what: str, labels: list[str]) -> None:
    for label in labels:
        if labels.count(label) > 1:
            raise SpecError(f"{what} {label!r} is asked for twice")


def _read_adapter(request: Request) -> tuple[AdapterSpec | None, Request]:
    """Return the adapter's identity, and the request with the tuner and model that it was trained with."""
    if request.adapter is None:
        return None, request
    sha256, made_with = _identify(Path(request.adapter))
    for key in ("tuner", "model"):
        asked, default = getattr(request, key), Request.__dataclass_fields__[key].default
        if asked not in (default, made_with[key]):
            raise SpecError(
                f"adapter {request.adapter} holds {key} {made_with[key]!r}, not {asked!r}; leave --{key} out"
            )
    if (request.epochs, request.lr, request.batch_size) != (None, None, None):
        raise SpecError("--epochs, --lr and --batch-size mean nothing to an adapter, which is trained already")
    adapted = replace(request, tuner=made_with["tuner"], model=made_with["model"])
    return AdapterSpec(sha256=sha256, path=request.adapter), adapted


def _identify(path: Path) -> tuple[str, dict[str, str]]:
    """Return the hash of an adapter file and what it says of its making, reading no tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            made_with = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        reason = "it does not exist" if not path.exists() else str(error)
        raise SpecError(f"adapter {path} cannot be read: {reason}; expected a file made by --save-adapter") from None
    if not {"tuner", "model", "model_fingerprint"} <= made_with.keys():
        raise SpecError(f"{path} says nothing of its tuner and model; expected a file made by --save-adapter")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16], made_with


def _resolve_tuner(registry: Registry, request: Request, model: Resolved) -> tuple[Resolved, ResolvedAttack | None]:
    """Resolve the tuner, flags winning over its own text and that over what the model recommends for it."""
    name = parse_name(request.tuner)
    typed = {key: value for key, value in name.params if not key.startswith(SURROGATE_PREFIX)}
    surrogate = [f"{key}={value}" for key, value in name.params if key.startswith(SURROGATE_PREFIX)]
    flags = {"epochs": request.epochs, "lr": request.lr, "batch_size": request.batch_size}
    given = {key: str(value) for key, value in flags.items() if value is not None}
    for key in given.keys() & typed.keys():
        raise SpecError(f"{key} is given both in {request.tuner!r} and as --{key.replace('_', '-')}")
    suited = model.component.recommends
    _, component = registry.find("tuner", name.text)
    adaptation = (halves_of(component) or ("",))[0]
    recommended = {**suited.get(adaptation, {}), **suited.get(name.text, {})}
    params = ",".join(f"{key}={value}" for key, value in {**typed, **given}.items())
    tuner = registry.resolve("tuner", name.text + (f":{params}" if params else ""), recommended)
    adversary = tuner.build().adversary()
    if adversary is None:
        if surrogate:
            raise SpecError(f"tuner {name.text!r} trains on no attack, so {surrogate[0]} means nothing to it")
        return tuner, None
    if surrogate:
        adversary += ("," if ":" in adversary else ":") + ",".join(surrogate)
    resolved = registry.resolve_attack(adversary)
    if resolved.n is not None:
        raise SpecError(f"n in the adversary of {name.text!r} means nothing; use --train-size")
    return tuner, resolved


def _spec(resolved: Resolved) -> ComponentSpec:
    return ComponentSpec(name=resolved.name, params=resolved.values(), label=resolved.label)


def _attack_spec(attack: ResolvedAttack, available: int) -> AttackSpec:
    n = attack.n or available
    if n > available:
        raise SpecError(f"attack {attack.label!r} asks for n={n} images, but the run has only {available}")
    return AttackSpec(
        **_spec(attack).model_dump(),
        surrogate=_spec(attack.surrogate) if attack.surrogate else None,
        n=n,
    )
