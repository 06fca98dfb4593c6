"""The contract of a Logger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from robench.conformance.finding import Finding, rule
from robench.contracts.context import RunContext
from robench.errors import RobenchError
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.run.loggers import listening
from robench.run.plan import Request, plan
from robench.run.runner import run


def check_logger(registry: Registry, text: str, request: Request, context: RunContext) -> Iterator[Finding]:
    """Yield ``hears a run``, ``another run``, ``a failed run`` and ``figures``: what it hears, it must not change.

    Args:
        request: A run of few images that trains.
    """
    quiet = _run(registry, request, context, ())
    heard = _run(registry, request, context, (text,))
    complaints = [warning for warning in heard.warnings if warning not in quiet.warnings]
    yield rule("hears a run", not complaints, complaints[0] if complaints else "from its start to its record")
    again = _run(registry, replace(request, seed=1), context, (text,))
    complaints = [warning for warning in again.warnings if warning not in quiet.warnings]
    yield rule("another run", not complaints, complaints[0] if complaints else "after the first")
    failed: list[RunResult] = []
    try:
        _run(registry, replace(request, test_size=10**9), context, (text,), failed)
    except RobenchError:
        (result,) = failed
        complaints = list(result.warnings)
    yield rule("a failed run", not complaints, complaints[0] if complaints else "which has no figures")
    same = _figures(heard) == _figures(quiet)
    yield rule("figures", same, "those of a run without it" if same else "other than those of a run without it")


def _run(
    registry: Registry,
    request: Request,
    context: RunContext,
    texts: Sequence[str],
    saved: list[RunResult] | None = None,
) -> RunResult:
    def save(result: RunResult) -> RunResult:
        if saved is not None:
            saved.append(result)
        return result

    with listening(registry, texts):
        return run(registry, plan(registry, request), device=context.device, cache_dir=context.cache_dir, save=save)


def _figures(result: RunResult) -> list[Any]:
    assert result.clean is not None and result.tuning is not None
    return [result.clean, result.tuning.tuned_fingerprint, *(score.bits for score in result.attacks)]
