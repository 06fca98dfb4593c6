"""The rule of what an Objective sums up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robench.attack.perturbation import seeded
from robench.conformance.finding import Finding, rule
from robench.contracts.context import RunContext
from robench.contracts.setting import TuningSetting
from robench.images.image_set import to_pixels
from robench.run.plan import Plan
from robench.train.product import Product

BATCH = 4
"""Images of each of the two batches."""
MOVE = 0.05
"""How far weights are moved before, relative to their spread: at the start a term may rightly be 0."""
RADIUS = 8 / 255
"""How far, in ``[0, 1]`` pixel units, the noise goes that stands for adversarial images."""


def check_terms(planned: Plan, context: RunContext) -> Finding | None:
    """Return the rule ``terms``: every summand of the loss is finite and has a gradient; None for tuners without.

    A term without a gradient, such as a sum over no patches, trains nothing, and its weight means nothing.
    """
    tuner, model = planned.tuner.build(), planned.model.build()
    if not isinstance(tuner, Product):
        return None
    network = model.build(context).to(context.device)
    parts = model.adaptable(network)
    with seeded(0, context.device):
        tuner.set_up(TuningSetting(network=network, parts=parts, model=model, context=context))
        tuner.adapt(network, parts)
        network.to(context.device).train()
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        _move(trained)
        found = [_batch(tuner, network, trained, number, context) for number in range(2)]
    first, second = found
    dead = [name for name in first if not (first[name][1] > 0 or second[name][1] > 0)]
    wild = [name for name in first if not torch.isfinite(torch.tensor([first[name], second[name]])).all()]
    values = ", ".join(f"{name} {first[name][0]:.3g} and {second[name][0]:.3g}" for name in (dead or wild or first))
    seen = f"on two batches: {values}; each depends on what is trained"
    problem = "no gradient reaches what is trained" if dead else "it is NaN or infinite"
    return rule("terms", not dead and not wild, seen, f"on two batches: {values}; {problem}")


@torch.no_grad()
def _move(weights: list[nn.Parameter]) -> None:
    for weight in weights:
        spread = float(weight.std()) if weight.numel() > 1 else 0.0
        weight.add_(MOVE * (spread or 1.0) * torch.randn_like(weight))


def _batch(
    tuner: Product, network: nn.Module, trained: list[nn.Parameter], number: int, context: RunContext
) -> dict[str, tuple[float, float]]:
    """Return each term's value and the size of its gradient on one batch."""
    data = context.dataset.split("train", 2 * BATCH)
    rows = slice(number * BATCH, (number + 1) * BATCH)
    clean = to_pixels(data.images[rows], context.device)
    labels = torch.from_numpy(data.labels[rows]).to(context.device)
    adversarial = (clean + RADIUS * torch.randn_like(clean).sign()).clamp(0, 1)
    terms = tuner.terms(network, clean, adversarial, labels)
    return {name: (float(value.detach()), _gradient(value, trained)) for name, value in terms.items()}


def _gradient(value: Tensor, trained: list[nn.Parameter]) -> float:
    if not value.requires_grad:
        return 0.0
    found = torch.autograd.grad(value, trained, retain_graph=True, allow_unused=True)
    return max((float(gradient.abs().max()) for gradient in found if gradient is not None), default=0.0)
