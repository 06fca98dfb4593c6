"""The attacks and the tuner of a run as typed, and the command that repeats it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from robench.compute.precision import DEFAULT

if TYPE_CHECKING:
    from robench.records.record import RunSpec


def command_of(spec: RunSpec, files: Iterable[str] = ()) -> str:
    """Return the command that repeats a run. It names every parameter that is not its component's default.

    Args:
        files: The single-file plugins that the run needs.
    """
    words = ["robench", "run", *(word for file in files for word in ("--plugin", file))]
    words += ["--dataset", spec.dataset.label, "--model", spec.model.label]
    words += ["--tuner", tuner_label(spec)]
    for defence in spec.defences:
        words += ["--defence", defence.label]
    for attack in spec.attacks:
        words += ["--attack", attack_label(attack.label, attack.n, spec.test_size)]
    if any(attack.surrogate or attack.aware == "no" for attack in spec.attacks):
        words += ["--no-white-box"]  # the list is complete: the white-box attack must not be added
    if spec.shots is not None:
        words += ["--shots", str(spec.shots)]
    elif spec.train_size is not None:
        words += ["--train-size", str(spec.train_size)]
    words += [] if spec.split == "test" else ["--split", spec.split]
    words += ["--test-size", str(spec.test_size), "--seed", str(spec.seed)]
    for other in spec.eval_datasets:
        words += ["--eval-dataset", attack_label(other.label, spec.scored(other), spec.test_size)]
    for corruption in spec.corruptions:
        words += ["--corruption", attack_label(corruption.label, spec.scored(corruption), spec.test_size)]
    words += ["--adapter", spec.adapter.path] if spec.adapter else []
    words += [] if spec.precision == DEFAULT else ["--precision", spec.precision]
    return shlex.join(words)


def repeats_run(command: str, spec: RunSpec) -> bool:
    """Tell whether `command` is that of `spec`, apart from the single-file plugins that it names."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    while words[2:3] == ["--plugin"]:
        del words[2:4]
    return words == shlex.split(command_of(spec))


def attack_label(label: str, n: int, test_size: int) -> str:
    """Return an attack, or another dataset, as typed, with ``n`` unless it is that of the run's own test images."""
    if n == test_size:
        return label
    return f"{label},n={n}" if ":" in label else f"{label}:n={n}"


def short_label(label: str) -> str:
    """Return a label for a heading: of a path that a parameter names, only the last part."""
    return re.sub(r"=(?!\d+/\d+(?:,|$))[^,=]*/([^,/=]+)/?(?=,|$)", r"=\1", label)


def tuner_label(spec: RunSpec) -> str:
    """Return the tuner of a run as typed, with the parameters of its adversary's surrogate."""
    adversary = spec.adversary
    if adversary is None or adversary.surrogate is None:
        return spec.tuner.label
    _, _, params = adversary.surrogate.label.partition(":")
    extra = ",".join(f"surrogate.{item}" for item in params.split(",") if item)
    if not extra:
        return spec.tuner.label
    return spec.tuner.label + ("," if ":" in spec.tuner.label else ":") + extra


def method_label(spec: RunSpec) -> str:
    """Return the tuner of a run as :func:`tuner_label` does, with the defence that answers in its place."""
    return tuner_label(spec) + (f" (defence {defence_label(spec)})" if spec.defences else "")


def defence_label(spec: RunSpec) -> str:
    """Return the defences of a run, the one that meets images first: ``jpeg + resize-pad``; empty without one."""
    return " + ".join(defence.label for defence in spec.defences)
