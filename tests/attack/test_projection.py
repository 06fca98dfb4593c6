"""Projection on the ball in 8 bits: on tensors where they are, and byte for byte what it was in numpy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from robench.attack.perturbation import check_ball
from robench.attack.projection import project
from robench.contracts.types import Norm, ThreatModel
from robench.errors import BudgetError

from robench_plugins.constraints import l2

IMAGES = hnp.arrays(np.uint8, (3, 3, 2, 2))
WILD = hnp.arrays(np.float32, (3, 3, 2, 2), elements=st.floats(-2, 3, width=32))
NORMS = st.sampled_from(["Linf", "L2"])


def threat(norm: Norm, eps: Fraction) -> ThreatModel:
    return ThreatModel(norm=norm, eps=eps, knowledge="white-box")


def projected(clean: NDArray[np.uint8], perturbed: NDArray[np.float32], threat: ThreatModel) -> NDArray[np.uint8]:
    images: NDArray[np.uint8] = project(torch.from_numpy(clean), torch.from_numpy(perturbed), threat).numpy()
    return images


def in_numpy(clean: NDArray[np.uint8], perturbed: NDArray[np.float32], threat: ThreatModel) -> NDArray[np.uint8]:
    """The projection as it was written first, which made the adversarial sets of the committed records."""
    levels = np.clip(perturbed, 0, 1) * 255 - clean
    if threat.norm == "Linf":
        radius = int(threat.eps * 255)
        change = np.clip(np.rint(levels), -radius, radius)
    else:
        radius = float(threat.eps * 255)
        norms = np.linalg.norm(levels.reshape(len(levels), -1), axis=1).reshape(-1, 1, 1, 1)
        levels = levels * np.minimum(1, radius / np.maximum(norms, 1e-12))
        change = np.trunc(levels)
        for shrink in (0.8, 0.9, 0.94, 0.96, 0.98, 0.99, 1.0):
            rounded = np.rint(levels * shrink)
            fits = (rounded.reshape(len(rounded), -1).astype(np.float64) ** 2).sum(axis=1) <= radius**2
            change = np.where(fits.reshape(-1, 1, 1, 1), rounded, change)
    return np.clip(clean + change, 0, 255).astype(np.uint8)


@given(clean=IMAGES, wild=WILD, norm=NORMS, eps=st.fractions(Fraction(1, 255), 1, max_denominator=2550))
def test_it_is_what_it_was_in_numpy(
    clean: NDArray[np.uint8], wild: NDArray[np.float32], norm: Norm, eps: Fraction
) -> None:
    np.testing.assert_array_equal(projected(clean, wild, threat(norm, eps)), in_numpy(clean, wild, threat(norm, eps)))


@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.integers(1, 40),
    reach=st.floats(0.001, 1),
    norm=NORMS,
    eps=st.fractions(Fraction(1, 255), 8, max_denominator=2550),
)
def test_it_is_what_it_was_in_numpy_on_whole_images(
    seed: int, side: int, reach: float, norm: Norm, eps: Fraction
) -> None:
    """Larger images, whose norms are sums of many terms, and perturbations about as long as the ball is wide."""
    random = np.random.default_rng(seed)
    clean = random.integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    wild = (clean / 255 + random.uniform(-reach, reach, clean.shape)).astype(np.float32)
    eps = min(eps, Fraction(1)) if norm == "Linf" else eps
    found = project(
        torch.from_numpy(clean), torch.from_numpy(wild).to(memory_format=torch.channels_last), threat(norm, eps)
    )
    np.testing.assert_array_equal(found.numpy(), in_numpy(clean, wild, threat(norm, eps)))


@given(clean=IMAGES, wild=WILD, eps=st.fractions(Fraction(1, 255), 1))
def test_another_order_of_summation_stays_inside_the_ball(
    clean: NDArray[np.uint8], wild: NDArray[np.float32], eps: Fraction
) -> None:
    """That of a GPU: here the norm as torch computes it, some last bits away."""
    levels = torch.from_numpy(wild).clamp(0, 1) * 255 - torch.from_numpy(clean)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(l2, "_norms", lambda levels: torch.linalg.vector_norm(levels.flatten(1), dim=1) * 0.999999)
        found = projected(clean, wild, threat("L2", eps))
    assert check_ball(clean, found, threat("L2", eps)) <= float(eps) + 1e-12
    assert np.abs(found.astype(float) - clean - levels.numpy()).max() <= np.abs(levels.numpy()).max() + 0.5


@given(clean=IMAGES, wild=WILD, norm=st.sampled_from(["Linf", "L2"]), eps=st.fractions(Fraction(1, 255), 1))
def test_whatever_comes_back_ends_inside_the_ball(
    clean: NDArray[np.uint8], wild: NDArray[np.float32], norm: Norm, eps: Fraction
) -> None:
    found = projected(clean, wild, threat(norm, eps))
    assert found.dtype == np.uint8
    assert check_ball(clean, found, threat(norm, eps)) <= float(eps) + 1e-12


@given(clean=IMAGES, wild=IMAGES, eps=st.integers(1, 255))
def test_linf_projection_is_the_nearest_point(clean: NDArray[np.uint8], wild: NDArray[np.uint8], eps: int) -> None:
    found = projected(clean, wild.astype(np.float32) / 255, threat("Linf", Fraction(eps, 255)))
    low, high = clean.astype(int) - eps, clean.astype(int) + eps
    np.testing.assert_array_equal(found, np.clip(wild.astype(int), low, high))


@given(clean=IMAGES, level=st.integers(0, 8))
def test_images_inside_the_ball_are_left_alone(clean: NDArray[np.uint8], level: int) -> None:
    inside = np.clip(clean.astype(int) + level, 0, 255).astype(np.uint8)
    kept = projected(clean, inside.astype(np.float32) / 255, threat("Linf", Fraction(8, 255)))
    np.testing.assert_array_equal(kept, inside)


def test_pixels_are_rounded_not_truncated() -> None:
    clean = np.full((1, 3, 1, 1), 100, np.uint8)
    almost = np.full((1, 3, 1, 1), 103.9 / 255, np.float32)
    assert (projected(clean, almost, threat("Linf", Fraction(8, 255))) == 104).all()


def test_an_epsilon_that_8_bits_cannot_express_is_refused() -> None:
    clean = np.zeros((1, 3, 1, 1), np.uint8)
    with pytest.raises(BudgetError, match="below 1/255"):
        projected(clean, clean.astype(np.float32), threat("Linf", Fraction(1, 1000)))


def test_epsilon_zero_is_the_clean_image() -> None:
    clean = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    np.testing.assert_array_equal(projected(clean, np.ones_like(clean, np.float32), threat("Linf", Fraction(0))), clean)
