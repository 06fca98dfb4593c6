"""The shipped defences against their formulas, and what is certain of each."""

from __future__ import annotations

import io
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from robench import PluginError
from robench.errors import SpecError
from robench.networks.defended import Defended
from robench.registry.registry import discover
from scipy.stats import binomtest
from torch import Tensor, nn

from robench_plugins.defences.smoothing import lower_bound

REGISTRY = discover()
IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def defence(text: str) -> Any:
    return REGISTRY.resolve("defence", text).build()


class Embedding(nn.Module):
    """An image-text network in small: a linear embedding that bends, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head = nn.Linear(192, 6), nn.Linear(6, 3)

    def image_features(self, images: Tensor) -> Tensor:
        found: Tensor = torch.tanh(self.first(images.flatten(1)))
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.image_features(images))
        return logits


class Threshold(nn.Module):
    """Class 1 if the first pixel is above a half: what noise does to it is known exactly."""

    def forward(self, images: Tensor) -> Tensor:
        above = 1000 * (images[:, 0, 0, 0] - 0.5)
        return torch.stack([-above, above], dim=1)


def counterattack(network: Embedding, images: Tensor, tau: float, steps: int = 2, beta: float = 2.0) -> Tensor:
    """The authors' code, one image after another: weights exp(sign * step * beta), and step 0 alone at or above tau."""
    eps, alpha = 4 / 255, 1 / 255
    delta = torch.zeros_like(images).uniform_(-eps, eps)
    delta = torch.max(torch.min(delta, 1 - images), 0 - images)
    before = network.image_features(images).detach()
    after = network.image_features(images + delta).detach()
    ratio = (after - before).norm(dim=-1) / before.norm(dim=-1)
    kept = [delta]
    for _ in range(steps):
        d = kept[-1].clone().requires_grad_()
        ((network.image_features(images + d) - before) ** 2).sum(1).sum().backward()
        assert d.grad is not None
        moved = torch.clamp(kept[-1] + alpha * torch.sign(d.grad), min=-eps, max=eps)
        kept.append(torch.max(torch.min(moved, 1 - images), 0 - images))
    found = []
    for number in range(len(images)):
        sign = float(np.sign(tau - float(ratio[number])))
        weights = np.exp(sign * np.arange(steps + 1) * beta)
        weights = weights / weights.sum() if sign > 0 else np.eye(steps + 1)[0]
        found.append(sum(float(weight) * each[number] for weight, each in zip(weights, kept, strict=True)))
    return images + torch.stack(found)  # type: ignore[arg-type]


@pytest.mark.parametrize("tau", [0.0, 0.02, 1e9])
def test_the_counterattack_is_that_of_its_authors(tau: float) -> None:
    network = Embedding().eval()
    torch.manual_seed(1)
    expected = counterattack(network, IMAGES, tau)
    torch.manual_seed(1)
    found = defence(f"ttc:threshold={tau}").purify(network, IMAGES)
    assert torch.allclose(found, expected.detach(), atol=1e-6)
    assert (found - IMAGES).abs().max() <= 4 / 255 + 1e-6 and found.min() >= 0 and found.max() <= 1


def test_the_counterattack_moves_the_embedding_more_than_its_noise() -> None:
    network = Embedding().eval()

    def moved(text: str) -> Tensor:
        torch.manual_seed(1)
        countered = defence(text).purify(network, IMAGES)
        return (network.image_features(countered) - network.image_features(IMAGES)).norm(dim=1)

    assert (moved("ttc:threshold=1000000,steps=8") > 2 * moved("ttc:threshold=0")).all()


def test_the_counterattack_wants_embeddings() -> None:
    with pytest.raises(PluginError, match=r"image-text model; expected one such as --model clip-tiny"):
        defence("ttc").prepare(Threshold(), None)


def test_bits_are_levels() -> None:
    found = defence("bit-depth:bits=2").purify(Threshold(), IMAGES)
    assert set((found.unique() * 3).tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert (found - IMAGES).abs().max() <= 0.5 / 3 + 1e-6
    eight = (IMAGES * 255).round() / 255
    assert torch.allclose(defence("bit-depth:bits=8").purify(Threshold(), eight), eight)


def test_jpeg_is_what_pillow_writes_and_reads() -> None:
    found = defence("jpeg:quality=30").purify(Threshold(), IMAGES)
    for image, read in zip(IMAGES, found, strict=True):
        file = io.BytesIO()
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=30)
        assert np.array_equal((read * 255).round().byte().permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))


def test_a_resized_image_stands_in_grey() -> None:
    white, places = torch.ones(1, 3, 40, 40), set()
    for seed in range(12):
        torch.manual_seed(seed)
        found = defence("resize-pad:frame=1.5").purify(Threshold(), white)
        assert found.shape == white.shape and found.min() >= 0.5
        inside = found[0, 0] > 0.99
        places.add((int(inside.sum()), int(inside.nonzero()[0, 0]), int(inside.nonzero()[0, 1])))
    sizes = [size for size, _, _ in places]
    assert len(places) > 6 and 0.4 * 1600 < min(sizes) < max(sizes)


def test_votes_are_counted() -> None:
    images = torch.full((1, 3, 4, 4), 0.5)
    images[0, 0, 0, 0] = 0.5 + 0.1 * NormalDist().inv_cdf(0.8)
    torch.manual_seed(0)
    shares = defence("smoothing:sigma=0.1,votes=2000").answer(Threshold(), images).exp()
    assert shares[0, 1] == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (990, 1000), (1000, 1000)])
def test_the_bound_is_that_of_clopper_and_pearson(successes: int, n: int) -> None:
    exact = binomtest(successes, n, alternative="greater").proportion_ci(0.999, method="exact").low
    assert lower_bound(successes, n, 0.001) == pytest.approx(float(exact), abs=1e-9)


def test_no_certified_radius_reaches_beyond_the_boundary() -> None:
    """The boundary is 0.1 away, one sigma: theorem 1 is tight here, and the bound stays a little below it."""
    images = torch.full((3, 3, 4, 4), 0.5)
    images[:, 0, 0, 0] = torch.tensor([0.6, 0.4, 0.5])
    torch.manual_seed(0)
    proof = defence("smoothing:sigma=0.1,n=4000").certify(Threshold(), images, 2)
    assert proof.classes.tolist() == [1, 0, -1]
    assert (proof.radii[:2] < 0.1).all() and (proof.radii[:2] > 0.085).all() and proof.radii[2] == 0


def test_an_attack_on_smoothing_follows_single_versions() -> None:
    network, smoothing = Embedding().eval(), defence("smoothing:sigma=0.1,votes=7")
    pixels = IMAGES.clone().requires_grad_()
    torch.manual_seed(0)
    found = Defended(network, smoothing)(pixels)
    torch.manual_seed(0)
    assert torch.equal(found, network(IMAGES + 0.1 * torch.randn_like(IMAGES)))
    assert torch.autograd.grad(found.sum(), pixels)[0].abs().sum() > 0


def test_wrong_parameters_are_refused() -> None:
    for text in ("jpeg:quality=0", "bit-depth:bits=9", "smoothing:sigma=0", "resize-pad:frame=1", "ttc:eps=4"):
        with pytest.raises(SpecError):
            REGISTRY.resolve("defence", text)
