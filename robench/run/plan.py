"""From what the user typed to a complete plan: everything is checked before data or weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from robench.compute.precision import DEFAULT, LEVELS, precision_on
from robench.contracts.context import RunContext
from robench.contracts.dataset import Dataset, SplitName
from robench.contracts.types import Component
from robench.errors import SpecError, nearest
from robench.records.labels import attack_label, command_of
from robench.records.limits import MOST_NUMBER
from robench.records.record import AttackSpec, ComponentSpec, RunSpec
from robench.registry.discovery import Plugin
from robench.registry.registry import Registry
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.run.data import check_sizes, few, lacks, visits
from robench.run.given import refuse_given
from robench.run.requested_tuner import read_adapter, resolve_tuner
from robench.storage.location import Location, local_folder, shared_folder

if TYPE_CHECKING:
    import torch

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
    """A run as the user typed it; None where nothing was typed.

    Attributes:
        dataset: A name with its parameters, such as ``leaf-synth:size=64``; so are model, tuner and attacks.
        model: None for what suits the dataset.
        attacks: Empty for ``DEFAULT_ATTACKS``.
        train_size: Number of images, or ``all`` of the split; so is `test_size`.
        shots: Training images of each class, in place of `train_size`.
        split: The split that is scored, one of ``SPLITS``.
        epochs: Shorthand for the tuner's parameter of that name; so are `lr` and `batch_size`.
        white_box: Add the white-box twin if all attacks are transfer attacks.
        eval_datasets: Other datasets to score the tuned model on.
        adapter: A file of ``--save-adapter``, loaded in place of training.
        protocol: Shorthand for the dataset's parameter of that name.
        precision: One of ``robench.compute.precision.LEVELS``.
    """

    dataset: str = DEFAULT_DATASET
    model: str | None = None
    tuner: str = DEFAULT_TUNER
    attacks: tuple[str, ...] = ()
    train_size: Size = DEFAULT_TRAIN_SIZE
    test_size: Size = DEFAULT_TEST_SIZE
    shots: int | None = None
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
        """Return what will be done, as names and descriptions for a person to read."""
        spec = self.spec
        rows = [("dataset", spec.dataset.label), ("model", spec.model.label), ("tuner", spec.tuner.label)]
        if spec.train_size is not None:
            trained_on = f", {self.adversary.label} ({self.adversary.threat()})" if self.adversary else ""
            each = f", {spec.shots} a class" if spec.shots else ""
            rows.append(("training", f"{spec.train_size} images{each}, {visits(spec)}{trained_on}"))
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
        """Return the names of the modules of the components."""
        targets = [component.target.partition(":") for _, component in self._origins().values()]
        return {module for module, colon, _ in targets if colon}

    def context(self, dataset: Dataset, device: torch.device, cache_dir: Location, **more: Any) -> RunContext:
        """Return what the components of this run may know about it.

        Args:
            dataset: The run's dataset, built.
            cache_dir: The cache, which may be emptied at any time.
            more: Other fields of :class:`robench.contracts.context.RunContext`.
        """
        return RunContext(
            dataset=dataset,
            dataset_name=self.spec.dataset.name,
            device=device,
            seed=self.spec.seed,
            cache_dir=local_folder(cache_dir),
            shared=shared_folder(cache_dir),
            precision=precision_on(self.spec.precision, device),
            **more,
        )

    def _origins(self) -> dict[str, tuple[Plugin, Component]]:
        resolved = [self.dataset, self.model, self.tuner, *self.attacks, *self.eval_datasets]
        resolved += [self.adversary] if self.adversary else []
        resolved += [a.surrogate for a in (*self.attacks, self.adversary) if a and a.surrogate]
        return {name: origin for part in resolved for name, origin in part.origins.items()}


def plan(registry: Registry, request: Request, model: Resolved | None = None) -> Plan:
    """Resolve and check everything the user typed; a `model` that is given takes the place of the one typed.

    If all attacks are transfer attacks, the white-box twin of the first one is added: transfer attacks alone make a
    model look more robust than it is. ``white_box=False`` leaves it out.

    Raises:
        SpecError: A name, parameter or size is wrong.
    """
    if request.split not in SPLITS:
        raise SpecError(f"cannot score split {request.split!r}{nearest(request.split, SPLITS)}")
    if (precision := next((level for level in LEVELS if level == request.precision), None)) is None:
        raise SpecError(f"cannot compute in precision {request.precision!r}{nearest(request.precision, LEVELS)}")
    if request.seed < 0:
        raise SpecError(f"--seed must not be negative (got {request.seed})")
    if request.seed > MOST_NUMBER:
        raise SpecError(f"--seed must be below 2**63 (got {str(request.seed)[:40]})")
    protocol = (
        "" if request.protocol is None else f"{',' if ':' in request.dataset else ':'}protocol={request.protocol}"
    )
    dataset = registry.resolve("dataset", request.dataset + protocol)
    adapter, request = read_adapter(request, registry)
    if model is None:
        refuse_given(request.model or "")
        model = registry.resolve("model", request.model or dataset.component.recommends.get("model", DEFAULT_MODEL))
    tuner, adversary = resolve_tuner(registry, request, model)
    others = tuple(registry.resolve("dataset", text) for text in request.eval_datasets)
    attacks = [registry.resolve_attack(text) for text in request.attacks or DEFAULT_ATTACKS]
    transferred = [attack for attack in attacks if attack.threat().knowledge == "transfer"]
    controls = [attack for attack in attacks if attack.threat().knowledge == "nothing"]
    twins = [attack for attack in transferred if attack.surrogate is not None]
    if request.white_box and twins and len(transferred) + len(controls) == len(attacks):
        attacks.append(replace(twins[0], surrogate=None))
    trains = tuner.build().trains and adapter is None
    adversary = adversary if trains else None
    if request.train_size != "all" and request.train_size < 1:
        raise SpecError(f"--train-size must be at least 1, or all (got {request.train_size})")
    if request.shots is not None and (request.shots < 1 or request.train_size != DEFAULT_TRAIN_SIZE):
        wrong = "must be at least 1" if request.shots < 1 else f"and --train-size {request.train_size} contradict"
        raise SpecError(f"--shots {request.shots} {wrong}; pass --shots alone, such as --shots 16")
    shots = request.shots if trains else None
    train_size = _count(request.train_size, "--train-size", dataset, "train") if trains and shots is None else None
    if shots is not None:
        train_size = len(few(dataset.build().labels("train"), shots, 0))
        if not train_size:
            raise SpecError(lacks(dataset.label, "train"))
    test_size = _count(request.test_size, "--test-size", dataset, request.split)
    spec = RunSpec(
        dataset=component_spec(dataset),
        model=component_spec(model),
        tuner=component_spec(tuner),
        adversary=attack_spec(adversary, train_size) if adversary and train_size else None,
        attacks=tuple(attack_spec(attack, test_size) for attack in attacks),
        train_size=train_size,
        shots=shots,
        split=request.split,
        test_size=test_size,
        seed=request.seed,
        eval_datasets=tuple(component_spec(other) for other in others),
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


def check_files(plan: Plan) -> None:
    """Open the files that the components of a plan name, before anything is loaded or downloaded.

    Raises:
        RobenchError: One is missing, or is not what it should be.
    """
    networks = [plan.model, *(each.surrogate for each in (*plan.attacks, plan.adversary) if each and each.surrogate)]
    dataset, *others = (each.build() for each in (plan.dataset, *plan.eval_datasets))
    for part in (dataset, *others, *(each.build() for each in (*networks, *plan.attacks))):
        part.check_files()
    wanted: dict[SplitName, int] = {plan.spec.split: plan.spec.test_size}
    check_sizes(dataset, {"train": plan.spec.train_size or 0, **wanted})
    for other in others:
        check_sizes(other, wanted)


def _count(size: Size, option: str, dataset: Resolved, split: str) -> int:
    """Return the number of images; only ``all`` looks at the data.

    Raises:
        SpecError: It is below 1, or there are none.
        DataError: The dataset cannot say how many there are.
    """
    if size == "all":
        if there := int(dataset.build().size(split)):
            return there
        raise SpecError(lacks(dataset.label, split))
    if isinstance(size, str) or size < 1:
        raise SpecError(f"{option} must be at least 1, or all (got {size!r})")
    return size


def _refuse_repeats(what: str, labels: list[str]) -> None:
    for label in labels:
        if labels.count(label) > 1:
            raise SpecError(f"{what} {label!r} is asked for twice; leave one out")


def component_spec(resolved: Resolved) -> ComponentSpec:
    """Return a component as a record states it."""
    return ComponentSpec(name=resolved.name, params=resolved.values(), label=resolved.label)


def attack_spec(attack: ResolvedAttack, available: int) -> AttackSpec:
    """Return an attack on at most `available` images as a record states it."""
    n = attack.n or available
    if n > available:
        raise SpecError(f"attack {attack.label!r} asks for n={n} images, but the run has only {available}; lower n")
    return AttackSpec(
        name=attack.name,
        params=attack.values(),
        label=attack.label,
        surrogate=component_spec(attack.surrogate) if attack.surrogate else None,
        n=n,
    )
