"""FGSM and PGD against mathematics, against independent references, and against their contract."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench import Attacker, ImageSet
from robench.attack.perturbation import perturb, perturb_set
from robench.networks.evaluate import predict
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.fgsm import FGSM
from robench_plugins.attackers.pgd import PGD

CPU = torch.device("cpu")
EPS = Fraction(8, 255)


def fgsm(**params: object) -> FGSM:
    return FGSM(FGSM.Params.read(params, "fgsm"))


def pgd(**params: object) -> PGD:
    return PGD(PGD.Params.read(params, "pgd"))


def linear(n_classes: int = 2, seed: int = 0) -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, n_classes))
    network[1].weight.data = torch.randn(n_classes, 48, generator=torch.Generator().manual_seed(seed))
    return network.eval()


def inner_images(n: int = 6, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Images at least 0.1 from black and white, so that no clipping at 0 and 1 happens."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.1 + 0.8 * torch.rand(n, 3, 4, 4, generator=generator)
    return images, torch.randint(0, 2, (n,), generator=generator)


class ConvNet(nn.Sequential):
    """Small, with batch norm and dropout: modules whose mode shows."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 3),
        )


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, ImageSet]:
    """A network that has learned which colour channel is a little brighter."""
    random = np.random.default_rng(0)
    images = random.integers(60, 180, (300, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(300) % 3
    images[np.arange(300), labels] += 20
    torch.manual_seed(0)
    network = ConvNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    inputs, targets = torch.from_numpy(images).float() / 255, torch.from_numpy(labels)
    for _ in range(80):
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return network.eval(), ImageSet(images=images, labels=labels.astype(np.int64))


def pixels(data: ImageSet, n: int) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(data.images[:n]).float() / 255, torch.from_numpy(data.labels[:n])


def input_gradient(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(images), labels), images)
    return gradient


def reference_pgd(network: nn.Module, image: Tensor, label: Tensor, eps: float, alpha: float, steps: int) -> Tensor:
    """Madry et al., equation for x_(t+1) in section 2.1, for one image, from the image itself."""
    adversarial = image.clone()
    for _ in range(steps):
        adversarial = adversarial + alpha * input_gradient(network, adversarial, label).sign()
        adversarial = torch.minimum(torch.maximum(adversarial, image - eps), image + eps).clamp(0, 1)
    return adversarial


def test_fgsm_on_a_linear_model_moves_every_pixel_by_eps_towards_the_other_class() -> None:
    network, (images, labels) = linear(), inner_images()
    weight = network[1].weight.detach()
    direction = (weight[1 - labels] - weight[labels]).sign().view_as(images)
    expected = images + float(EPS) * direction
    torch.testing.assert_close(fgsm().perturb(network, images, labels), expected)


def test_fgsm_on_a_linear_model_moves_the_margin_by_eps_times_the_l1_norm() -> None:
    network, (images, labels) = linear(), inner_images()
    adversarial = fgsm().perturb(network, images, labels)

    def margin(x: Tensor) -> Tensor:
        logits = network(x)
        return (logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])).squeeze(1).detach()

    weight = network[1].weight.detach()
    drop = float(EPS) * (weight[0] - weight[1]).abs().sum()
    torch.testing.assert_close(margin(images) - margin(adversarial), drop.expand(len(images)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("random_start", [False, True])
def test_pgd_on_a_linear_model_ends_in_the_corner_that_fgsm_finds(random_start: bool) -> None:
    network, (images, labels) = linear(), inner_images()
    # Eight steps of a quarter of eps cross the ball from whatever point they start at.
    found = pgd(steps=8, random_start=random_start).perturb(network, images, labels)
    torch.testing.assert_close(found, fgsm().perturb(network, images, labels))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), eps=st.integers(1, 64), steps=st.integers(1, 5))
def test_the_loss_of_a_linear_model_never_falls(seed: int, eps: int, steps: int) -> None:
    network = linear(n_classes=4, seed=seed)
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(5) % 4
    before = F.cross_entropy(network(images), labels, reduction="none")
    for attack in (fgsm(eps=f"{eps}/255"), pgd(eps=f"{eps}/255", steps=steps, random_start=False)):
        after = F.cross_entropy(network(attack.perturb(network, images, labels)), labels, reduction="none")
        assert (after >= before - 1e-5).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), eps=st.integers(0, 255), steps=st.integers(1, 4))
def test_float_images_stay_in_the_ball_and_in_the_unit_interval(seed: int, eps: int, steps: int) -> None:
    network = linear(n_classes=3, seed=seed)
    images = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    for attack in (fgsm(eps=f"{eps}/255"), pgd(eps=f"{eps}/255", steps=steps)):
        found = attack.perturb(network, images, torch.arange(4) % 3)
        assert found.min() >= 0 and found.max() <= 1
        assert (found - images).abs().max() <= eps / 255 + 1e-6


def test_one_pgd_step_of_eps_from_the_image_is_fgsm(trained: tuple[nn.Module, ImageSet]) -> None:
    images, labels = pixels(trained[1], 20)
    one_step = pgd(steps=1, alpha="8/255", random_start=False).perturb(trained[0], images, labels)
    torch.testing.assert_close(one_step, fgsm().perturb(trained[0], images, labels))


def test_fgsm_agrees_with_a_reference_image_by_image(trained: tuple[nn.Module, ImageSet]) -> None:
    network, (images, labels) = trained[0], pixels(trained[1], 16)
    found = fgsm().perturb(network, images, labels)
    for image, label, adversarial in zip(images.split(1), labels.split(1), found.split(1), strict=True):
        expected = (image + float(EPS) * input_gradient(network, image, label).sign()).clamp(0, 1)
        torch.testing.assert_close(adversarial, expected)


def test_pgd_agrees_with_a_reference_image_by_image(trained: tuple[nn.Module, ImageSet]) -> None:
    network, (images, labels) = trained[0], pixels(trained[1], 16)
    found = pgd(alpha="2/255", random_start=False).perturb(network, images, labels)
    for image, label, adversarial in zip(images.split(1), labels.split(1), found.split(1), strict=True):
        expected = reference_pgd(network, image, label, 8 / 255, 2 / 255, 7)
        torch.testing.assert_close(adversarial, expected)


def test_the_step_size_is_a_quarter_of_eps_unless_given() -> None:
    assert pgd(eps="4/255").params.alpha == Fraction(1, 255)
    assert pgd().params.alpha == Fraction(2, 255)
    assert pgd(eps="4/255", alpha="3/255").params.alpha == Fraction(3, 255)


def test_a_derived_step_size_is_not_shown_as_given() -> None:
    assert "alpha" not in pgd(eps="4/255").params.model_fields_set
    assert "alpha" in pgd(alpha="1/255").params.model_fields_set


def test_accuracy_falls_as_eps_grows(trained: tuple[nn.Module, ImageSet]) -> None:
    network, data = trained
    accuracies = []
    for eps in (0, 2, 8, 32):
        attack = pgd(eps=f"{eps}/255", random_start=False)
        images, _ = perturb_set(attack, network, data, threat=attack.threat(surrogate=False), device=CPU, seed=0)
        accuracies.append((predict(network, images, n_classes=3, device=CPU) == data.labels).mean())
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > 0.9
    assert accuracies[-1] < 0.1


def attacked(attack: Attacker, network: nn.Module, data: ImageSet, seed: int) -> bytes:
    threat = attack.threat(surrogate=False)
    found = perturb(attack, network, data.images, data.labels, threat=threat, device=CPU, seed=seed)
    return found.tobytes()


def test_the_random_start_follows_the_seed(trained: tuple[nn.Module, ImageSet]) -> None:
    network, data = trained[0], trained[1].first(20)
    first = attacked(pgd(steps=1), network, data, seed=1)
    assert attacked(pgd(steps=1), network, data, seed=1) == first
    assert attacked(pgd(steps=1), network, data, seed=2) != first


@pytest.mark.parametrize("attack", [fgsm(), pgd(random_start=False)], ids=["fgsm", "pgd"])
def test_without_a_random_start_the_seed_does_not_matter(attack: Attacker, trained: tuple[nn.Module, ImageSet]) -> None:
    network, data = trained[0], trained[1].first(20)
    assert attacked(attack, network, data, seed=1) == attacked(attack, network, data, seed=2)


@pytest.mark.parametrize("attack", [fgsm(), pgd()], ids=["fgsm", "pgd"])
@pytest.mark.parametrize("training", [False, True])
def test_an_attack_leaves_no_trace_in_the_network(attack: Attacker, training: bool) -> None:
    torch.manual_seed(0)
    network = ConvNet().train(training)
    network[1].eval()  # a frozen batch norm inside a network that trains
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    data = ImageSet(images=np.full((4, 3, 8, 8), 100, np.uint8), labels=np.arange(4) % 3)
    attacked(attack, network, data, seed=0)
    assert [module.training for module in network.modules()] == modes
    assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("attack", [fgsm(), pgd()], ids=["fgsm", "pgd"])
def test_the_images_given_are_not_written_to(attack: Attacker) -> None:
    images, labels = inner_images()
    before = images.clone()
    attack.perturb(linear(), images, labels)
    assert torch.equal(images, before)
    assert not images.requires_grad


@pytest.mark.parametrize("attack", [fgsm(), pgd()], ids=["fgsm", "pgd"])
def test_a_network_without_weights_can_be_attacked(attack: Attacker) -> None:
    class Brightness(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            bright = images.mean((1, 2, 3))
            return torch.stack([bright, -bright], dim=1)

    images = torch.full((2, 3, 4, 4), 0.5)
    found = attack.perturb(Brightness(), images, torch.tensor([0, 1]))
    assert (found[0] < images[0]).all()
    assert (found[1] > images[1]).all()
