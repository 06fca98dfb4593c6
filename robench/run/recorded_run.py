"""Carry out a plan and keep its record, unless its record is there: what the command and ``robench.run`` do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robench.compute.launch import joined
from robench.errors import SpecError, nearest
from robench.registry.registry import Registry
from robench.run.identity import Found
from robench.run.plan import Plan, Request
from robench.storage.location import Location, local_folder, make_writable, prepare_cache
from robench.storage.whole_file import draft_beside

if TYPE_CHECKING:
    from robench.checks.certificate import Level
    from robench.records.record import RunResult


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how a run is carried out, none of which changes its run ID.

    Attributes:
        results: Where the record goes; None to keep none.
        cache_dir: The cache, which may be emptied at any time.
        device: As of ``--device``.
        checks: How thoroughly the run is checked.
        loggers: Who is told of the run, as typed after ``--log``.
        compiled: As of ``--compile``.
        force: Measure also if there is a record.
        save_adapter: A new file for what is trained; the run is measured for it.
        save_images: A new folder for the images; the run is measured for it.
    """

    results: Location | None
    cache_dir: Location
    device: str = "auto"
    checks: Level = "fast"
    loggers: tuple[str, ...] = ()
    compiled: bool = False
    force: bool = False
    save_adapter: Path | None = None
    save_images: Path | None = None

    @property
    def anew(self) -> bool:
        """Whether to measure also if there is a record."""
        return self.force or self.save_adapter is not None or self.save_images is not None

    def check(self, plan: Plan) -> None:
        """Refuse an unknown level of checks, and files and folders that could not be written.

        Raises:
            SpecError: It is, nothing is trained that could be saved, a folder is missing, or a file is there already.
        """
        from robench.checks.certificate import LEVELS

        if self.checks not in LEVELS:
            raise SpecError(f"unknown level of checks {self.checks!r}{nearest(self.checks, LEVELS)}")
        if self.save_adapter is not None:
            _check_new_file(self.save_adapter, plan)
        if self.save_images is not None:
            _check_new_folder(self.save_images)


def refuse_unused(request: Request, plan: Plan) -> None:
    """Refuse what was asked for a single run and does nothing in it. Runs of a sweep share options that some ignore.

    Raises:
        SpecError: There are shots, and nothing is trained.
    """
    if request.shots is not None and plan.spec.shots is None:
        raise SpecError(
            f"--shots {request.shots} does nothing, because tuner {plan.spec.tuner.label!r} trains nothing here; leave "
            "it out, or name a tuner that trains, such as --tuner head+ce"
        )


def recorded_run(
    registry: Registry,
    plan: Plan,
    found: Found,
    setting: Setting,
    *,
    say: Callable[[str], None] = lambda message: None,
    bars: contextlib.AbstractContextManager[None] | None = None,
) -> tuple[RunResult | None, bool]:
    """Return the record of `plan`, and whether it was measured now.

    Args:
        found: The record that stands for it, as of :func:`robench.run.identity.recorded`.
        say: Is told why a recorded run is measured again.
        bars: Shows the progress of the hooks of `registry` while the run goes on.

    Returns:
        None in place of the record in all processes but the main one.

    Raises:
        RobenchError: The run failed; its record was kept.
        UnsavedError: The record could not be kept anywhere; the error has it.
    """
    from robench.compute.device import resolve_device
    from robench.records.shared_store import store_at
    from robench.run.runner import run as carry_out

    with joined(setting.device) as (world, own):
        result = done = world.from_main(found.record)
        if done is not None and not setting.anew:
            return (done if world.is_main else None), False
        where, rescue = resolve_device(own), local_folder(setting.cache_dir) / "rescued-results"
        store = None if setting.results is None else store_at(setting.results)
        with contextlib.ExitStack() as around:
            if world.is_main:
                for note in found.notes if done is None else ():
                    say(f"measured again: {note}")
                around.enter_context(_kept(registry, setting))
                around.enter_context(bars or contextlib.nullcontext())
            result = carry_out(
                registry,
                plan,
                device=where,
                cache_dir=setting.cache_dir,
                save_adapter=setting.save_adapter,
                save_images=setting.save_images,
                checks=setting.checks,
                world=world,
                compiled=setting.compiled,
                save=lambda made: made if store is None else store.write_or_rescue(made, rescue),
                keep=(lambda run_id, samples: None) if store is None else store.keep,
            )
    return (result if world.is_main else None), True


@contextlib.contextmanager
def _kept(registry: Registry, setting: Setting) -> Iterator[None]:
    """Prepare the places that a run writes to, and tell loggers and the folder of records of it."""
    from robench.records.shared_store import store_at
    from robench.run.loggers import listening
    from robench.run.status import status_kept

    with contextlib.ExitStack() as around:
        if setting.results is not None:
            store_at(setting.results).prepare()
        prepare_cache(setting.cache_dir)
        around.enter_context(listening(registry, setting.loggers))
        if setting.results is not None:
            around.enter_context(status_kept(registry.manager, setting.results))
        yield


def remarks(result: RunResult) -> Iterator[str]:
    """Yield what a person should know of a new record: notes on the data, checks that do not pass, and warnings."""
    for note in result.data.notes if result.data else ():
        yield f"{result.spec.dataset.name}: {note}"
    for check in result.checks_worst_first:
        if check.verdict != "pass":
            about = f" of {check.attack}" if check.attack else ""
            yield f"check {check.verdict}: {check.name}{about}: {check.reason}"
    for warning in result.warnings:
        yield f"warning: {warning}"


def _check_new_file(path: Path, plan: Plan) -> None:
    if plan.spec.train_size is None:
        raise SpecError(f"--save-adapter {path}: tuner {plan.spec.tuner.name!r} trains nothing here; leave it out")
    if not path.absolute().parent.is_dir():
        raise SpecError(f"--save-adapter {path}: there is no folder {path.parent}; make it first")
    try:
        if path.exists():
            raise SpecError(f"--save-adapter {path}: the file exists and is not overwritten; name a new file")
        # Never the file itself, which other processes of the run look for; the draft's name is longer than the file's.
        draft = draft_beside(path)
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise SpecError(f"--save-adapter {path} cannot be written: {error.strerror}; name another file") from None


def _check_new_folder(path: Path) -> None:
    try:
        if path.exists() and any(path.iterdir()):
            raise SpecError(
                f"--save-images {path}: the folder is not empty, and nothing is overwritten; name a new one"
            )
        # Not the folder itself if it is new, because other processes of the run look for it.
        make_writable(next(each for each in (path, *path.absolute().parents) if each.exists()))
    except OSError as error:
        raise SpecError(f"--save-images {path} cannot be written: {error.strerror}; name another folder") from None
