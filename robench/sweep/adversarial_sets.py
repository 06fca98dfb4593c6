"""The adversarial sets that runs need; those made on surrogates are shared, and can be made before the runs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from robench.attack.adversary import Adversaries
from robench.compute.precision import ieee, precision_on
from robench.contracts.context import RunContext
from robench.contracts.dataset import SplitName
from robench.networks.fast_functions import fast_functions
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.run.data import load_split
from robench.run.plan import Plan
from robench.storage.location import Location, local_folder, shared_folder


class WantedSet(NamedTuple):
    """The first `n` images of a split, attacked for a `purpose`: ``train``, ``validation`` or ``test``."""

    dataset: Resolved
    split: SplitName
    n: int
    purpose: str
    attack: ResolvedAttack


def sets_of(plan: Plan) -> dict[str, WantedSet]:
    """Return the sets that a run needs by their keys; two runs have a key in common if they can share that set."""
    spec = plan.spec
    scored = [spec.test_size, *(spec.scored(other) for other in spec.eval_datasets)]
    found = [
        WantedSet(dataset, spec.split, spec.attacked(chosen, n), "test", attack)
        for dataset, n in zip((plan.dataset, *plan.eval_datasets), scored, strict=True)
        for attack, chosen in zip(plan.attacks, spec.attacks, strict=True)
    ]
    if plan.adversary is not None:
        validated: int = spec.tuner.params.get("validate_on", 0)
        found.append(WantedSet(plan.dataset, "train", spec.train_size or 0, "train", plan.adversary))
        found.append(WantedSet(plan.dataset, "validation", validated, "validation", plan.adversary))
    return {_key(plan, each): each for each in found if each.n}


def _key(plan: Plan, wanted: WantedSet) -> str:
    dataset, split, n, purpose, attack = wanted
    owner: object = plan.spec.run_id()
    if attack.surrogate is not None:  # no target, so only the seed and the precision of the run count
        owner = (attack.surrogate.name, attack.surrogate.values(), plan.spec.seed, plan.spec.precision)
    images = (n, plan.spec.shots if purpose == "train" else None)
    return repr((dataset.name, dataset.values(), split, images, purpose, attack.name, attack.values(), owner))


@ieee()
@fast_functions()
def make_set(plan: Plan, key: str, *, device: torch.device, cache_dir: Location, compiled: bool = False) -> None:
    """Make the set `key` of a run, which is made on a surrogate, in the cache, as the run itself would."""
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
    data = load_split(context, wanted.split, wanted.n, shots=spec.shots if wanted.purpose == "train" else None)
    Adversaries.of(context).attacked(wanted.attack, nn.Identity(), data, wanted.purpose)
