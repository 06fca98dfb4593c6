"""From what the user typed to a complete plan: everything is checked before data or weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from robench.compute.precision import DEFAULT, LEVELS, precision_on
from robench.contracts.context import RunContext
from robench.contracts.dataset import Dataset, SplitName
from robench.contracts.types import Component
from robench.errors import SpecError, nearest
from robench.records.labels import attack_label, command_of
from robench.records.limits import MOST_NUMBER
from robench.records.record import RunSpec
from robench.registry.discovery import Plugin
from robench.registry.registry import Registry
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.run.data import check_sizes, count, few, lacks, visits
from robench.run.given import refuse_given
from robench.run.others import Size, described, resolve_corruptions, scored_spec, within, without_n
from robench.run.requested_tuner import check_adapter, read_adapter, resolve_tuner
from robench.run.specs import against, attack_spec, attacked_as, component_spec, defence_spec
from robench.storage.location import Location, local_folder, shared_folder

if TYPE_CHECKING:
    import torch

DEFAULT_DATASET = "leaf-synth"
DEFAULT_MODEL = "clip-tiny"
DEFAULT_TUNER = "none"
DEFAULT_ATTACKS = ("pgd-resnet20", "pgd:eps=2/255,n=500", "pgd:n=100")
"""What transfers at 8/255, a white-box attack at a radius that tells methods apart, and what is left at 8/255."""
DEFAULT_TRAIN_SIZE = 2000
DEFAULT_TEST_SIZE = 1000
SPLITS = ("test", "validation")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run as the user typed it; None where nothing was typed.

    Attributes:
        dataset: A name with its parameters, such as ``leaf-synth:size=64``; so are model, tuner and attacks.
        model: None for what suits the dataset.
        attacks: None for ``DEFAULT_ATTACKS``, on no more images than there are; empty for no attack.
        train_size: Number of images, or ``all`` of the split; so is `test_size`.
        shots: Training images of each class, in place of `train_size`.
        split: The split that is scored, one of ``SPLITS``.
        epochs: Shorthand for the tuner's parameter of that name; so are `lr` and `batch_size`.
        white_box: Add the white-box twin if all attacks are transfer attacks.
        eval_datasets: Other datasets to score the tuned model on.
        corruptions: Corruptions of the dataset's images to score it on.
        adapter: A file of ``--save-adapter``, loaded in place of training.
        protocol: Shorthand for the dataset's parameter of that name.
        precision: One of ``robench.compute.precision.LEVELS``.
        defence: What answers in place of the tuned network, or several, the one that meets images first; None for the
            network itself.
        suite: The suite that the run is made for, with the hash of its content; it does not change the run ID.
    """

    dataset: str = DEFAULT_DATASET
    model: str | None = None
    tuner: str = DEFAULT_TUNER
    attacks: tuple[str, ...] | None = None
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
    corruptions: tuple[str, ...] = ()
    adapter: str | None = None
    protocol: str | None = None
    precision: str = DEFAULT
    defence: str | tuple[str, ...] | None = None
    suite: str | None = None


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
    defences: tuple[Resolved, ...] = ()
    corruptions: tuple[Resolved, ...] = ()
    suite: str | None = None

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
        rows += [("defence", each.label) for each in spec.defences]
        rows.append(("clean", f"{spec.test_size} {spec.split} images"))
        for attack, resolved in zip(spec.attacks, self.attacks, strict=True):
            label = attack_label(attack.label, attack.n, spec.test_size)
            way = f"; {way}" if (way := attacked_as(resolved, self.defences)) else ""
            rows.append(("attack", f"{label} ({resolved.threat()}{way}), {attack.n} {spec.split} images"))
        for other in spec.eval_datasets:
            rows.append(("also on", attack_label(other.label, spec.scored(other), spec.test_size)))
        for asked, part in zip(spec.corruptions, self.corruptions, strict=True):
            rows.append(("corrupted", described(asked.label, part.build(), spec.scored(asked))))
        rows += [("suite", self.suite)] if self.suite else []
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
        resolved = [self.dataset, self.model, self.tuner, *self.attacks, *self.eval_datasets, *self.corruptions]
        resolved += [*([self.adversary] if self.adversary else []), *self.defences]
        resolved += [a.surrogate for a in (*self.attacks, self.adversary) if a and a.surrogate]
        return {name: origin for part in resolved for name, origin in part.origins.items()}


def plan(registry: Registry, request: Request, model: Resolved | None = None) -> Plan:
    """Resolve and check everything the user typed; a `model` that is given takes the place of the one typed.

    If all attacks are transfer attacks, or unaware of the defence, the white-box twin of the first one is added: such
    attacks alone make a model look more robust than it is. ``white_box=False`` leaves it out.

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
    typed = [without_n(text) for text in request.eval_datasets]
    others = tuple(registry.resolve("dataset", text) for text, _ in typed)
    named = (request.defence,) if isinstance(request.defence, str) else request.defence or ()
    defences = tuple(registry.resolve("defence", text) for text in named)
    corrupted = resolve_corruptions(registry, request.corruptions)
    asked = DEFAULT_ATTACKS if request.attacks is None else request.attacks
    attacks = [registry.resolve_attack(text) for text in asked]
    transferred = [attack for attack in attacks if attack.threat().knowledge in ("transfer", "unaware")]
    controls = [attack for attack in attacks if attack.threat().knowledge == "nothing"]
    twins = [attack for attack in transferred if attack.surrogate is not None or attack.aware == "no"]
    if request.white_box and twins and len(transferred) + len(controls) == len(attacks):
        attacks.append(replace(twins[0], surrogate=None, aware="yes"))
    attacks = [against(attack, defences) for attack in attacks]
    trains = tuner.build().trains and adapter is None
    adversary = adversary if trains else None
    if request.train_size != "all" and request.train_size < 1:
        raise SpecError(f"--train-size must be at least 1, or all (got {request.train_size})")
    if request.shots is not None and (request.shots < 1 or request.train_size != DEFAULT_TRAIN_SIZE):
        wrong = "must be at least 1" if request.shots < 1 else f"and --train-size {request.train_size} contradict"
        raise SpecError(f"--shots {request.shots} {wrong}; pass --shots alone, such as --shots 16")
    shots = request.shots if trains else None
    train_size = count(request.train_size, "--train-size", dataset, "train") if trains and shots is None else None
    if shots is not None:
        train_size = len(few(dataset.build().labels("train"), shots, 0))
        if not train_size:
            raise SpecError(lacks(dataset.label, "train"))
    test_size = count(request.test_size, "--test-size", dataset, request.split)
    if request.attacks is None:  # on fewer test images than the default attacks take, they take all
        attacks = [replace(attack, n=min(attack.n, test_size) if attack.n else None) for attack in attacks]
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
        eval_datasets=tuple(
            scored_spec(other, None if n is None else count(n, f"n= of {other.label}", other, request.split))
            for other, (_, n) in zip(others, typed, strict=True)
        ),
        adapter=adapter,
        precision=precision,
        defence=defence_spec(defences),
        corruptions=tuple(scored_spec(part, within(part, n, test_size)) for part, n in corrupted),
    )
    _refuse_repeats("attack", [attack.label for attack in spec.attacks])
    _refuse_repeats("corruption", [part.label for part in spec.corruptions])
    _refuse_repeats("dataset", [part.label for part in (spec.dataset, *spec.eval_datasets)])
    return Plan(
        spec=spec,
        dataset=dataset,
        model=model,
        tuner=tuner,
        adversary=adversary,
        attacks=tuple(attacks),
        eval_datasets=others,
        defences=defences,
        corruptions=tuple(part for part, _ in corrupted),
        suite=request.suite,
    )


def check_files(plan: Plan) -> None:
    """Open the files that the components of a plan name, before anything is loaded or downloaded.

    Raises:
        RobenchError: One is missing, or is not what it should be.
    """
    networks = [plan.model, *(each.surrogate for each in (*plan.attacks, plan.adversary) if each and each.surrogate)]
    dataset, *others = (each.build() for each in (plan.dataset, *plan.eval_datasets))
    more = [plan.tuner, *plan.defences, *plan.corruptions]
    for part in (dataset, *others, *(each.build() for each in (*networks, *plan.attacks, *more))):
        part.check_files()
    for network in networks:
        network.build().check_classes(dataset)
    if plan.spec.adapter is not None:
        check_adapter(plan.spec.adapter.path, dataset)
    wanted: dict[SplitName, int] = {plan.spec.split: plan.spec.test_size}
    check_sizes(dataset, {"train": plan.spec.train_size or 0, **wanted})
    for other, asked in zip(others, plan.spec.eval_datasets, strict=True):
        check_sizes(other, {plan.spec.split: plan.spec.scored(asked)})


def _refuse_repeats(what: str, labels: list[str]) -> None:
    if len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        raise SpecError(f"{what} {label!r} is asked for twice; leave one out")
