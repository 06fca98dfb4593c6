"""Whether a recorded run still stands for a run that is asked for: the same settings, files, data and plugins.

The settings are in the spec, whose hash is the run ID. The content of files and of plugins that are not robench's own
is not; it is compared here before a record is handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.errors import RobenchError
from robench.records.record import RunResult
from robench.records.spec import content_id
from robench.records.store import Store
from robench.registry.resolved import Resolved, ResolvedAttack
from robench.registry.source_files import foreign_code, own_packages
from robench.run.dataset_cache import DatasetCache
from robench.run.plan import Plan
from robench.storage.content import content_hash
from robench.storage.location import Location, local_folder


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What decides the figures of a run besides its spec.

    Attributes:
        hashes: Of each file and folder, by the component that reads it and the parameter, such as ``model weights``.
        names: Those of them that a parameter names, as the user typed them.
        code: Hashes of the packages of plugins that are not robench's own.
    """

    hashes: Mapping[str, str]
    names: Mapping[str, str]
    code: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The record that stands for a run.

    Attributes:
        record: None if the run must be measured.
        notes: Lines for the user: what has changed since the run was measured, or could not be compared.
    """

    record: RunResult | None
    notes: tuple[str, ...] = ()


def contents_of(plan: Plan, cache_dir: Location, known: dict[Path, str] | None = None) -> Contents:
    """Return the content that decides the figures of `plan`; what does not exist is left out.

    Args:
        cache_dir: The cache, where hashes are kept for as long as files do not change.
        known: Hashes that were found for another plan just now; those of `plan` are added.
    """
    known = {} if known is None else known
    hashes, names = {}, {}
    for role, part in _parts(plan):
        values = part.values()
        for name, path in part.files().items():
            if path not in known:
                known[path] = content_hash(path, local_folder(cache_dir))
            hashes[f"{role} {name}"] = known[path]
            if name in values:
                names[f"{role} {name}"] = str(values[name])
    return Contents(hashes=hashes, names=names, code=foreign_code(plan.modules()))


def changes(record: RunResult, now: Contents) -> list[str]:
    """Return what has other content now than when `record` was made, in words; what a record lacks is not compared."""
    made = record.provenance
    found = []
    for role, sha256 in now.hashes.items():
        if made.contents is not None and made.contents.get(role) != sha256:
            found.append(f"{now.names.get(role, role)} has changed")
    if made.code:
        then = {name: sha256 for name, sha256 in made.code.items() if name not in own_packages()}
        differing = sorted(name for name in {*then, *now.code} if then.get(name) != now.code.get(name))
        found += [f"the code of {name} has changed" for name in differing]
    return list(dict.fromkeys(found))


def recorded(store: Store, plan: Plan, now: Contents) -> Found:
    """Return the record in `store` that stands for `plan`.

    Raises:
        DataError: The store is at a URL that cannot be reached.
    """

    def others() -> list[RunResult]:
        return store.mentioning(now.hashes[role] for role in now.names)  # the others have no path that may differ

    return choose(plan, now, store.repeats(plan.spec.run_id()), others, DatasetCache())


def recorded_among(
    records: Iterable[RunResult], plan: Plan, now: Contents, dataset_cache: DatasetCache | None = None
) -> Found:
    """Return the one of `records` that stands for `plan`.

    Args:
        dataset_cache: Images that were read for another plan, to be compared with records without contents.
    """
    completed = [record for record in records if record.status == "completed"]
    latest = sorted(completed, key=lambda record: record.provenance.started, reverse=True)
    run_id = plan.spec.run_id()
    repeats = [each for each in latest if each.spec.run_id() == run_id]
    return choose(plan, now, repeats, lambda: latest, dataset_cache or DatasetCache())


def choose(
    plan: Plan,
    now: Contents,
    repeats: Sequence[RunResult],
    others: Callable[[], Iterable[RunResult]],
    dataset_cache: DatasetCache,
) -> Found:
    """Return the record that stands for `plan`, the latest if there are several.

    Args:
        repeats: The completed records with the run ID of `plan`, the latest first.
        others: Returns records of which some may be of the same files under other paths.
    """
    changed: list[tuple[RunResult, list[str]]] = []
    for record in repeats:
        found = [*changes(record, now), *_other_images(record, plan, now, dataset_cache)]
        if not found:
            return Found(record=record, notes=_not_compared(record, now))
        changed.append((record, found))
    if now.names:
        wanted = content_id(plan.spec, now.hashes)
        for record in others():
            contents = record.provenance.contents
            if contents and content_id(record.spec, contents) == wanted and not changes(record, now):
                return Found(record=record)
    return Found(
        record=None,
        notes=tuple(f"{', '.join(found)} since run {record.run_id}" for record, found in changed[:1]),
    )


def _not_compared(record: RunResult, now: Contents) -> tuple[str, ...]:
    """Return a note on files that cannot be compared, because the record or the file is missing."""
    contents = record.provenance.contents
    if contents is None:
        names = [name for role, name in now.names.items() if not role.startswith("dataset ")]
        why = "which its record cannot tell; --force measures again"
        return (f"run {record.run_id}: {', '.join(names)} may have changed since, {why}",) if names else ()
    gone = sorted(contents.keys() - now.hashes.keys())
    what = "; ".join(f"the file or folder of its {role} is not here" for role in gone)
    return (f"run {record.run_id} could not be compared: {what}",) if gone else ()


def _other_images(record: RunResult, plan: Plan, now: Contents, dataset_cache: DatasetCache) -> list[str]:
    """Tell whether the scored images are others than in a record without contents, read anew."""
    names = [name for role, name in now.names.items() if role.startswith("dataset ")]
    if record.provenance.contents is not None or record.data is None or not names:
        return []
    try:
        dataset = dataset_cache.dataset(plan.dataset, now.hashes)
        images = dataset_cache.split(dataset, plan.spec.split, plan.spec.test_size)
    except RobenchError:
        return []  # they are not here; the run says so if it must be measured
    same = images.fingerprint() == record.data.test_fingerprint
    return [] if same else [f"the images in {names[0]} have changed"]


def _parts(plan: Plan) -> Iterator[tuple[str, Resolved]]:
    """Yield the components of a plan, named as :func:`robench.records.spec.components_of` names them."""
    yield "dataset", plan.dataset
    yield from ((f"other dataset {number}", part) for number, part in enumerate(plan.eval_datasets, 1))
    yield "model", plan.model
    yield "tuner", plan.tuner
    several = len(plan.defences) > 1
    yield from ((f"defence {number}" if several else "defence", part) for number, part in enumerate(plan.defences, 1))
    yield from ((f"corruption {number}", part) for number, part in enumerate(plan.corruptions, 1))
    attacks: dict[str, ResolvedAttack | None] = {f"attack {n}": attack for n, attack in enumerate(plan.attacks, 1)}
    for role, attack in {"adversary": plan.adversary, **attacks}.items():
        if attack is not None:
            yield role, attack
            if attack.surrogate is not None:
                yield f"surrogate of {role}", attack.surrogate


def as_read(before: Contents, after: Contents, warn: Callable[[str], None]) -> dict[str, str]:
    """Return the hashes of what a run has read; a file that changed meanwhile is named to `warn` and matches nothing.

    Args:
        before: The contents when the run began.
        after: The contents when everything was measured.
    """
    hashes = dict(before.hashes)
    for role in {**before.hashes, **after.hashes}:
        if before.hashes.get(role) != after.hashes.get(role):
            hashes[role] = "changed meanwhile"
            name = {**after.names, **before.names}.get(role, role)
            warn(f"{name} changed while the run was under way, so its figures may mix both contents; run it again")
    return hashes
