"""Made-up records in any number, and the cost of a leaderboard of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robench.errors import DataError
from robench.records.class_labels import pack_labels
from robench.records.labels import command_of
from robench.records.record import (
    AnsweredScore,
    AttackScore,
    AttackSpec,
    Check,
    ComponentSpec,
    DataRecord,
    Provenance,
    RunResult,
    RunSpec,
    SurrogateRecord,
    TuningRecord,
)
from robench.statistics.worst_case import worst_cases

CLASS_NAMES = tuple(f"class {number}" for number in range(10))
TUNERS = 20
PER_DATASET = 25
RADII = tuple(f"{number}/255" for number in range(1, PER_DATASET + 1))
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
# A small process starts the leaderboard: the peak memory of a child process is at least that of its parent.
MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([done.returncode, done.stderr.decode()[-500:], seconds, used.ru_maxrss * unit, len(done.stdout)]))
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one command.

    Attributes:
        seconds: Wall time of the whole process.
        peak_bytes: Peak memory of the process, or of the largest process it started.
        printed_bytes: Size of its output.
    """

    seconds: float
    peak_bytes: int
    printed_bytes: int


@dataclass(frozen=True, kw_only=True)
class LeaderboardCost:
    """The cost of a leaderboard without an index, which it then makes, and with the index."""

    cold: Cost
    warm: Cost


def records(*, tables: int, rows: int, images: int = 1000, seed: int = 0) -> Iterator[RunResult]:
    """Yield `rows` completed runs for each of `tables` tables; the records are as large as real ones.

    A table is a dataset with one of 25 radii, attacked by PGD on a ResNet-20 and on the target. A row is a model with
    one of 20 tuners. The same arguments give the same records; the runs of a table were not made one after the other.
    """
    random = np.random.default_rng(seed)
    for row in range(rows):
        for table in range(tables):
            started = FIRST + timedelta(seconds=row * tables + table)
            yield _record(random, table, row, images, started.isoformat(timespec="seconds"))


def write_records(folder: Path, *, tables: int, rows: int, images: int = 1000, seed: int = 0) -> int:
    """Write :func:`records` into a new or empty folder and return their number.

    Raises:
        DataError: The folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(f"{folder} is not empty; made-up records do not mix with others")
    count = 0
    for record in records(tables=tables, rows=rows, images=images, seed=seed):
        # Not through the store, which would wait for the disk each time.
        (folder / f"{record.run_id}.json").write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        count += 1
    return count


def leaderboard_cost(results: Path, cache: Path, arguments: Sequence[str] = ()) -> LeaderboardCost:
    """Return the cost of ``robench leaderboard`` on `results` as a whole process, without an index and with it.

    Args:
        results: The folder of records.
        cache: A cache folder without an index of these records.
        arguments: More words of the command line.

    Raises:
        DataError: The command failed.
    """
    words = ["leaderboard", "--results", str(results), "--cache-dir", str(cache), *arguments]
    time.sleep(3)  # younger files would be read again each time
    return LeaderboardCost(cold=command_cost(words), warm=command_cost(words))


def command_cost(words: Sequence[str]) -> Cost:
    """Return the cost of one ``robench`` command as a whole process.

    Raises:
        DataError: The command failed; the message ends with its errors.
    """
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "robench", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"memory cannot be measured here: {done.stderr.strip()[-500:]}")
    code, errors, seconds, peak, printed = json.loads(done.stdout)
    if code:
        raise DataError(f"robench {' '.join(words)} failed: {errors.strip()}")
    return Cost(seconds=seconds, peak_bytes=peak, printed_bytes=printed)


def _record(random: np.random.Generator, table: int, row: int, images: int, started: str) -> RunResult:
    spec = _spec(table, row, images)
    # Some rows are better than others, and some images harder.
    strength, hardness = random.random(), random.random(images, dtype=np.float32)
    clean, transfer, white_box = (hardness < level + 0.25 * strength for level in (0.7, 0.3, 0.1))
    scores = [_attack(attack, right) for attack, right in zip(spec.attacks, (transfer, white_box), strict=True)]
    score = AnsweredScore.of(clean)
    labels = np.arange(images) % len(CLASS_NAMES)
    return RunResult.model_construct(
        run_id=spec.run_id(),
        status="completed",
        spec=spec,
        data=DataRecord.model_construct(
            class_names=CLASS_NAMES,
            image_size=(32, 32),
            train_fingerprint="0" * 16,
            test_fingerprint=f"{table // PER_DATASET:016x}",
            train_counts=(100,) * len(CLASS_NAMES),
            test_counts=tuple(np.bincount(labels, minlength=len(CLASS_NAMES)).tolist()),
            labels=pack_labels(labels),
        ),
        tuning=TuningRecord.model_construct(
            model_fingerprint="1" * 16,
            tuned_fingerprint=f"{row:016x}",
            parameters=1_000_000,
            trainable_parameters=int(random.integers(1, 1_000_000)),
            history=tuple({"epoch": float(epoch), "loss": 1 / epoch, "lr": 1e-3} for epoch in (1, 2, 3)),
            seconds=60.0,
            layers={f"vision_model.encoder.layers.{layer}.attention": 40_000 for layer in range(12)},
        ),
        clean=score,
        attacks=tuple(scores),
        worst_case=worst_cases(score, scores),
        checks=tuple(
            Check(name=name, attack="", verdict="pass", reason="two passes predict 0 images differently")
            for name in ("determinism", "batch", "gradient", "noise", "steps", "restarts", "surrogate", "radius")
        ),
        seconds={"data": 1.0, "model": 1.0, "tuning": 60.0, "total": round(float(100 * random.random()), 2)},
        provenance=Provenance.model_construct(
            started=started,
            command=command_of(spec),
            versions={f"package-{number}": "1.2.3" for number in range(12)},
            plugins={"dataset": "robench 0.1.0", "model": "robench 0.1.0", "tuner": "robench 0.1.0"},
            device="cpu",
            threads=1,
            platform="made up",
            git=None,
        ),
    )


def _spec(table: int, row: int, images: int) -> RunSpec:
    dataset, eps = f"dataset-{table // PER_DATASET}", RADII[table % PER_DATASET]
    model, tuner = f"model-{row // TUNERS}", f"tuner-{row % TUNERS}"
    surrogate = ComponentSpec(name="resnet20", params={}, label="resnet20")
    params = {"eps": eps, "norm": "Linf", "steps": 7}
    return RunSpec(
        dataset=ComponentSpec(name=dataset, params={"size": 32}, label=dataset),
        model=ComponentSpec(name=model, params={}, label=model),
        tuner=ComponentSpec(name=tuner, params={"lr": 1e-3, "epochs": 3}, label=f"{tuner}:lr=0.001"),
        adversary=None,
        attacks=(
            AttackSpec(name="pgd", params=params, label=f"pgd-resnet20:eps={eps}", surrogate=surrogate, n=images),
            AttackSpec(name="pgd", params=params, label=f"pgd:eps={eps}", surrogate=None, n=images),
        ),
        train_size=1000,
        split="test",
        test_size=images,
        seed=row % 3,
    )


def _attack(attack: AttackSpec, right: NDArray[np.bool_]) -> AttackScore:
    transfer = attack.surrogate is not None
    surrogate = SurrogateRecord(name="resnet20", fingerprint="2" * 16, clean_correct=len(right), adversarial_correct=0)
    return AttackScore.of(
        right,
        label=attack.label,
        norm="Linf",
        eps=attack.params["eps"],
        knowledge="transfer" if transfer else "white-box",
        surrogate=surrogate if transfer else None,
        images="3" * 16,
        largest_norm=0.0,
        cached=transfer,
        seconds=1.0,
    )
