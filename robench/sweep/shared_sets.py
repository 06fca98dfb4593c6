"""Adversarial sets that several runs of a sweep need: those made on surrogates, which do not depend on the target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from robench.attack.adversary import Adversaries
from robench.compute.fast_functions import fast_functions
from robench.compute.precision import ieee, precision_on
from robench.contracts.context import RunContext
from robench.contracts.dataset import SplitName
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.run.data import load_split
from robench.run.plan import Plan
from robench.storage.location import Location, local_folder, shared_folder
from robench.sweep.plan import Job


class SharedSet(NamedTuple):
    """The first `n` images of a split, attacked for a `purpose`: ``train``, ``validation`` or ``test``."""

    dataset: Resolved
    split: SplitName
    n: int
    purpose: str
    attack: ResolvedAttack


def sets_of(plan: Plan) -> dict[str, SharedSet]:
    """Return the sets that a run needs and that are made on surrogates, by all that decides their images."""
    spec = plan.spec
    found = [
        SharedSet(dataset, spec.split, chosen.n, "test", attack)
        for dataset in (plan.dataset, *plan.eval_datasets)
        for attack, chosen in zip(plan.attacks, spec.attacks, strict=True)
    ]
    if plan.adversary is not None:
        sizes: dict[SplitName, int] = {
            "train": spec.train_size or 0,
            "validation": spec.tuner.params.get("validate_on", 0),
        }
        found += [SharedSet(plan.dataset, split, n, split, plan.adversary) for split, n in sizes.items() if n]
    return {_key(plan, each): each for each in found if each.attack.surrogate is not None}


def sets_of_several(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    """Return the runs that need each set, for the sets that more than one run needs."""
    needed: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        for key in sets_of(job.plan):
            needed[key].append(job)
    return {key: needing for key, needing in needed.items() if len(needing) > 1}


@ieee()
@fast_functions()
def make_set(plan: Plan, key: str, *, device: torch.device, cache_dir: Location, compiled: bool = False) -> None:
    """Make the set `key` of a run in the cache, as the run itself would."""
    wanted, spec = sets_of(plan)[key], plan.spec
    context = RunContext(
        dataset=wanted.dataset.build(),
        dataset_name=wanted.dataset.name,
        device=device,
        seed=spec.seed,
        cache_dir=local_folder(cache_dir),
        precision=precision_on(spec.precision, device),
        shared=shared_folder(cache_dir),
        compiled=compiled,
    )
    data = load_split(context, wanted.split, wanted.n)
    Adversaries.of(context).attacked(wanted.attack, nn.Identity(), data, wanted.purpose)


def _key(plan: Plan, wanted: SharedSet) -> str:
    parts = [part for part in (wanted.dataset, wanted.attack, wanted.attack.surrogate) if part is not None]
    named = [(part.name, part.values()) for part in parts]
    return repr((wanted.split, wanted.n, wanted.purpose, plan.spec.seed, plan.spec.precision, named))
