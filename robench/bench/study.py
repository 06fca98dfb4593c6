"""A whole table of methods: ``robench sweep`` against two plain scripts, each in a process of its own.

robench makes the adversarial images of a surrogate once for all methods. The first script attacks the same images at
the same resolution, but keeps nothing: it attacks again in every epoch and for every evaluation. The second script does
as the study does: it attacks images that were resized to 224 pixels, which takes hours. Unless ``whole`` is set, it
attacks a few images, and its total is extrapolated: seconds per image times the number of images, plus the seconds that
the first script spent on everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from robench.bench.process import Usage, python
from robench.bench.report import Row, compared
from robench.bench.setting import DATASET, Setting

MODEL = "clip-tiny"
ATTACK = "pgd-resnet20"
BATCH = 64
LARGE = 224
"""Height and width of the images that the study attacks, in pixels."""
SAMPLE = 32
"""Training and test images, each, that the second script attacks unless ``whole`` is set."""
FARTHEST = 0.05
"""How far accuracies may differ by chance, besides ``1 / sqrt(n)``: the sides use different random numbers."""
LEAST_SHARED, LEAST_STUDY, LEAST_WARM = 2.5, 20.0, 3.0


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of the table: its tuner for robench, and the same settings for the scripts."""

    name: str
    tuner: str
    adapt: str = ""
    lr: float = 1e-3
    epochs: int = 1
    tokens: int = 0
    clean_weight: float = 0

    def typed(self) -> str:
        """Return the tuner with its settings."""
        if not self.adapt:
            return self.tuner
        tokens = f",tokens={self.tokens}" if self.tokens else ""
        return f"{self.tuner}:lr={self.lr},epochs={self.epochs},batch_size={BATCH}{tokens}"


def _tecoa(lr: float) -> Method:
    return Method(name=f"LoRA-TeCoA, lr {lr:g}", tuner="tecoa", adapt="lora", lr=lr)


def _vpt(tokens: int, epochs: int = 1) -> Method:
    name = f"VPT, {tokens} tokens, epochs {epochs}"
    return Method(name=name, tuner="vpt", adapt="vpt", lr=1e-3, tokens=tokens, epochs=epochs)


METHODS = (
    Method(name="CLIP", tuner="none"),
    Method(name="LoRA-CE", tuner="lora-ce", adapt="lora", clean_weight=0.5),
    *(_tecoa(lr) for lr in (1e-3, 5e-4, 1e-4)),
    *(_vpt(tokens) for tokens in (5, 10, 20)),
    _vpt(10, epochs=5),
)
"""The study's table."""
FURTHER = _tecoa(2e-4)
"""A method that is added when the others are done."""


def measure(setting: Setting) -> Iterator[Row]:
    """Compare the whole table with both scripts, and one further row, with a warm cache, with the first."""
    methods = (METHODS[0], METHODS[3]) if setting.quick else METHODS
    size = int(setting.context.dataset.split("test", 1).images.shape[-1])
    python(["-m", "robench", "--help"], setting.folder)  # so that files are in memory
    cold, shared, warm, alone = [], [], [], []
    for turn in range(setting.repeats):
        cold.append(_robench(setting, methods, f"cold {turn}", f"cache {turn}"))
        shared.append(_script(setting, methods, size))
        warm.append(_robench(setting, [FURTHER], f"warm {turn}", f"cache {turn}"))
        alone.append(_script(setting, [FURTHER], size))
    table = f"{len(methods)} methods, {setting.train_size:,} training and {setting.test_size:,} test images"
    yield _row(f"{table}, cold", cold, shared, setting.test_size, LEAST_SHARED)
    yield _row("one further method, warm cache", warm, alone, setting.test_size, LEAST_WARM)
    seconds, how = _study_seconds(setting, methods, shared[-1])
    ours = median(usage.seconds for usage in cold)
    yield Row(
        item="study",
        case=f"{table}, cold",
        unit="s",
        robench=ours,
        rival=f"script in the study's manner, {LARGE} px",
        rival_figure=seconds,
        ratio=seconds / ours,
        target=f"{LEAST_STUDY:g}x",
        met=seconds / ours >= LEAST_STUDY,
        note=how,
    )


def _robench(setting: Setting, methods: Sequence[Method], name: str, cache: str) -> Usage:
    """Run a sweep in a new process."""
    definition = setting.folder / f"{name}.toml"
    common = {"dataset": DATASET, "model": MODEL, "train_size": setting.train_size, "test_size": setting.test_size}
    lines = [f'title = "{name}"', "[common]", f'attacks = ["{ATTACK}"]', "white_box = false"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in common.items()]
    for method in methods:
        lines += ["[[rows]]", f'name = "{method.name}"', f'tuner = "{method.typed()}"']
    definition.write_text("\n".join(lines) + "\n")
    words = ["-m", "robench", "sweep", definition.name, "--results", f"results {name}", "--cache-dir", cache]
    words += ["--checks", "off", "--quiet", "--format", "json", "--device", str(setting.device)]
    return python(words, setting.folder)


def _script(setting: Setting, methods: Sequence[Method], size: int, counts: tuple[int, int] | None = None) -> Usage:
    """Run the plain script in a new process."""
    train, test = counts or (setting.train_size, setting.test_size)
    plan = {
        "seed": 0,
        "device": str(setting.device),
        "folder": str(setting.folder),
        "model": MODEL,
        "size": size,
        "train_size": train,
        "test_size": test,
        "methods": [{**vars(method), "batch_size": BATCH} for method in methods],
    }
    path = setting.folder / "plan.json"
    path.write_text(json.dumps(plan))
    return python(["-m", "robench.bench.rivals.study", path.name], setting.folder)


def _study_seconds(setting: Setting, methods: Sequence[Method], shared: Usage) -> tuple[float, str]:
    """Return the seconds of the second script, and how they were measured."""
    if setting.whole:
        return _script(setting, methods, LARGE).seconds, "run to its end"
    n = 2 if setting.quick else SAMPLE
    part = json.loads(_script(setting, [FURTHER], LARGE, (n, n)).output)
    an_image = part["attack_seconds"] / part["attacked"]
    count = sum(method.epochs * setting.train_size * bool(method.adapt) + setting.test_size for method in methods)
    else_ = shared.seconds - json.loads(shared.output)["attack_seconds"]
    how = (
        f"extrapolated from {part['attacked']} images: {an_image:.3g} s an attacked image, {count:,} of them, and "
        f"{else_:.0f} s for all else, measured in the other script; --whole runs it to its end"
    )
    return an_image * count + else_, how


def _row(case: str, ours: Sequence[Usage], theirs: Sequence[Usage], n: int, least: float) -> Row:
    farthest = max(
        abs(a - b)
        for our, their in zip(ours, theirs, strict=True)
        for a, b in zip(_robench_accuracies(our), _script_accuracies(their), strict=True)
    )
    return compared(
        [usage.seconds for usage in ours],
        [usage.seconds for usage in theirs],
        least=least,
        item="study",
        case=case,
        unit="s",
        rival="script, same protocol, nothing kept or shared",
        check=f"accuracies within {100 * farthest:.1f} points",
        same=farthest <= FARTHEST + n**-0.5,
    )


def _robench_accuracies(usage: Usage) -> list[float]:
    lines: list[dict[str, Any]] = json.loads(usage.output)["lines"]
    return [figure["mean"] / 100 for line in lines for figure in line["figures"]]


def _script_accuracies(usage: Usage) -> list[float]:
    rows: dict[str, dict[str, float]] = json.loads(usage.output)["rows"]
    return [value for row in rows.values() for value in (row["clean"], row["adversarial"])]
