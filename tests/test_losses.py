"""The training objectives in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench import ImageTextNetwork
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.losses.cross_entropy import mixed_cross_entropy
from robench_plugins.losses.tecoa import tecoa


class Embeddings:
    """An image-text network whose images are their embeddings already."""

    def __init__(self, text: Tensor, temperature: float = 10.0) -> None:
        self._text = F.normalize(text, dim=-1)
        self._temperature = torch.tensor(temperature)

    def embed_images(self, images: Tensor) -> Tensor:
        return F.normalize(images, dim=-1)

    def class_embeddings(self) -> Tensor:
        return self._text

    def temperature(self) -> Tensor:
        return self._temperature


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    network[1].weight.data = draw(3, 12)
    return network, draw(5, 3, 2, 2, seed=1), draw(5, 3, 2, 2, seed=2), torch.tensor([0, 1, 2, 0, 1])


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_mixed_cross_entropy_is_the_weighted_mean(
    batch: tuple[nn.Module, Tensor, Tensor, Tensor], weight: float
) -> None:
    network, clean, adversarial, labels = batch
    expected = weight * F.cross_entropy(network(clean), labels)
    expected = expected + (1 - weight) * F.cross_entropy(network(adversarial), labels)
    found = mixed_cross_entropy(network, clean, adversarial, labels, clean_weight=weight)
    torch.testing.assert_close(found, expected)


def test_at_weight_one_adversarial_images_have_no_gradient(batch: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    network, clean, adversarial, labels = batch
    adversarial.requires_grad_()
    mixed_cross_entropy(network, clean, adversarial, labels, clean_weight=1).backward()
    assert adversarial.grad is not None
    assert not adversarial.grad.any()


def test_at_weight_zero_clean_images_are_not_looked_at(batch: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    network, clean, adversarial, labels = batch
    found = mixed_cross_entropy(network, torch.full_like(clean, torch.nan), adversarial, labels, clean_weight=0)
    torch.testing.assert_close(found, F.cross_entropy(network(adversarial), labels))


def test_of_equal_logits_mixed_cross_entropy_is_the_logarithm_of_the_classes() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 7))
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    images, labels = draw(4, 3, 2, 2), torch.tensor([0, 6, 3, 1])
    found = mixed_cross_entropy(network, images, images, labels, clean_weight=0.5)
    assert found.item() == pytest.approx(math.log(7))


def test_tecoa_with_one_class_is_zero() -> None:
    network = Embeddings(draw(1, 8))
    assert tecoa(network, draw(4, 8, seed=1), torch.zeros(4, dtype=torch.long)).item() == 0


def test_tecoa_with_orthogonal_classes_in_closed_form() -> None:
    # An image on its own text: cosine 1 there, 0 at the K - 1 others, so -log(e^t / (e^t + K - 1)).
    network = Embeddings(torch.eye(4), temperature=3.0)
    expected = math.log(1 + 3 * math.exp(-3.0))
    assert tecoa(network, torch.eye(4), torch.arange(4)).item() == pytest.approx(expected, rel=1e-5)


def test_tecoa_is_the_cross_entropy_of_scaled_cosines() -> None:
    text, images, labels = draw(5, 8), draw(6, 8, seed=1), torch.arange(6) % 5
    cosines = torch.stack([F.cosine_similarity(images, prompt[None]) for prompt in text], dim=1)
    expected = F.cross_entropy(20.0 * cosines, labels)
    torch.testing.assert_close(tecoa(Embeddings(text, 20.0), images, labels), expected)


def test_a_higher_temperature_sharpens_right_and_punishes_wrong_answers() -> None:
    right, wrong = torch.arange(4), (torch.arange(4) + 1) % 4
    losses = [[tecoa(Embeddings(torch.eye(4), t), torch.eye(4), y).item() for t in (1, 5, 25)] for y in (right, wrong)]
    assert losses[0] == sorted(losses[0], reverse=True)
    assert losses[1] == sorted(losses[1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_tecoa_ignores_lengths_and_the_order_of_classes_and_images(seed: int, scale: float) -> None:
    text, images, labels = draw(5, 8, seed=seed), draw(6, 8, seed=seed + 1), torch.arange(6) % 5
    loss = tecoa(Embeddings(text), images, labels)
    torch.testing.assert_close(tecoa(Embeddings(text), scale * images, labels), loss)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(tecoa(Embeddings(text[order]), images, order.argsort()[labels]), loss)
    torch.testing.assert_close(tecoa(Embeddings(text), images.flip(0), labels.flip(0)), loss)


def test_descending_tecoa_pulls_an_image_to_its_text() -> None:
    network, labels = Embeddings(draw(3, 8)), torch.tensor([1])
    image = draw(1, 8, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(tecoa(network, image, labels), image)
    before, after = (F.cosine_similarity(x, network.class_embeddings()[1:2]) for x in (image, image - 0.1 * gradient))
    assert after > before


def test_the_stand_in_is_an_image_text_network() -> None:
    assert isinstance(Embeddings(draw(2, 4)), ImageTextNetwork)
