"""White-box adversarial images per second: PGD-10 within Linf 4/255 on CLIPs, at the size that they see.

robench gets bytes and returns bytes, projected on the ball and checked. Its rivals get a float tensor on the device,
and the CLIP as transformers makes it, with frozen weights.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from robench.attack.perturbation import ATTACK_BATCH, perturb_set
from robench.bench.attack import attack_row, broken, by_batches, ready
from robench.bench.clips import as_rivals_have_it, clips, large_clip
from robench.bench.limit import gradient_flops, peak_flops
from robench.bench.report import Row
from robench.bench.rivals import foolbox_pgd, plain_pgd, torchattacks_pgd
from robench.bench.rivals.clip_logits import BareCLIP
from robench.bench.setting import Setting
from robench.bench.timing import Prepare, in_turns
from robench.compute.precision import Float
from robench.images.image_set import ImageSet, to_pixels

STEPS = 10
SETTINGS = {"eps": 4 / 255, "alpha": 1 / 255, "steps": STEPS}
LEAST = 1.2
RIVALS: dict[str, Callable[..., Tensor]] = {
    "torchattacks": torchattacks_pgd.attack,
    "foolbox": foolbox_pgd.attack,
    "plain loop": plain_pgd.attack,
}


def measure(setting: Setting) -> Iterator[Row]:
    """Compare on each CLIP, on a GPU also on ViT-L/14 and in bfloat16; then with the machine's limit."""
    on_gpu = setting.device.type == "cuda"
    peak = peak_flops(setting.device, (256,)) if setting.quick else peak_flops(setting.device)
    for name, typed in {**clips(setting), **(large_clip(setting) if on_gpu and not setting.quick else {})}.items():
        network = setting.network(typed)
        bare = BareCLIP(as_rivals_have_it(network)).eval().requires_grad_(False)
        data = _images(setting, name, bare.clip.image_size)
        yield from _on(setting, name, network, bare, data, peak, reduced=on_gpu or setting.quick)
        del network, bare
        if on_gpu:
            torch.cuda.empty_cache()


def _on(
    setting: Setting, name: str, network: nn.Module, bare: BareCLIP, data: ImageSet, peak: float, *, reduced: bool
) -> Iterator[Row]:
    images = to_pixels(data.images, setting.device)
    labels = torch.from_numpy(data.labels).to(setting.device)
    sides: dict[str, Prepare] = {"robench": lambda: partial(_ours, setting, network, data, "float32")}
    if reduced:
        sides["robench in bfloat16"] = lambda: partial(_ours, setting, network, data, "bfloat16")
    for rival, attack in RIVALS.items():
        if rival == "plain loop" or importlib.util.find_spec(rival) is not None:
            work = partial(by_batches, attack, bare, images, labels, ATTACK_BATCH, **SETTINGS)
            sides[rival] = partial(ready, work)
    timed = in_turns(sides, setting.repeats, setting.device)
    ours = timed.pop("robench")
    found = broken(network, to_pixels(ours.result, setting.device), labels)
    for rival, theirs in timed.items():
        made = theirs.result if isinstance(theirs.result, Tensor) else to_pixels(theirs.result, setting.device)
        yield attack_row(
            data,
            ours,
            theirs,
            found,
            broken(network, made, labels),
            case=f"PGD-{STEPS} on {name}, {len(data)} images of {data.images.shape[2]} px",
            rival=rival,
            least=None if rival.startswith("robench") else LEAST,
            item="whitebox",
        )
    rate = gradient_flops(bare, images[:2], labels[:2]) * STEPS * len(data) / median(ours.seconds)
    yield Row(
        item="whitebox",
        case=f"{name}, share of the machine's limit",
        unit="%",
        robench=100 * rate / peak,
        note=f"the limit is {peak / 1e9:,.0f} GFLOP/s, of float32 matrix products in this run",
    )


def _ours(setting: Setting, network: nn.Module, data: ImageSet, precision: Float) -> object:
    attack = setting.registry.resolve_attack(f"pgd:eps=4/255,alpha=1/255,steps={STEPS}")
    made, _ = perturb_set(
        attack.build(), network, data, threat=attack.threat(), device=setting.device, seed=0, precision=precision
    )
    return made


def _images(setting: Setting, name: str, size: int) -> ImageSet:
    """Return images at the size that the model sees, so that neither side resizes."""
    n = 2 if setting.quick else 250 if name == "clip-tiny" else 8
    if setting.device.type == "cuda" and not setting.quick:
        n = {"clip-tiny": 5000, "ViT-B/32": 1000}.get(name, 250)
    dataset = setting.registry.resolve("dataset", f"leaf-synth:size={size}").build()
    found: ImageSet = dataset.split("test", n)
    return found
