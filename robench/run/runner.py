"""Carry out one run and write its record: ``run`` is where every record of robench is made."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch

from robench.checks.certificate import Level
from robench.compute.precision import ieee
from robench.compute.software import software
from robench.compute.world import ALONE, World
from robench.contracts.context import Progress
from robench.networks.fast_functions import fast_functions
from robench.networks.memory import keep_freed_memory
from robench.records.record import RunError, RunResult, Status
from robench.records.samples import Samples
from robench.registry.discovery import plugin_manager
from robench.registry.registry import Registry
from robench.run.dataset_cache import DatasetCache
from robench.run.findings import Findings
from robench.run.hooks import call_hook
from robench.run.identity import as_read, contents_of
from robench.run.plan import Plan
from robench.run.provenance import capture
from robench.run.stages import measure
from robench.storage.checkpoint import Checkpoint
from robench.storage.location import Location, local_folder, shared_folder


@ieee()
@fast_functions()
def run(
    registry: Registry,
    plan: Plan,
    *,
    device: torch.device,
    cache_dir: Location,
    save: Callable[[RunResult], RunResult],
    keep: Callable[[str, Samples], None] = lambda run_id, samples: None,
    save_adapter: Path | None = None,
    save_images: Path | None = None,
    checks: Level = "off",
    world: World = ALONE,
    dataset_cache: DatasetCache | None = None,
    compiled: bool = False,
) -> RunResult:
    """Carry out `plan` and hand its record to `save`, also when the run fails or is interrupted.

    Args:
        cache_dir: For adversarial sets, trained surrogates and unfinished trainings; may be emptied at any time.
        save: Writes the record and returns it as written, or returns the record that another process wrote before.
        keep: Writes the sample images of a completed run, given the name of its record.
        save_adapter: Where to write what was trained, to be loaded by ``--adapter`` later.
        save_images: A folder for the scored images, clean and attacked.
        checks: How thoroughly to check whether the figures can be trusted; does not change the run ID.
        world: The processes that share the run. Only the main one calls plugins' hooks, `save` and `keep`.
        dataset_cache: Images that an earlier run of this process loaded.
        compiled: Compile networks while they are attacked; does not change the run ID.

    Raises:
        RobenchError: The run failed for a reason that the user or a plugin can mend; its record was saved.
        KeyboardInterrupt: Ctrl-C; the record was saved.
    """
    keep_freed_memory()
    findings, cached_images = Findings(), dataset_cache or DatasetCache()
    started = datetime.now(UTC)
    hooks = (registry.manager if world.is_main else plugin_manager()).hook
    run_id = plan.spec.run_id()
    contents = contents_of(plan, cache_dir)
    checkpoint = Checkpoint(
        local_folder(cache_dir) / "checkpoints" / f"{run_id}.pt",
        {
            "run": run_id,
            **software(device, world.size),
            **{f"content of {role}": sha256 for role, sha256 in contents.hashes.items()},
            **{f"code of {name}": sha256 for name, sha256 in contents.code.items()},
        },
        findings.warn,
        shared=shared_folder(cache_dir),
    )

    def report(progress: Progress) -> None:
        call_hook(hooks.robench_run_progress, findings.warn, progress=progress)

    call_hook(hooks.robench_run_started, findings.warn, spec=plan.spec, run_id=run_id)
    status: Status = "failed"
    hashes = dict(contents.hashes)
    error: RunError | None = None
    try:
        with findings.timed("total"), world.together():
            context = plan.context(
                cached_images.dataset(plan.dataset, contents.hashes),
                device,
                cache_dir,
                report=report,
                warn=findings.warn,
                world=world,
                compiled=compiled,
                component=registry.build,
            )
            measure(
                plan,
                context,
                findings,
                dataset_cache=cached_images,
                checkpoint=checkpoint,
                save_adapter=save_adapter,
                save_images=save_images,
                checks=checks,
            )
        hashes = as_read(contents, contents_of(plan, cache_dir), findings.warn)
        status = "completed"
    except KeyboardInterrupt:
        status, error = "interrupted", RunError(type="KeyboardInterrupt", message="interrupted by the user")
        raise
    except Exception as failure:
        error = RunError(type=type(failure).__name__, message=str(failure))
        raise
    finally:
        made = RunResult(
            run_id=run_id,
            status=status,
            error=error,
            spec=plan.spec,
            provenance=capture(plan, device, started, processes=world.size, compiled=compiled, contents=hashes),
            **findings.fields(),
        )
        result = save(made) if world.is_main else made
        if status == "completed" and world.is_main:
            checkpoint.remove()
        call_hook(hooks.robench_run_finished, warnings.warn, result=result)
    is_ours = result == made.model_copy(update={"run_id": result.run_id})
    if findings.samples is not None and is_ours:
        keep(result.run_id, findings.samples)
    return result
