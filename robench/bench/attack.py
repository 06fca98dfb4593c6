"""Adversarial images per second: PGD-7 within Linf 8/255 on a ResNet-20 at 32 pixels.

robench gets bytes and returns bytes, projected on the ball and checked. Its rivals get a float tensor on the device and
return one. robench runs in a process of its own, because its memory settings would otherwise hold for the rivals too.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.attack.perturbation import ATTACK_BATCH, perturb_set
from robench.bench.limit import convolution_flops, gradient_flops, peak_flops
from robench.bench.own_process import own_process
from robench.bench.report import Row, compared
from robench.bench.rivals import foolbox_pgd, torchattacks_pgd
from robench.bench.rivals.plain import plain_network
from robench.bench.setting import Setting
from robench.bench.timing import Prepare, Timed, in_turns
from robench.images.image_set import ImageSet, to_pixels
from robench.registry.registry import discover

IMAGES = 512
BATCHES = (32, 125, 250, 512)
"""Batch sizes of the rivals; robench chooses its own."""
STEPS = 7
SETTINGS = {"eps": 8 / 255, "alpha": 2 / 255, "steps": STEPS}
LEAST = 1.5
SHARE = 0.65
RIVALS: dict[str, Callable[..., Tensor]] = {"torchattacks": torchattacks_pgd.attack, "foolbox": foolbox_pgd.attack}


def measure(setting: Setting) -> Iterator[Row]:
    """Compare with rivals at several batch sizes, then with the machine's limit."""
    plain = plain_network(setting.network("resnet20"))
    peak = peak_flops(setting.device, (256,)) if setting.quick else peak_flops(setting.device)
    easy = convolution_flops(setting.device, 16 if setting.quick else 256)
    shares: dict[str, float] = {}
    data = setting.context.dataset.split("test", 8 if setting.quick else IMAGES)
    for batch in (4,) if setting.quick else BATCHES:
        with own_process(robench_attack, str(setting.device), setting.folder, len(data)) as ours:
            timed, flops = _timed(setting, ours, plain, data, batch)
        for name, each in timed.items():
            shares[name] = max(shares.get(name, 0), flops / median(each.seconds) / peak)
        yield from _rows(plain, data, batch, timed, setting.device)
    for name in RIVALS:
        if name not in shares:
            yield Row(item="attack", case="skipped", unit="", robench=0, rival=name, note=f"pip install {name}")
    for model in ("resnet20",) if setting.quick else ("resnet20", "clip-tiny"):
        yield _compiled(setting, data.first(2 * ATTACK_BATCH), model)
    yield Row(
        item="attack",
        case="share of the machine's limit, best batch",
        unit="%",
        robench=100 * shares["robench"],
        rival="torchattacks",
        rival_figure=100 * shares["torchattacks"],
        ratio=shares["robench"] / shares["torchattacks"],
        target=f"{100 * SHARE:.0f} %",
        met=shares["robench"] >= SHARE,
        note=f"the limit is {peak / 1e9:,.0f} GFLOP/s, of float32 matrix products in this run; a convolution of many "
        f"channels reaches {easy / 1e9:,.0f}, of which these are {100 * shares['robench'] * peak / easy:.0f} %",
    )


def _timed(
    setting: Setting, ours: Callable[[], object], plain: nn.Module, data: ImageSet, batch: int
) -> tuple[dict[str, Timed], float]:
    """Time each side on `data`, and count the floating-point operations of the attack; `batch` is that of rivals."""
    images = to_pixels(data.images, setting.device)
    labels = torch.from_numpy(data.labels).to(setting.device)
    sides: dict[str, Prepare] = {"robench": lambda: ours}
    for name, attack in RIVALS.items():
        if importlib.util.find_spec(name) is not None:
            sides[name] = partial(ready, partial(by_batches, attack, plain, images, labels, batch, **SETTINGS))
    timed = in_turns(sides, setting.repeats, setting.device, settle=False)
    return timed, gradient_flops(plain, images[:8], labels[:8]) * STEPS * len(data)


def _compiled(setting: Setting, data: ImageSet, model: str) -> Row:
    """Compare the attack on `model` with ``--compile`` and without."""
    given = str(setting.device), setting.folder, len(data)
    make = partial(robench_attack, model=model)
    with own_process(make, *given) as usual, own_process(partial(make, compiled=True), *given) as compiled:
        sides: dict[str, Prepare] = {"compiled": partial(ready, compiled), "usual": partial(ready, usual)}
        timed = in_turns(sides, setting.repeats, setting.device, settle=False)
    ours, theirs = timed.values()
    network, labels = setting.network(model), torch.from_numpy(data.labels).to(setting.device)
    found, other = (broken(network, to_pixels(each.result, setting.device), labels) for each in (ours, theirs))
    case = f"PGD-{STEPS} on {model}, {len(data)} images, --compile"
    return attack_row(data, ours, theirs, found, other, case=case, rival="robench without", least=None)


def by_batches(
    attack: Callable[..., Tensor], network: nn.Module, images: Tensor, labels: Tensor, batch: int, **settings: float
) -> Tensor:
    """Return the images of a rival's attack, made `batch` at a time; `settings` are its radius, step and steps."""
    parts = zip(images.split(batch), labels.split(batch), strict=True)
    return torch.cat([attack(network, part, truth, **settings) for part, truth in parts])


def ready(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Prepare work that needs no preparation."""
    return work


def _rows(plain: nn.Module, data: ImageSet, batch: int, timed: dict[str, Timed], device: torch.device) -> Iterator[Row]:
    labels = torch.from_numpy(data.labels).to(device)
    ours = timed.pop("robench")
    found = broken(plain, to_pixels(ours.result, device), labels)
    for name, theirs in timed.items():
        other = broken(plain, theirs.result, labels)
        yield attack_row(
            data,
            ours,
            theirs,
            found,
            other,
            case=f"PGD-{STEPS} on ResNet-20, {len(data)} images, {batch} together",
            rival=name,
            least=LEAST,
        )


def attack_row(
    data: ImageSet,
    ours: Timed,
    theirs: Timed,
    found: tuple[float, float],
    other: tuple[float, float],
    *,
    case: str,
    rival: str,
    least: float | None,
    item: str = "attack",
) -> Row:
    """Return a row that compares two attacks on `data`.

    Args:
        found: How strong robench's images are, as :func:`broken` says.
        other: The same of the rival's.
        case: The attack and what it is on.
    """
    return compared(
        ours.seconds,
        theirs.seconds,
        amount=len(data),
        least=least,
        item=item,
        case=case,
        unit="images/s",
        rival=rival,
        check=f"success {100 * found[0]:.1f} and {100 * other[0]:.1f} %, "
        f"cross-entropy {found[1]:.2f} and {other[1]:.2f}",
        same=alike(found, other, len(data)),
    )


def robench_attack(
    device: str, folder: Path, n: int, *, model: str = "resnet20", compiled: bool = False
) -> Callable[[], object]:
    """Return a function that attacks `n` images on `model` as a run does, with ``--compile`` or without."""
    setting = Setting(registry=discover(), device=torch.device(device), folder=folder)
    network, data = setting.network(model), setting.context.dataset.split("test", n)
    attack = setting.registry.resolve_attack(f"pgd:eps=8/255,alpha=2/255,steps={STEPS}")
    attacker, threat = attack.build(), attack.threat()
    work = partial(perturb_set, attacker, network, data, threat=threat, device=setting.device, seed=0)
    return lambda: work(compiled=compiled, warn=warnings.warn)[0]


@torch.inference_mode()
def broken(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the share of misclassified images, and the mean cross-entropy."""
    logits = network(images)
    return float((logits.argmax(dim=1) != labels).float().mean()), float(F.cross_entropy(logits, labels))


def alike(ours: tuple[float, float], theirs: tuple[float, float], n: int) -> bool:
    """Tell whether two attacks with different random starts are equally strong.

    Rates may differ by 0.01 plus 3 standard errors; cross-entropies by 5 % plus ``0.5 / sqrt(n)``, relative to the
    larger.
    """
    p = (ours[0] + theirs[0]) / 2
    rates: bool = abs(ours[0] - theirs[0]) <= 0.01 + 3 * (2 * p * (1 - p) / n) ** 0.5
    return rates and abs(ours[1] - theirs[1]) <= (0.05 + 0.5 / n**0.5) * max(ours[1], theirs[1])
