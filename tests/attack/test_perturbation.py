from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from robench.attack.perturbation import check_ball, frozen_for_attack, perturb, perturb_set, seeded
from robench.contracts.attacker import Attacker
from robench.contracts.types import Norm, ThreatModel
from robench.errors import BudgetError, PluginError
from robench.images.image_set import ImageSet
from torch import Tensor, nn

from tests.helpers.toy import Liar, LinearNetwork, Sign

CPU = torch.device("cpu")


def threat(norm: Norm, eps: Fraction) -> ThreatModel:
    return ThreatModel(norm=norm, eps=eps, knowledge="white-box")


@pytest.mark.parametrize(("norm", "step"), [("Linf", 9), ("L2", 5)])
def test_images_outside_the_ball_are_caught(norm: Norm, step: int) -> None:
    clean = np.full((1, 3, 1, 1), 100, np.uint8)
    with pytest.raises(BudgetError, match="lies outside"):
        check_ball(clean, clean + np.uint8(step), threat(norm, Fraction(8, 255)))


def attack(attacker: Attacker, network: nn.Module, seed: int = 0, n: int = 4) -> NDArray[np.uint8]:
    images = np.random.RandomState(0).randint(100, 150, (n, 3, 4, 4)).astype(np.uint8)
    labels = np.arange(n, dtype=np.int64) % 2
    return perturb(attacker, network, images, labels, threat=threat("Linf", Fraction(8, 255)), device=CPU, seed=seed)


def test_an_attacker_that_ignores_its_budget_is_brought_back_to_the_ball() -> None:
    adversarial = attack(Liar(), LinearNetwork(50.0, False))
    clean = np.random.RandomState(0).randint(100, 150, (4, 3, 4, 4)).astype(np.uint8)
    assert np.abs(adversarial.astype(int) - clean).max() == 8


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    network = LinearNetwork(50.0, False)
    np.testing.assert_array_equal(attack(Liar(), network, seed=1), attack(Liar(), network, seed=1))
    assert (attack(Liar(), network, seed=1) != attack(Liar(), network, seed=2)).any()


def test_an_attack_leaves_no_trace() -> None:
    network = nn.Sequential(LinearNetwork(50.0, False), nn.BatchNorm1d(2))
    network[1].eval()
    network[0].gain.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.random.get_rng_state()
    attack(Sign(), network)
    assert [module.training for module in network.modules()] == [True, True, True, False]
    assert [p.requires_grad for p in network.parameters()] == [False, True, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(random_state, torch.random.get_rng_state())


def test_modes_come_back_after_an_exception() -> None:
    network = LinearNetwork(50.0, False)
    with pytest.raises(RuntimeError, match="plugin"), frozen_for_attack(network):
        assert not network.training and not network.gain.requires_grad
        raise RuntimeError("plugin")
    assert network.training and network.gain.requires_grad


def test_the_random_state_comes_back_after_an_exception() -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(RuntimeError), seeded(3, CPU):
        torch.rand(1)
        raise RuntimeError
    assert torch.equal(before, torch.random.get_rng_state())


class Returns(Attacker):
    value: Tensor

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return self.value


@pytest.mark.parametrize(
    ("value", "message"),
    [(torch.zeros(4, 3, 2, 2), "shape"), (torch.full((4, 3, 4, 4), float("nan")), "NaN")],
)
def test_rubbish_from_an_attacker_is_refused(value: Tensor, message: str) -> None:
    attacker = Returns()
    attacker.value = value
    with pytest.raises(PluginError, match=message):
        attack(attacker, LinearNetwork(50.0, False))


def test_a_set_is_attacked_whole_with_the_last_batch_partial() -> None:
    data = ImageSet(images=np.full((130, 3, 2, 2), 127, np.uint8), labels=np.arange(130, dtype=np.int64) % 2)
    seen: list[int] = []
    adversarial, _ = perturb_set(
        Sign(),
        LinearNetwork(50.0, False),
        data,
        threat=threat("Linf", Fraction(8, 255)),
        device=CPU,
        seed=0,
        report=lambda progress: seen.append(progress.done),
    )
    expected = np.where(data.labels == 1, 119, 135)[:, None, None, None]
    np.testing.assert_array_equal(adversarial, np.broadcast_to(expected, adversarial.shape))
    assert seen == [0, 125, 130]
