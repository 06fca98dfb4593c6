"""A row of a table: a method with its single runs, as columns of measurements give them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from robench.leaderboard.naming import references, trained_against
from robench.statistics.intervals import ByClass, Rate, mean_rate

VERDICTS = ("fail", "incomplete", "warn", "none", "pass")
"""The verdicts of certificates, those that need attention first."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a method; accuracies are in percent.

    Attributes:
        worst: Accuracy in the worst case of each ball.
        checks: The verdict of the certificate: pass, warn, incomplete, fail, or none if nothing was checked.
    """

    run_id: str
    seed: int
    started: str
    seconds: float
    checks: str
    warnings: tuple[str, ...]
    clean: float
    attacks: tuple[float, ...]
    worst: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Proved:
    """Certified accuracy: right images that the defence proves to keep their class within a radius.

    It is no accuracy under an attack, and nothing is ranked by it.

    Attributes:
        norm: The norm of the radius.
        eps: The radius, such as ``1/4``.
        rate: Mean over the runs, of the images that were certified.
    """

    norm: str
    eps: str
    rate: Rate


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method of a table: the runs that differ in nothing but their seed.

    Attributes:
        rank_low: The best rank that the method may have.
        rank_high: The worst one.
        name: The method in words, which tell the methods of this table apart, such as ``LoRA + TeCoA, 5 tokens``.
        settings: The command behind it, without a seed.
        trained_against: Such as ``pgd-resnet20 at 8/255, transfer``; ``-`` if nothing was trained.
        references: The papers of its tuner's parts.
        clean: Mean accuracy over the runs; so are `attacks`, for each attack, and `worst`, for each ball.
        drops: Clean minus adversarial accuracy for each attack, in points, on the attacked images, mean over the runs.
        certified: Certified accuracy at each radius that all runs were certified at; empty without a proof.
        seconds: Mean over the runs.
        checks: The verdict among those of the runs that needs most attention.
        plugins: The distributions, other than robench, that components came from.
        classes: Accuracies over classes, clean and then for each attack: the mean over the runs, and the worst class of
            all runs; None if a record keeps no labels.
        runs: The runs, by seed.
        queries: For each attack the accuracy after so many queries, mean over the runs; empty for one that asked none,
            and for records without counts.
    """

    rank_low: int
    rank_high: int
    name: str
    settings: str
    trained_against: str
    references: tuple[str, ...]
    model: str
    tuner: str
    clean: Rate
    attacks: tuple[Rate, ...]
    drops: tuple[float, ...]
    worst: tuple[Rate, ...]
    certified: tuple[Proved, ...]
    trainable_parameters: int
    seconds: float
    checks: str
    warnings: tuple[str, ...]
    plugins: tuple[str, ...]
    classes: tuple[ByClass, ...] | None
    runs: tuple[Run, ...]
    queries: tuple[tuple[tuple[int, Rate], ...], ...] = ()

    def proved(self, norm: str, eps: str) -> Rate | None:
        """Return certified accuracy at a radius; None if nothing is proved there."""
        return next((each.rate for each in self.certified if (each.norm, each.eps) == (norm, eps)), None)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(run.seed for run in self.runs)


def method_row(runs: Sequence[Mapping[str, Any]], name: str, ranks: tuple[int, int], balls: Sequence[int]) -> Row:
    """Return the row of a method.

    Args:
        runs: Its measurements, by seed, with the columns of :data:`robench.leaderboard.schema.SHOWN`.
        name: Its name in words.
        ranks: The lowest and the highest rank that it may have.
        balls: The number of images of each worst case.
    """
    first = runs[0]
    found = tuple(map(_run, runs, [balls] * len(runs)))
    clean, *attacks = _rates([run["correct"] for run in runs], first["n"])
    drops = zip(*(run["drops"] for run in runs), strict=True)
    return Row(
        rank_low=ranks[0],
        rank_high=ranks[1],
        name=name,
        settings=first["settings"],
        trained_against=trained_against(first["asked"]),
        references=references(first["asked"]),
        model=first["model"],
        tuner=first["tuner"],
        clean=clean,
        attacks=tuple(attacks),
        drops=tuple(sum(each) / len(each) for each in drops),
        worst=tuple(_rates([run["worst_correct"] for run in runs], balls)),
        certified=_certified(runs),
        trainable_parameters=max(run["trainable_parameters"] for run in runs),
        seconds=sum(run.seconds for run in found) / len(found),
        checks=min((run.checks for run in found), key=VERDICTS.index),
        warnings=_all(run.warnings for run in found),
        plugins=_all(_texts(run["plugins"]) for run in runs),
        classes=_classes(runs),
        runs=found,
        queries=_queries(runs, first["n"][1:]),
    )


def _run(run: Mapping[str, Any], balls: Sequence[int]) -> Run:
    clean, *attacks = (100 * correct / n for correct, n in zip(run["correct"], run["n"], strict=True))
    return Run(
        run_id=run["run_id"],
        seed=int(run["seed"]),
        started=run["started"],
        seconds=run["seconds"],
        checks=run["checks"],
        warnings=_texts(run["warnings"]),
        clean=clean,
        attacks=tuple(attacks),
        worst=tuple(100 * correct / n for correct, n in zip(run["worst_correct"], balls, strict=True)),
    )


def _rates(correct: Sequence[Sequence[int]], n: Sequence[int]) -> list[Rate]:
    """Return the rate of each column of counts, a row of which is a run."""
    return [mean_rate(counts, each) for counts, each in zip(zip(*correct, strict=True), n, strict=True)]


def _certified(runs: Sequence[Mapping[str, Any]]) -> tuple[Proved, ...]:
    found: dict[tuple[str, str, int], list[int]] = {}
    for run in runs:
        for norm, eps, n, correct in json.loads(run["certified"]):
            found.setdefault((norm, eps, n), []).append(correct)
    return tuple(
        Proved(norm=norm, eps=eps, rate=mean_rate(tuple(correct), n))
        for (norm, eps, n), correct in found.items()
        if len(correct) == len(runs)
    )


def _classes(runs: Sequence[Mapping[str, Any]]) -> tuple[ByClass, ...] | None:
    if any(run["macro"] is None for run in runs):
        return None
    found = []
    for place in range(len(runs[0]["macro"])):
        lowest = [
            (mean_rate((run["lowest_correct"][place],), run["lowest_n"][place]), _texts(run["lowest_name"])[place])
            for run in runs
        ]
        rate, name = min(lowest, key=lambda each: each[0].percent)
        macro = sum(run["macro"][place] for run in runs) / len(runs)
        found.append(ByClass(macro=macro, lowest=rate, lowest_name=name))
    return tuple(found)


def _queries(runs: Sequence[Mapping[str, Any]], n: Sequence[int]) -> tuple[tuple[tuple[int, Rate], ...], ...]:
    """Return the accuracies after the numbers of queries that all runs have; nothing if no attack of theirs asked."""
    if not any(run["queries"] for run in runs):
        return ()
    counted = [json.loads(run["queries"]) if run["queries"] else [None] * len(n) for run in runs]
    found = []
    for each, curves in zip(n, zip(*counted, strict=True), strict=True):
        known = [dict(curve or ()) for curve in curves]
        shared = [at for at in known[0] if all(at in others for others in known)]
        found.append(tuple((at, mean_rate(tuple(curve[at] for curve in known), each)) for at in shared))
    return tuple(found)


def _all(texts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for each in texts for text in each))


@lru_cache(maxsize=65536)  # many rows have the same texts
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
