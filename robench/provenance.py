"""What a number was measured with: versions, device, source state and the equivalent command."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from robench.precision import DEFAULT, precision_on, tf32
from robench.processor import model_name
from robench.records import Provenance, RunSpec
from robench.source import code_hashes

if TYPE_CHECKING:
    import torch

    from robench.spec import Plan

DISTRIBUTIONS = (
    "robench",
    "torch",
    "torchvision",
    "transformers",
    "peft",
    "torchattacks",
    "pyautoattack",
    "timm",
    "numpy",
    "pillow",
    "scikit-learn",
    "imagehash",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the distributions that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def software(device: torch.device, processes: int = 1) -> dict[str, str]:
    """Return what must be the same for two halves of one training to give the result of a whole one."""
    found = {**versions(), "source": git_state() or "installed package", "device": device_name(device)}
    return found | ({"number of processes": str(processes)} if processes > 1 else {})


def device_name(device: torch.device) -> str:
    """Return the kind of a device and its name."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else model_name()
    return f"{device.type}: {name}"


def git_state() -> str | None:
    """Return the commit of the checkout robench runs from, ``+dirty`` if it differs; None when installed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # Results are what a run adds; they do not change what the code computes.
        dirty = _git(root, "status", "--porcelain", "--", ":!results")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+dirty" if dirty else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def command_of(spec: RunSpec, files: Iterable[str] = ()) -> str:
    """Return the command line that repeats a run: every parameter that is not its component's default.

    Args:
        files: The single-file plugins that it needs.
    """
    words = ["robench", "run", *(word for file in files for word in ("--plugin", file))]
    words += ["--dataset", spec.dataset.label, "--model", spec.model.label]
    words += ["--tuner", tuner_label(spec)]
    for attack in spec.attacks:
        words += ["--attack", attack_label(attack.label, attack.n, spec.test_size)]
    if any(attack.surrogate for attack in spec.attacks):
        words += ["--no-white-box"]  # the list is complete: no twin is to be added
    if spec.train_size is not None:
        words += ["--train-size", str(spec.train_size)]
    words += [] if spec.split == "test" else ["--split", spec.split]
    words += ["--test-size", str(spec.test_size), "--seed", str(spec.seed)]
    for other in spec.eval_datasets:
        words += ["--eval-dataset", other.label]
    words += ["--adapter", spec.adapter.path] if spec.adapter else []
    words += [] if spec.precision == DEFAULT else ["--precision", spec.precision]
    return shlex.join(words)


def attack_label(label: str, n: int, test_size: int) -> str:
    """Return the label of an attack as typed, with its ``n`` where that is not the whole test set."""
    if n == test_size:
        return label
    return f"{label},n={n}" if ":" in label else f"{label}:n={n}"


def tuner_label(spec: RunSpec) -> str:
    """Return the label of the tuner as typed, with the parameters of its adversary's surrogate."""
    adversary = spec.adversary
    if adversary is None or adversary.surrogate is None:
        return spec.tuner.label
    _, _, params = adversary.surrogate.label.partition(":")
    extra = ",".join(f"surrogate.{item}" for item in params.split(",") if item)
    if not extra:
        return spec.tuner.label
    return spec.tuner.label + ("," if ":" in spec.tuner.label else ":") + extra


def _used(spec: RunSpec, device: torch.device) -> dict[str, str]:
    """Return what each stage of a run computed in, and whether TF32 is on."""
    found = precision_on(spec.precision, device)
    tuning = {} if spec.train_size is None else {"tuning": found.tuning}
    return {**tuning, "evaluation": found.evaluation, "attacks": found.attacks, "tf32": "on" if tf32() else "off"}


def capture(
    plan: Plan, device: torch.device, started: datetime, *, processes: int = 1, compiled: bool = False
) -> Provenance:
    """Describe the software and hardware of this process, one of so many `processes`."""
    import torch

    return Provenance(
        started=started.astimezone(UTC).isoformat(timespec="seconds"),
        command=command_of(plan.spec, plan.files()),
        versions=versions(),
        plugins=plan.plugins(),
        code=code_hashes({"robench", *plan.modules()}),
        device=device_name(device),
        threads=torch.get_num_threads(),
        processes=processes,
        compiled=compiled,
        precision=_used(plan.spec, device),
        platform=f"{platform.system()} {platform.machine()}",
        git=git_state(),
    )
