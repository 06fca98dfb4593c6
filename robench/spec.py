"""From what the user typed to a fully resolved plan, before data, weights or torch's devices are touched."""

from __future__ import annotations

from dataclasses import dataclass, replace

from robench.errors import SpecError, nearest
from robench.provenance import attack_label, command_of
from robench.records import AttackSpec, ComponentSpec, RunSpec
from robench.registry import SURROGATE_PREFIX, Registry, Resolved, ResolvedAttack
from robench.types import parse_name

DEFAULT_DATASET = "leaf-synth"
DEFAULT_MODEL = "clip-tiny"
DEFAULT_TUNER = "none"
DEFAULT_ATTACKS = ("pgd-resnet20", "pgd")
DEFAULT_TRAIN_SIZE = 2000
DEFAULT_TEST_SIZE = 1000
SPLITS = ("test", "validation")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run as asked for, all names still text; ``None`` where the user said nothing.

    ``epochs``, ``lr`` and ``batch_size`` are shorthands for the tuner's parameters of those names.
    """

    dataset: str = DEFAULT_DATASET
    model: str | None = None
    tuner: str = DEFAULT_TUNER
    attacks: tuple[str, ...] = ()
    train_size: int = DEFAULT_TRAIN_SIZE
    test_size: int = DEFAULT_TEST_SIZE
    split: str = "test"
    seed: int = 0
    epochs: int | None = None
    lr: float | None = None
    batch_size: int | None = None
    white_box: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run with every component resolved."""

    spec: RunSpec
    dataset: Resolved
    model: Resolved
    tuner: Resolved
    adversary: ResolvedAttack | None
    attacks: tuple[ResolvedAttack, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return what will be done as names and descriptions, for a person to read."""
        spec = self.spec
        rows = [("dataset", spec.dataset.label), ("model", spec.model.label), ("tuner", spec.tuner.label)]
        if spec.train_size is not None:
            trained_on = f", {self.adversary.label} ({self.adversary.threat()})" if self.adversary else ""
            rows.append(("training", f"{spec.train_size} images{trained_on}"))
        rows.append(("clean", f"{spec.test_size} {spec.split} images"))
        for attack, resolved in zip(spec.attacks, self.attacks, strict=True):
            label = attack_label(attack.label, attack.n, spec.test_size)
            rows.append(("attack", f"{label} ({resolved.threat()}), {attack.n} {spec.split} images"))
        return [*rows, ("seed", str(spec.seed)), ("command", command_of(spec))]

    def plugins(self) -> dict[str, str]:
        """Return the distribution and version each component came from."""
        resolved = [self.dataset, self.model, self.tuner, *self.attacks]
        resolved += [self.adversary] if self.adversary else []
        resolved += [a.surrogate for a in (*self.attacks, self.adversary) if a and a.surrogate]
        return {
            f"{r.component.kind} {r.component.name}": f"{r.plugin.distribution} {r.plugin.version}" for r in resolved
        }


def plan(registry: Registry, request: Request) -> Plan:
    """Resolve and validate everything the user typed.

    A run with transfer attacks alone would pass for more robust than it is, so the first one's white-box twin
    is added unless ``white_box`` is off or the user names a white-box attack.

    Raises:
        SpecError: A name, parameter or size is wrong.
    """
    if request.train_size < 1 or request.test_size < 1:
        raise SpecError("--train-size and --test-size must be at least 1")
    if request.split not in SPLITS:
        raise SpecError(f"cannot score split {request.split!r}{nearest(request.split, SPLITS)}")
    if request.seed < 0:
        raise SpecError(f"--seed must not be negative (got {request.seed})")
    dataset = registry.resolve("dataset", request.dataset)
    model = registry.resolve("model", request.model or dataset.component.recommends.get("model", DEFAULT_MODEL))
    tuner, adversary = _resolve_tuner(registry, request, model)
    attacks = [registry.resolve_attack(text) for text in request.attacks or DEFAULT_ATTACKS]
    threats = [attack.threat() for attack in attacks]
    if request.white_box and attacks and all(threat.knowledge == "transfer" for threat in threats):
        first = attacks[0]
        attacks.append(replace(first, surrogate=None))
    trains = tuner.build().trains
    spec = RunSpec(
        dataset=_spec(dataset),
        model=_spec(model),
        tuner=_spec(tuner),
        adversary=_attack_spec(adversary, request.train_size) if adversary else None,
        attacks=tuple(_attack_spec(attack, request.test_size) for attack in attacks),
        train_size=request.train_size if trains else None,
        split=request.split,
        test_size=request.test_size,
        seed=request.seed,
    )
    seen: set[str] = set()
    for attack in spec.attacks:
        if attack.label in seen:
            raise SpecError(f"attack {attack.label!r} is asked for twice")
        seen.add(attack.label)
    return Plan(spec=spec, dataset=dataset, model=model, tuner=tuner, adversary=adversary, attacks=tuple(attacks))


def _resolve_tuner(registry: Registry, request: Request, model: Resolved) -> tuple[Resolved, ResolvedAttack | None]:
    """Resolve the tuner, flags winning over its own text and that over what the model recommends for it."""
    name = parse_name(request.tuner)
    typed = {key: value for key, value in name.params if not key.startswith(SURROGATE_PREFIX)}
    surrogate = [f"{key}={value}" for key, value in name.params if key.startswith(SURROGATE_PREFIX)]
    flags = {"epochs": request.epochs, "lr": request.lr, "batch_size": request.batch_size}
    given = {key: str(value) for key, value in flags.items() if value is not None}
    for key in given.keys() & typed.keys():
        raise SpecError(f"{key} is given both in {request.tuner!r} and as --{key.replace('_', '-')}")
    recommended = dict(model.component.recommends.get(name.text, {}))
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
    return ComponentSpec(name=resolved.name, params=resolved.params.as_dict(), label=resolved.label)


def _attack_spec(attack: ResolvedAttack, available: int) -> AttackSpec:
    n = attack.n or available
    if n > available:
        raise SpecError(f"attack {attack.label!r} asks for n={n} images, but the run has only {available}")
    return AttackSpec(
        **_spec(attack).model_dump(),
        surrogate=_spec(attack.surrogate) if attack.surrogate else None,
        n=n,
    )
