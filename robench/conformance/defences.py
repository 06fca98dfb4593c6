"""The rules of a Defence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from robench.attack.perturbation import frozen_for_attack, seeded
from robench.checks import probes
from robench.conformance.finding import Finding, rule
from robench.contracts.defence import Defence
from robench.contracts.setting import TuningSetting
from robench.errors import PluginError
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.defended import Defended
from robench.networks.evaluate import evaluation_mode, fingerprint

CLOSE = 1e-4
"""Largest change of a logit, relative to the largest logit, that rounding explains."""


def check_defence(build: Callable[[], Defence], setting: TuningSetting, data: ImageSet) -> Iterator[Finding]:
    """Yield the rules ``logits``, ``inputs``, ``randomness``, ``batches``, ``gradients``, ``proof``, ``weights``,
    ``modes``, ``another network`` and ``stacked``.
    """
    network, context = setting.network, setting.context
    device, n_classes = context.device, len(context.dataset.class_names)
    images, labels = to_pixels(data.images, device), torch.from_numpy(data.labels).to(device)
    given, before = images.clone(), fingerprint(network)
    defence, twin = build(), build()

    def answers(n: int, seed: int, whom: nn.Module) -> Tensor:
        # As a run answers: in inference mode, whatever the defence needs.
        with seeded(seed, device), evaluation_mode(whom), torch.inference_mode():
            found = whom(images[:n])
        assert isinstance(found, Tensor)
        return found.clone()

    with frozen_for_attack(network):
        state = _state(network)
        for each in (defence, twin):
            each.set_up(setting)
            each.prepare(network, context)
        defended = Defended(network, defence)
        first = answers(len(data), 0, defended)
        fits = first.shape == (len(data), n_classes) and first.is_floating_point() and bool(first.isfinite().all())
        yield rule("logits", fits, f"{first.dtype} {tuple(first.shape)}, for {len(data)} images of {n_classes} classes")
        if not fits:
            return
        yield rule("inputs", torch.equal(images, given), "images are unchanged", "images are changed in place")
        same, other = (torch.equal(first, answers(len(data), seed, defended)) for seed in (0, 1))
        kept = same and (other or defence.stochastic)
        seen = "the same answers with another seed" if other else "other answers with another seed"
        wrong = seen if same else "other answers with the same seed"
        yield rule("randomness", kept, seen, f"{wrong}, and its `stochastic` is {defence.stochastic}")
        if defence.stochastic:
            shapes = [tuple(answers(n, 0, defended).shape) for n in (1, 3)]
            yield rule("batches", shapes == [(1, n_classes), (3, n_classes)], f"1 and 3 images return {shapes}")
        else:
            _, size = probes.neighbours(defended, images)
            yield rule("batches", size < CLOSE, f"logits in pairs differ by {size:.1e} of the largest")
        with seeded(0, device):
            largest = probes.gradients(defended, images, labels)
        some = int((largest != 0).sum())
        reach = some >= len(data) / 2 and bool(largest.isfinite().all())
        how = "its own" if defence.differentiable else "of its approximation"
        yield rule("gradients", reach, f"{some} of {len(data)} images have a non-zero gradient, {how}")
        if defence.certified_images():
            with seeded(0, device):
                proof = defence.certify(network, images[:1], n_classes)
            sound = proof.classes.shape == proof.radii.shape == (1,) and bool((proof.radii >= 0).all())
            yield rule("proof", sound, f"class {proof.classes.tolist()}, radius {proof.radii.tolist()} of one image")
        kept = state == _state(network)
        yield rule(
            "modes", kept, "train/eval modes and requires_grad are unchanged", "a mode or requires_grad is changed"
        )
    grown = any(weight.grad is not None for weight in network.parameters())
    same = fingerprint(network) == before and not grown
    yield rule("weights", same, "unchanged and without gradients", "changed, or with gradients")
    same = same and torch.equal(answers(len(data), 0, Defended(network, twin)), first)
    yield rule("another network", same, f"a second instance gives {'the same' if same else 'other'} answers")
    last, inner = build(), Defended(network, _Nothing())
    last.set_up(replace(setting, network=inner, parts={}))
    try:
        last.prepare(inner, context)
    except PluginError as error:
        yield rule("stacked", True, f"it asks for more than logits, so it stands last: {error}")
        return
    behind = answers(len(data), 0, Defended(inner, last))
    change = float((behind - first).abs().max() / first.abs().max().clamp(min=1e-12))
    yield rule("stacked", change < CLOSE, f"before a defence that does nothing, logits differ by {change:.1e}")


class _Nothing(Defence):
    """Passes images on."""

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        logits: Tensor = network(images)
        return logits


def _state(network: nn.Module) -> list[bool]:
    modes = [module.training for module in network.modules()]
    return modes + [weight.requires_grad for weight in network.parameters()]
