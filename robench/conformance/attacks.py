"""The rules of an Attacker."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from robench.attack.perturbation import frozen_for_attack, seeded
from robench.attack.queries import Queried, Spent
from robench.conformance.finding import Finding, rule
from robench.contracts.context import RunContext
from robench.contracts.types import ASKING
from robench.errors import PluginError
from robench.images.image_set import ImageSet, to_device, to_pixels
from robench.networks.evaluate import fingerprint
from robench.registry.constraints import constraint_of
from robench.registry.resolved import ResolvedAttack

ROUNDING = 1e-5
"""How far, in ``[0, 1]`` pixel units, an attack may leave its ball by rounding; the core projects it afterwards."""


def check_attacker(
    attack: ResolvedAttack, network: nn.Module, context: RunContext, data: ImageSet
) -> Iterator[Finding]:
    """Yield the rules ``images``, ``pixels``, ``budget``, ``queries``, ``seed``, ``batches``, ``inputs``, ``weights``,
    ``modes`` and ``strength``. They are about what the attacker returns, before the core projects it on the ball.
    """
    threat, device = attack.threat(), context.device
    images, labels = to_pixels(data.images, device), torch.from_numpy(data.labels).to(device)
    given = images.clone(), labels.clone()

    asked: list[Queried] = []

    def made(n: int) -> Tensor:
        with seeded(0, device), torch.enable_grad():
            seen = network
            if threat.knowledge in ASKING:
                asked.append(seen := Queried(network, to_device(data.images[:n], device), labels[:n], threat))
            try:
                found: Tensor = attack.build().perturb(seen, images[:n], labels[:n])
            except Spent:
                found = asked[-1].last
            return found.detach()

    before = fingerprint(network)
    with frozen_for_attack(network):
        state = _state(network)
        try:
            perturbed = made(len(data))
        except PluginError as error:
            yield rule("images", False, str(error))
            return
        kept = state == _state(network)
        shape = tuple(perturbed.shape)
        fits = bool(perturbed.isfinite().all())
        yield rule("images", fits, f"{perturbed.dtype} {shape}, for images {tuple(images.shape)}")
        if not fits:
            return
        low, high = float(perturbed.min()), float(perturbed.max())
        yield rule("pixels", low >= -ROUNDING and high <= 1 + ROUNDING, f"values from {low:.3f} to {high:.3f}")
        if threat.knowledge != "nothing":
            constraint = constraint_of(threat)
            size = float(constraint.sizes_unrounded(images, perturbed).max())
            within = size <= float(threat.eps) + ROUNDING * max(1, float(threat.eps))
            yield rule("budget", within, f"largest change {constraint.told(size)}, of {threat}")
        if threat.queries is not None:
            greedy, most = int(asked[0].refused.sum()), int(asked[0].asked.max())
            why = f"asks about {greedy} of {len(data)} images more than {threat.queries:,} times, which robench cuts"
            yield rule("queries", not greedy, f"asks about an image {most:,} of {threat.queries:,} times at most", why)
        same = torch.equal(perturbed, made(len(data)))
        yield rule("seed", same, f"the same seed makes {'the same' if same else 'different'} images")
        try:
            sizes = [len(made(n)) for n in (1, 3)]
            yield rule("batches", True, f"1 and 3 images return {sizes[0]} and {sizes[1]}")
        except PluginError as error:
            yield rule("batches", False, str(error))
        with torch.no_grad():
            clean, left = ((network(x).argmax(dim=1) == labels).sum().item() for x in (images, perturbed))
    untouched = torch.equal(images, given[0]) and torch.equal(labels, given[1])
    yield rule("inputs", untouched, "images and labels are unchanged", "images or labels are changed in place")
    grown = any(weight.grad is not None for weight in network.parameters())
    same = fingerprint(network) == before and not grown
    yield rule("weights", same, "unchanged and without gradients", "changed, or with gradients")
    yield rule("modes", kept, "train/eval modes and requires_grad are unchanged", "a mode or requires_grad is changed")
    if threat.knowledge != "nothing":
        yield rule(
            "strength", left <= clean, f"{clean} of {len(data)} images are right before the attack, {left} after it"
        )


def _state(network: nn.Module) -> list[bool]:
    modes = [module.training for module in network.modules()]
    return modes + [weight.requires_grad for weight in network.parameters()]
