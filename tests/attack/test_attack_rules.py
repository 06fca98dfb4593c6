"""Closed forms of the attacks, and what they refuse."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from robench import ImageSet, SpecError, ThreatModel
from torch import Tensor, nn

from robench_plugins.attackers.apgd import likeliest_wrong
from robench_plugins.attackers.autoattack import AutoAttack
from robench_plugins.attackers.eight_bit import nearest_in_ball, shortest_fooling
from tests.helpers.attack_fixtures import BOTH_NORMS, BY_NAME, attacked, draw, make, success, trained

LINF = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="white-box")
L2 = ThreatModel(norm="L2", eps=Fraction(64, 255), knowledge="white-box")


def linear(n_classes: int, seed: int = 0) -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, n_classes))
    network[1].weight.data = torch.randn(n_classes, 108, generator=torch.Generator().manual_seed(seed))
    return network.eval()


def inner(n: int = 4, n_classes: int = 2) -> tuple[Tensor, Tensor]:
    """Draw 8-bit images so far from black and white that no clipping happens."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(60, 190, (n, 3, 6, 6), generator=generator).float() / 255, torch.arange(n) % n_classes


@pytest.mark.parametrize("name", ["fgsm", "pgd", "mi-fgsm", "ni-fgsm", "vmi-fgsm", "apgd-ce"])
def test_two_classes_of_a_linear_model_are_best_attacked_in_the_corner(name: str) -> None:
    network, (images, labels) = linear(2), inner()
    weight = network[1].weight.detach()
    corner = images + 8 / 255 * (weight[1 - labels] - weight[labels]).sign().view_as(images)
    steps = {} if name == "fgsm" else {"steps": 20}
    torch.testing.assert_close(make(name, **steps).perturb(network, images, labels), corner, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "apgd-ce"])
def test_two_classes_of_a_linear_model_are_best_attacked_along_the_weights_in_l2(name: str) -> None:
    network, (images, labels) = linear(2), inner()
    weight = network[1].weight.detach()
    along = nn.functional.normalize(weight[1 - labels] - weight[labels]).view_as(images)
    found = make(name, norm="L2", **({} if name == "fgsm" else {"steps": 40})).perturb(network, images, labels)
    torch.testing.assert_close(found, images + 128 / 255 * along, atol=2e-3, rtol=0)


def distances(network: nn.Sequential, images: Tensor, labels: Tensor, order: float) -> Tensor:
    """Return how far each image is from the nearest boundary of a linear model; negative if misclassified."""
    weight, logits = network[1].weight.detach(), network(images).detach()
    gaps = logits.gather(1, labels[:, None]) - logits
    across = torch.linalg.vector_norm(weight[labels][:, None] - weight[None], ord=order, dim=2)
    return (gaps / across).scatter(1, labels[:, None], float("inf")).amin(1)


@pytest.mark.parametrize(
    ("name", "settings", "dual"),
    [
        ("deepfool", {}, 2),
        ("cw", {"steps": 150, "search_steps": 8}, 2),
        ("fab", {"norm": "L2"}, 2),
        ("fab", {"norm": "Linf"}, 1),
        ("fab", {"norm": "Linf", "targeted": True}, 1),
    ],
)
def test_minimal_attacks_on_a_linear_model_find_the_nearest_boundary(
    name: str, settings: dict[str, object], dual: float
) -> None:
    network, (images, _) = linear(4), inner(8)
    labels = network(images).argmax(1)
    nearest = distances(network, images, labels, dual)
    found = make(name, eps="1" if dual == 1 else "3", **settings).perturb(network, images, labels)
    lengths = torch.linalg.vector_norm((found - images).flatten(1), ord=2 if dual == 2 else float("inf"), dim=1)
    assert (network(found).argmax(1) != labels).all()
    # Rounding to 8 bits moves each pixel by half a level, which either shortens or lengthens.
    assert (lengths >= 0.95 * nearest - 1 / 255).all()
    assert (lengths <= 1.6 * nearest + 2 / 255).all()


@pytest.mark.parametrize("threat", [LINF, L2])
def test_the_nearest_8_bit_image_is_in_the_ball_and_near(threat: ThreatModel) -> None:
    images = draw(10)
    clean = torch.from_numpy(images.images).float() / 255
    generator = torch.Generator().manual_seed(0)
    wild = clean + 0.2 * torch.randn(clean.shape, generator=generator)
    found = nearest_in_ball(clean, wild, threat) * 255
    torch.testing.assert_close(found, found.round(), atol=1e-4, rtol=0)
    change = (found - clean * 255).flatten(1)
    if threat.norm == "Linf":
        assert change.abs().amax(1).max() <= 8 + 1e-3
        expected = ((wild.clamp(0, 1) - clean) * 255).round().clamp(-8, 8).flatten(1)
        torch.testing.assert_close(change, expected, atol=1e-3, rtol=0)
    else:
        lengths = change.norm(dim=1)
        assert (lengths <= 64 + 1e-3).all()
        assert (lengths >= 0.9 * 64).all()


def test_an_image_that_fools_between_the_levels_only_is_lengthened_to_the_next_that_fools() -> None:
    class Brightness(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            light = images.mean((1, 2, 3)) - 100.2 / 255
            return torch.stack([-light, light], dim=1)

    clean = torch.full((2, 3, 6, 6), 100 / 255)
    found = clean + torch.tensor([0.3, 0.0]).view(2, 1, 1, 1) / 255
    lengthened = shortest_fooling(Brightness(), clean, torch.tensor([0, 0]), found, LINF)
    torch.testing.assert_close(lengthened[0] * 255, torch.full((3, 6, 6), 101.0))
    torch.testing.assert_close(lengthened[1], clean[1])


@pytest.mark.parametrize(
    ("name", "n_classes", "least"),
    [("apgd-dlr", 2, 3), ("apgd-t", 3, 4), ("torchattacks-apgdt", 3, 4), ("torchattacks-autoattack", 3, 4)],
)
def test_the_difference_of_logits_ratio_needs_classes(name: str, n_classes: int, least: int) -> None:
    images, labels = inner(n_classes=2)
    with pytest.raises(SpecError, match=rf"{name} needs at least {least} classes \(the network has {n_classes}\); use"):
        make(name).perturb(linear(n_classes), images, labels)


@pytest.mark.parametrize("name", ["autoattack", "fab", "square"])
def test_a_single_class_cannot_be_attacked(name: str) -> None:
    images, labels = inner(n_classes=1)
    with pytest.raises(SpecError, match=f"{name} needs at least 2 classes"):
        make(name).perturb(linear(1), images, labels)


@pytest.mark.parametrize(
    ("n_classes", "expected"),
    [
        (2, ["APGDCE", "FAB", "Square"]),
        (3, ["APGDCE", "APGDDLR", "FAB", "Square"]),
        (4, ["APGDCE", "APGDT", "FAB", "Square"]),
        (10, ["APGDCE", "APGDT", "FAB", "Square"]),
    ],
)
def test_autoattack_takes_what_the_number_of_classes_allows(n_classes: int, expected: list[str]) -> None:
    attack = make("autoattack", norm="L2", eps="0.7")
    assert isinstance(attack, AutoAttack)
    attacks = attack.attacks(n_classes)
    assert [type(item).__name__ for item in attacks] == expected
    assert {str(item.threat(surrogate=False)).partition(" white")[0] for item in attacks[:-1]} == {"L2 7/10"}
    assert not attacks[-1].params.rescale and attacks[-2].params.targeted


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_autoattack_is_at_least_as_strong_as_its_parts(n_classes: int) -> None:
    data, network = draw(n=12, n_classes=n_classes), trained(n_classes)
    parts = [success(make(name, eps="12/255"), network, data) for name in ("apgd-ce", "square")]
    assert success(make("autoattack", eps="12/255"), network, data) >= max(parts)


def test_targets_are_the_likeliest_wrong_classes() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[0.1, 0.9, 0.5, 0.3]]).expand(len(images), 4)

    images = torch.zeros(2, 3, 6, 6)
    assert likeliest_wrong(Fixed(), images, torch.tensor([1, 2])).tolist() == [[2, 3, 0], [1, 3, 0]]


@pytest.mark.parametrize("name", ["apgd-ce", "apgd-dlr", "apgd-t", "square", "autoattack"])
def test_an_image_that_withstands_is_still_perturbed(name: str) -> None:
    data = draw(6)
    sure = nn.Sequential(trained(), Scale(5.0))
    found = attacked(make(name, eps="1/255"), sure, data)
    assert ((found != data.images).reshape(len(data), -1).mean(axis=1) > 0.3).all()


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return self.factor * logits


@pytest.mark.parametrize("name", ["fgsm", "pgd", "mi-fgsm", "ni-fgsm", "di-fgsm", "ti-fgsm", "vmi-fgsm", "jitter"])
def test_a_gradient_of_zero_is_no_crash(name: str) -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([0 * images.mean((1, 2, 3)), 1 + 0 * images.mean((1, 2, 3))], dim=1)

    images, labels = inner()
    found = make(name).perturb(Constant(), images, labels)
    assert found.isfinite().all()
    assert (found - images).abs().max() <= 8 / 255 + 1e-6


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_l2_steps_have_full_length_on_a_network_that_is_sure(name: str) -> None:
    network, (images, _) = nn.Sequential(*linear(2), Scale(0.2)), inner()
    labels = network(images).argmax(1)
    shifted = nn.Sequential(network, Shift(labels, 20.0))
    settings = {} if name == "fgsm" else {"steps": 4, "random_start": False}
    found = make(name, norm="L2", **settings).perturb(shifted, images, labels)
    torch.testing.assert_close((found - images).flatten(1).norm(dim=1), torch.full((4,), 128 / 255), atol=1e-3, rtol=0)


class Shift(nn.Module):
    """Raise the logits of the labels, so that the gradient of the cross-entropy nearly vanishes."""

    def __init__(self, labels: Tensor, margin: float) -> None:
        super().__init__()
        self.lift = margin * nn.functional.one_hot(labels, 2)

    def forward(self, logits: Tensor) -> Tensor:
        return logits + self.lift


def test_noise_fills_the_ball() -> None:
    images, labels = torch.full((50, 3, 16, 16), 0.5), torch.zeros(50, dtype=torch.long)
    linf = make("noise").perturb(linear(2), images, labels) - images
    assert linf.abs().max() <= 8 / 255 + 1e-6
    assert linf.std().item() == pytest.approx(8 / 255 / 3**0.5, rel=0.02)
    l2 = make("noise", norm="L2").perturb(linear(2), images, labels) - images
    torch.testing.assert_close(l2.flatten(1).norm(dim=1), torch.full((50,), 128 / 255))


def test_step_sizes_follow_the_radius_and_the_norm() -> None:
    assert make("pgd", norm="L2").params.alpha == Fraction(32, 255)
    assert make("pgd", norm="L2", eps="3", alpha="2").params.alpha == 2
    assert make("mi-fgsm", eps="16/255").params.alpha == Fraction(16, 2550)
    assert "alpha" not in make("mi-fgsm").params.model_fields_set
    with pytest.raises(SpecError, match="did you mean 2/255"):
        make("pgd", alpha="2")


def test_input_diversity_refuses_oblong_images() -> None:
    with pytest.raises(SpecError, match="square images"):
        make("di-fgsm").perturb(linear(2), torch.zeros(1, 3, 6, 8), torch.tensor([0]))


@pytest.mark.parametrize("name", BOTH_NORMS)
def test_the_radius_suits_the_norm_unless_given(name: str) -> None:
    assert str(make(name).threat(surrogate=True)) == "Linf 8/255 transfer"
    assert str(make(name, norm="L2").threat(surrogate=True)) == "L2 128/255 transfer"


def test_jsma_aims_at_the_next_of_however_many_classes_there_are() -> None:
    data = draw(2)
    last = ImageSet(images=data.images, labels=np.full(2, 4))
    assert attacked(make("torchattacks-jsma", eps="8"), trained(), last).shape == data.images.shape


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_a_radius_of_zero_leaves_the_images(name: str) -> None:
    data = draw(3)
    assert np.array_equal(attacked(make(name, eps="0"), trained(), data), data.images)
