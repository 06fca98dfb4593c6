"""The rules of a Logger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from robench.conformance.finding import Finding, rule
from robench.contracts.context import RunContext
from robench.errors import RobenchError
from robench.records.limits import MOST_IMAGES
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.run.loggers import listening
from robench.run.plan import Request, plan
from robench.run.runner import run


def check_logger(registry: Registry, text: str, request: Request, context: RunContext) -> Iterator[Finding]:
    """Yield the rules ``hears a run``, ``another run``, ``a failed run`` and ``figures``.

    Args:
        request: A run of few images that trains.
    """
    quiet = _run(registry, request, context, ())
    heard = _run(registry, request, context, (text,))
    again = _run(registry, replace(request, seed=1), context, (text,))
    for name, result, seen in (
        ("hears a run", heard, "from its start to its record, without an error"),
        ("another run", again, "after the first, without an error"),
    ):
        complaints = [warning for warning in result.warnings if warning not in quiet.warnings]
        yield rule(name, not complaints, seen, "; ".join(complaints[:1]))
    failed: list[RunResult] = []
    with contextlib.suppress(RobenchError):
        _run(registry, replace(request, test_size=MOST_IMAGES), context, (text,), failed)
    complaints = [warning for result in failed for warning in result.warnings]
    yield rule("a failed run", not complaints, "without figures and without an error", "; ".join(complaints[:1]))
    same = _figures(heard) == _figures(quiet)
    yield rule("figures", same, "the same as without the logger", "not those of a run without the logger")


def _run(
    registry: Registry,
    request: Request,
    context: RunContext,
    texts: Sequence[str],
    saved: list[RunResult] | None = None,
) -> RunResult:
    """Carry out a run with the loggers in `texts`, and append its record to `saved`, also if it fails."""

    def save(result: RunResult) -> RunResult:
        if saved is not None:
            saved.append(result)
        return result

    with listening(registry, texts):
        return run(registry, plan(registry, request), device=context.device, cache_dir=context.cache_dir, save=save)


def _figures(result: RunResult) -> list[Any]:
    assert result.clean is not None and result.tuning is not None
    return [result.clean, result.tuning.tuned_fingerprint, *(score.bits for score in result.attacks)]
