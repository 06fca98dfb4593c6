"""The attacks against foolbox and against torchattacks: image by image where both are exact, else by success."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import foolbox
import pyautoattack
import pytest
import torch
import torchattacks
from robench import SpecError, to_pixels
from robench.registry.registry import discover
from torch import Tensor, nn

from robench_plugins.attackers.di_fgsm import DIFGSM
from robench_plugins.attackers.square import Square
from robench_plugins.datasets.leaf_synth import LeafSynth
from tests.helpers.attack_fixtures import CPU, draw, make, trained
from tests.helpers.plugin_fixtures import make_context

N = 16


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Tensor, Tensor]:
    """The shipped ResNet-20 and the test images that it gets right."""
    dataset = LeafSynth()
    context = make_context(tmp_path_factory.mktemp("cache"), dataset, name="leaf-synth")
    network = discover().resolve("model", "resnet20").build().build(context).eval().requires_grad_(False)
    data = dataset.split("test", 2 * N)
    images, labels = to_pixels(data.images, CPU), torch.from_numpy(data.labels)
    right = (network(images).argmax(1) == labels).nonzero().flatten()[:N]
    assert len(right) == N
    return network, images[right], labels[right]


@pytest.fixture(scope="module")
def toys() -> tuple[nn.Module, Tensor, Tensor]:
    data = draw(40)
    # A copy: other libraries leave gradients in the weights.
    return copy.deepcopy(trained()), to_pixels(data.images, CPU), torch.from_numpy(data.labels)


def reference(attack: Any, network: nn.Module, images: Tensor, labels: Tensor, eps: str) -> Tensor:
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    found: Tensor = attack(model, images, labels, epsilons=float(Fraction(eps)))[1]
    return found


def broken(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    with torch.no_grad():
        return int((network(images).argmax(1) != labels).sum())


def norms(change: Tensor, order: float) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(change.flatten(1), ord=order, dim=1)
    return found


def agreement(ours: Tensor, theirs: Tensor) -> float:
    """Return the share of pixels that are equal; the sign of a gradient that is all but zero may differ."""
    return float(((ours - theirs).abs() < 1e-5).float().mean())


@pytest.mark.parametrize("eps", ["1/255", "8/255"])
def test_fgsm_is_foolbox_fgsm_image_by_image(leaves: tuple[nn.Module, Tensor, Tensor], eps: str) -> None:
    ours = make("fgsm", eps=eps).perturb(*leaves)
    theirs = reference(foolbox.attacks.LinfFastGradientAttack(), *leaves, eps)
    assert agreement(ours, theirs) > 0.999


def test_the_l2_gradient_step_is_foolbox_image_by_image(leaves: tuple[nn.Module, Tensor, Tensor]) -> None:
    ours = make("fgsm", norm="L2", eps="1").perturb(*leaves)
    theirs = reference(foolbox.attacks.L2FastGradientAttack(), *leaves, "1")
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_pgd_is_foolbox_pgd_image_by_image(toys: tuple[nn.Module, Tensor, Tensor]) -> None:
    ours = make("pgd", eps="8/255", alpha="2/255", steps=7, random_start=False).perturb(*toys)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=2 / 255, steps=7, random_start=False)
    assert agreement(ours, reference(attack, *toys, "8/255")) > 0.999


def test_pgd_in_l2_is_foolbox_pgd_image_by_image(toys: tuple[nn.Module, Tensor, Tensor]) -> None:
    ours = make("pgd", norm="L2", eps="128/255", alpha="32/255", steps=7, random_start=False).perturb(*toys)
    attack = foolbox.attacks.L2PGD(abs_stepsize=32 / 255, steps=7, random_start=False)
    torch.testing.assert_close(ours, reference(attack, *toys, "128/255"), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "eps", "alpha", "attack"),
    [("Linf", "1/255", 1 / 1020, foolbox.attacks.LinfPGD), ("L2", "32/255", 8 / 255, foolbox.attacks.L2PGD)],
)
def test_pgd_from_a_random_start_succeeds_as_often_as_foolbox(
    leaves: tuple[nn.Module, Tensor, Tensor], norm: str, eps: str, alpha: float, attack: Any
) -> None:
    torch.manual_seed(0)
    ours = broken(leaves[0], make("pgd", norm=norm, eps=eps, steps=10).perturb(*leaves), leaves[2])
    theirs = reference(attack(abs_stepsize=alpha, steps=10, random_start=True), *leaves, eps)
    assert 2 <= ours <= N and abs(ours - broken(leaves[0], theirs, leaves[2])) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "eps"), [("Linf", "1/255"), ("L2", "32/255")])
def test_apgd_is_as_strong_as_torchattacks_apgd_and_no_weaker_than_foolbox_pgd(
    leaves: tuple[nn.Module, Tensor, Tensor], norm: str, eps: str
) -> None:
    network, images, labels = leaves
    torch.manual_seed(0)
    ours = broken(network, make("apgd-ce", norm=norm, eps=eps, steps=15).perturb(*leaves), labels)
    with torch.random.fork_rng(devices=[]):
        other = torchattacks.APGD(network, norm=norm, eps=float(Fraction(eps)), steps=15)
        theirs = broken(network, other.forward(images, labels), labels)
    pgd = foolbox.attacks.LinfPGD if norm == "Linf" else foolbox.attacks.L2PGD
    baseline = broken(network, reference(pgd(steps=15), *leaves, eps), labels)
    assert abs(ours - theirs) <= 1
    assert ours >= baseline - 1
    assert ours >= 4


def test_the_targeted_ratio_breaks_no_fewer_than_the_plain_one(toys: tuple[nn.Module, Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    plain = broken(toys[0], make("apgd-dlr", eps="12/255", steps=20).perturb(*toys), toys[2])
    targeted = broken(toys[0], make("apgd-t", eps="12/255", steps=20).perturb(*toys), toys[2])
    assert 4 <= plain <= targeted < 40


@pytest.mark.parametrize(("name", "settings"), [("deepfool", {}), ("cw", {"steps": 60, "search_steps": 5})])
def test_minimal_attacks_find_lengths_like_foolbox(
    toys: tuple[nn.Module, Tensor, Tensor], name: str, settings: dict[str, Any]
) -> None:
    network, images, labels = toys
    attack = (
        foolbox.attacks.L2DeepFoolAttack(loss="logits")
        if name == "deepfool"
        else foolbox.attacks.L2CarliniWagnerAttack(
            binary_search_steps=5, steps=60, stepsize=0.01, initial_const=0.1, abort_early=False
        )
    )
    ours = make(name, eps="3", **settings).perturb(*toys)
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    theirs = attack(model, images, labels, epsilons=None)[1]
    assert broken(network, ours, labels) == broken(network, theirs, labels) == 40
    ratio = norms(ours - images, 2).median() / norms(theirs - images, 2).median()
    assert 0.9 < ratio < 1.15


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_fab_finds_no_longer_perturbations_than_foolbox_fmn(toys: tuple[nn.Module, Tensor, Tensor], norm: str) -> None:
    network, images, labels = toys
    order = 2 if norm == "L2" else float("inf")
    ours = make("fab", norm=norm, eps="3" if norm == "L2" else "32/255", steps=40).perturb(*toys)
    fmn = foolbox.attacks.L2FMNAttack if norm == "L2" else foolbox.attacks.LInfFMNAttack
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    theirs = fmn(steps=40)(model, images, labels, epsilons=None)[1]
    assert broken(network, ours, labels) >= 38
    assert norms(ours - images, order).median() <= 1.1 * norms(theirs - images, order).median() + 0.5 / 255


@pytest.mark.parametrize(("norm", "eps"), [("Linf", "20/255"), ("L2", "2")])
def test_square_succeeds_as_often_as_torchattacks_square(
    toys: tuple[nn.Module, Tensor, Tensor], norm: str, eps: str
) -> None:
    network, images, labels = toys
    torch.manual_seed(0)
    ours = broken(network, make("square", norm=norm, eps=eps, queries=150, rescale=True).perturb(*toys), labels)
    with torch.random.fork_rng(devices=[]):
        other = torchattacks.Square(network, norm=norm, eps=float(Fraction(eps)), n_queries=150)
        theirs = broken(network, other.forward(images, labels), labels)
    assert ours >= 4 and abs(ours - theirs) <= 5


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_hopskipjump_comes_as_near_as_foolbox_with_as_many_queries(
    toys: tuple[nn.Module, Tensor, Tensor], norm: str
) -> None:
    network, (images, labels), asked = toys[0], (each[:12] for each in toys[1:]), []
    counted = network.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    theirs = foolbox.attacks.HopSkipJumpAttack(steps=5, constraint=norm.lower())
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    found = theirs.run(model, images, foolbox.criteria.Misclassification(labels))
    counted.remove()
    # Half of foolbox's images are at this distance or nearer.
    nearest = norms(found - images, 2 if norm == "L2" else float("inf")).median()
    eps = Fraction(round(255 * float(nearest)), 255)
    ours = make("hopskipjump", norm=norm, eps=eps, queries=sum(asked) // 12).perturb(network, images, labels)
    assert broken(network, ours, labels) >= 4


def test_square_has_the_settings_of_the_ensemble_that_its_defaults_are_named_after() -> None:
    theirs = pyautoattack.AutoAttack(trained(), norm="Linf", eps=8 / 255, device="cpu").square
    ours = Square().params
    assert (ours.queries, ours.first_size, ours.rescale) == (theirs.n_queries, theirs.p_init, theirs.rescale_schedule)


def test_di_fgsm_enlarges_as_its_paper_and_has_momentum_as_those_who_compare_with_it() -> None:
    params = DIFGSM().params
    assert (params.decay, params.probability) == (1, 0.5)
    assert params.resize_rate == pytest.approx(330 / 299, abs=0.01)


def test_di_fgsm_sees_enlarged_images_and_its_own_size_in_the_rest() -> None:
    sides: list[int] = []

    class Watched(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            sides.append(images.shape[-1])
            return torch.stack([images.mean((1, 2, 3)), -images.mean((1, 2, 3))], dim=1)

    torch.manual_seed(0)
    DIFGSM(DIFGSM.Params(steps=40)).perturb(Watched(), torch.rand(2, 3, 32, 32), torch.zeros(2, dtype=torch.long))
    assert set(sides) == {32, 35}


def test_a_resize_rate_that_changes_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="resize_rate=1: 1 leaves images as they are"):
        DIFGSM.Params.read({"resize_rate": "1"}, "di-fgsm")


def test_autoattack_breaks_no_fewer_than_any_attack_of_foolbox(toys: tuple[nn.Module, Tensor, Tensor]) -> None:
    network, _, labels = toys
    torch.manual_seed(0)
    ours = broken(network, make("autoattack", eps="10/255", steps=20, queries=50).perturb(*toys), labels)
    attacks = [foolbox.attacks.LinfPGD(steps=40), foolbox.attacks.LinfFastGradientAttack()]
    theirs = max(broken(network, reference(attack, *toys, "10/255"), labels) for attack in attacks)
    assert 4 <= theirs <= ours < len(labels)
