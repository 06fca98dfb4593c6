"""The control for resampling, and attacks that reach native pixels through a model's resize."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from robench.attack.perturbation import perturb
from robench.attack.projection import project
from robench.contracts.types import ThreatModel
from robench.registry.registry import discover
from torch import nn

from robench_plugins.attackers.resize import Resize
from robench_plugins.models.clip import CLIP
from tests.helpers.plugin_fixtures import ToyDataset, make_context, save_tiny_clip

CPU = torch.device("cpu")


def toy() -> tuple[np.ndarray, np.ndarray]:
    data = ToyDataset().split("test", 8)
    return data.images, data.labels


def resampled(size: int, images: np.ndarray) -> np.ndarray:
    attacker = Resize(Resize.Params(size=size))
    threat = attacker.threat(surrogate=False)
    return perturb(attacker, nn.Identity(), images, np.zeros(len(images), np.int64), threat=threat, device=CPU, seed=0)


def test_a_flat_picture_survives_any_size() -> None:
    images = np.full((2, 3, 16, 16), 93, np.uint8)
    for size in (5, 16, 224):
        assert np.array_equal(resampled(size, images), images)


def test_images_of_the_size_asked_for_are_left_alone() -> None:
    images, _ = toy()
    assert np.array_equal(resampled(16, images), images)


def test_a_smaller_detour_loses_more_than_a_larger_one() -> None:
    images, _ = toy()
    loss = {size: np.abs(resampled(size, images).astype(int) - images).mean() for size in (4, 8, 12, 224)}
    assert loss[4] > loss[8] > loss[12] > loss[224]


def test_nothing_of_what_resampling_does_is_hidden_by_the_ball() -> None:
    images, _ = toy()
    found = resampled(4, images).astype(int) - images
    assert np.abs(found).max() > 60
    ball = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="nothing")
    clipped = project(torch.from_numpy(images), torch.from_numpy(resampled(4, images) / 255), ball).numpy()
    assert not np.array_equal(clipped, resampled(4, images))


def test_the_control_is_an_attack_by_name() -> None:
    attack = discover().resolve_attack("resize:size=64")
    assert str(attack.threat()) == "Linf 255/255 nothing" and attack.label == "resize:size=64"


@pytest.mark.parametrize("image_size", [16, 32])
def test_gradients_reach_native_pixels_through_resize_and_normalisation(tmp_path: Path, image_size: int) -> None:
    """The gradient agrees with finite differences taken in the dataset's own 16 pixels."""
    path = save_tiny_clip(tmp_path, image_size=image_size)
    network = CLIP(CLIP.Params(path=str(path))).build(make_context(tmp_path)).double().eval()
    images = torch.from_numpy(toy()[0][:2]).double() / 255
    images = (0.3 + 0.4 * images).requires_grad_()  # away from 0 and 1, where bicubic overshoot is cut

    def loss(pixels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(pixels), torch.tensor([0, 1]))

    (gradient,) = torch.autograd.grad(loss(images), images)
    torch.manual_seed(0)
    for _ in range(4):
        direction = torch.randn_like(images)
        direction /= direction.norm()
        with torch.no_grad():
            slope = (loss(images + 1e-5 * direction) - loss(images - 1e-5 * direction)) / 2e-5
        torch.testing.assert_close(slope, (gradient * direction).sum(), rtol=1e-4, atol=1e-8)


def test_a_small_surrogate_and_a_larger_target_meet_in_native_pixels(tmp_path: Path) -> None:
    from robench import cli
    from robench.records.store import Store

    path = save_tiny_clip(tmp_path, image_size=48)
    words = [
        "run",
        "--model",
        f"clip:path={path}",
        "--test-size",
        "8",
        "--attack",
        "fgsm-resnet20",
        "--attack",
        "resize",
    ]
    with pytest.raises(SystemExit) as exit_:
        cli.main([*words, "--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / "cache"), "--quiet"])
    assert not exit_.value.code
    (record,) = Store(tmp_path / "results").read(pytest.fail)
    transfer, control, _twin = record.attacks
    assert record.data is not None and record.data.image_size == (32, 32)
    assert transfer.largest_norm == 8 / 255 and transfer.surrogate is not None
    assert transfer.surrogate.clean_correct > transfer.surrogate.adversarial_correct
    assert control.knowledge == "nothing" and control.label == "resize"
