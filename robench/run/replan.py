"""From a record back to its plan, made from its typed spec alone: nothing is taken from a command line."""

from __future__ import annotations

from pathlib import Path

from robench.contracts.types import Kind
from robench.errors import SpecError
from robench.records.record import AttackSpec, ComponentSpec, RunSpec
from robench.registry.registry import Registry
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.run.given import refuse_given
from robench.run.others import scored_spec
from robench.run.plan import Plan
from robench.run.requested_tuner import adapter_hash
from robench.run.specs import attack_spec, component_spec, defence_spec


def replan(registry: Registry, spec: RunSpec) -> Plan:
    """Return the plan of a recorded run, made from its typed spec alone: nothing is taken from a command line.

    Raises:
        SpecError: A component is unknown, or has other parameters or defaults here; an adapter file is another; or the
            network was given in Python.
    """
    refuse_given(spec.model.label)
    if spec.adapter is not None and (found := adapter_hash(Path(spec.adapter.path))) != spec.adapter.sha256:
        raise SpecError(f"adapter {spec.adapter.path} is {found}; the run was made with {spec.adapter.sha256}")

    def part(kind: Kind, asked: ComponentSpec) -> Resolved:
        return registry.again(kind, asked.name, asked.params, asked.label)

    def attack(asked: AttackSpec) -> ResolvedAttack:
        theirs = asked.surrogate
        surrogate = None if theirs is None else registry.again("model", theirs.name, theirs.params, theirs.label)
        own = vars(part("attacker", asked))
        found = ResolvedAttack(**own, surrogate=surrogate, n=asked.n, samples=asked.samples, aware=asked.aware)
        return found.bound(registry)

    planned = Plan(
        spec=spec,
        dataset=part("dataset", spec.dataset),
        model=part("model", spec.model),
        tuner=part("tuner", spec.tuner),
        adversary=attack(spec.adversary) if spec.adversary else None,
        attacks=tuple(attack(each) for each in spec.attacks),
        eval_datasets=tuple(part("dataset", other) for other in spec.eval_datasets),
        defences=tuple(part("defence", each) for each in spec.defences),
        corruptions=tuple(part("corruption", each) for each in spec.corruptions),
    )
    here = spec.model_copy(
        update={
            "dataset": component_spec(planned.dataset),
            "model": component_spec(planned.model),
            "tuner": component_spec(planned.tuner),
            "adversary": attack_spec(planned.adversary, spec.train_size or 0) if planned.adversary else None,
            "attacks": tuple(attack_spec(each, spec.test_size) for each in planned.attacks),
            "eval_datasets": tuple(
                scored_spec(other, asked.n)
                for other, asked in zip(planned.eval_datasets, spec.eval_datasets, strict=True)
            ),
            "defence": defence_spec(planned.defences),
            "corruptions": tuple(
                scored_spec(each, asked.n) for each, asked in zip(planned.corruptions, spec.corruptions, strict=True)
            ),
        }
    )
    if here.run_id() != spec.run_id():
        raise SpecError(
            f"run {spec.run_id()} is run {here.run_id()} here: a component has other parameters or defaults now"
        )
    if (spec.train_size is not None) != (planned.tuner.build().trains and spec.adapter is None):
        raise SpecError(f"run {spec.run_id()} has train_size {spec.train_size}, which does not suit its tuner")
    return planned
