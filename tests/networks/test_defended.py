"""A network behind a defence: what it answers, and the gradients that an attack follows."""

from __future__ import annotations

import pytest
import torch
from robench.networks.defended import Defended, MeanOfAnswers
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.toy import LinearNetwork
from tests.helpers.toy_defences import BOUNDARY, Coin, Counter, Mirror, Stairs

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    return LinearNetwork(gain=50.0, broken=False).eval().requires_grad_(False)


def gradient(whom: nn.Module, images: Tensor = IMAGES) -> Tensor:
    pixels = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(whom(pixels)[:, 1].sum(), pixels)
    return found


SLOPE = 50.0 / (3 * 8 * 8)
"""What a pixel adds to the logit of the second class."""


def test_an_adaptive_attack_follows_autograd_where_it_leads_and_the_approximation_where_it_does_not() -> None:
    mirrored, stairs = Defended(network(), Mirror()), Defended(network(), Stairs())
    assert torch.allclose(gradient(mirrored), torch.full_like(IMAGES, -SLOPE))
    assert torch.allclose(gradient(stairs), torch.full_like(IMAGES, SLOPE))


def test_both_ways_can_be_asked_for() -> None:
    assert torch.allclose(gradient(Defended(network(), Mirror(), "bpda")), torch.full_like(IMAGES, SLOPE))
    assert not gradient(Defended(network(), Stairs(), "exact")).any()


@pytest.mark.parametrize("aware", ["yes", "bpda", "exact"])
@pytest.mark.parametrize("defence", [Mirror, Stairs, Counter])
def test_gradients_change_no_answer(defence: type, aware: str) -> None:
    whom = Defended(network(), defence(), aware)  # type: ignore[arg-type]
    with torch.inference_mode():
        answered = whom(IMAGES)
    assert torch.equal(whom(IMAGES.clone().requires_grad_()).detach(), answered)


def test_a_defence_takes_gradients_while_robench_is_in_inference_mode() -> None:
    whom = Defended(network(), Counter())
    with torch.inference_mode():
        found = whom(IMAGES.clone())
    away = torch.where(IMAGES.mean(dim=(1, 2, 3)) > BOUNDARY, 1, -1).view(-1, 1, 1, 1) / 255
    assert torch.allclose(found, network()(IMAGES + away), atol=1e-5)
    assert not found.requires_grad


def test_autograd_finds_a_gradient_of_zero_where_there_is_none() -> None:
    class Levels(Mirror):
        differentiable = False

        def purify(self, network: nn.Module, images: Tensor) -> Tensor:
            return torch.from_numpy((images * 255).to(torch.uint8).numpy()).float() / 255

    assert not gradient(Defended(network(), Levels(), "exact")).any()
    assert gradient(Defended(network(), Levels())).all()


def test_a_network_of_the_defence_is_frozen_and_evaluated_with_the_other() -> None:
    defence = Mirror()
    defence.denoiser = nn.Dropout(0.5)  # type: ignore[attr-defined]
    whom = Defended(network(), defence)
    assert defence.denoiser in list(whom.modules())  # type: ignore[attr-defined]


def test_another_size_is_resized_in_the_backward_pass() -> None:
    class Larger(Mirror):
        differentiable = False

        def purify(self, network: nn.Module, images: Tensor) -> Tensor:
            return F.interpolate(images, (16, 16))

    found = gradient(Defended(network(), Larger()))
    assert found.shape == IMAGES.shape
    assert found.sum(dim=(1, 2, 3)).allclose(torch.full((4,), 50.0), rtol=1e-4)


def test_the_gradient_of_the_mean_is_the_mean_of_the_gradients() -> None:
    whom = Defended(network(), Coin())
    torch.manual_seed(3)
    drawn = [3.0 if torch.rand(()) < 0.5 else -1.0 for _ in range(16)]
    torch.manual_seed(3)
    found = gradient(MeanOfAnswers(whom, 16))
    assert 0 < sum(drawn) < 48
    assert torch.allclose(found, torch.full_like(IMAGES, SLOPE * sum(drawn) / 16), rtol=1e-4)
