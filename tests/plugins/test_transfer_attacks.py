"""The newer attacks for transfer: against closed forms, and against what they become by their parameters."""

from __future__ import annotations

import pytest
import torch
from robench import SpecError
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers.sia import changed
from robench_plugins.attackers.ssa import SSA, cosines
from tests.helpers.attack_fixtures import draw, make, trained

NEW = ("si-fgsm", "admix", "ssa", "pgn", "sia")
AS_MI_FGSM = {
    "si-fgsm": {"scales": 1},
    "admix": {"scales": 1, "mixes": 1, "strength": 0},
    "ssa": {"spectra": 1, "rho": 0, "noise": 0},
    "pgn": {"neighbours": 1, "radius": 0, "balance": 0},
}


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    data = draw(n)
    return torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)


def stripes(n_classes: int = 2) -> nn.Sequential:
    """Return a linear network with the same weights everywhere, which moving parts of an image does not matter to."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, n_classes))
    by_class = torch.linspace(-0.02, 0.02, n_classes).view(-1, 1).expand(-1, 192)
    network[1].weight.data = by_class.clone()
    return network.requires_grad_(False)


@pytest.mark.parametrize("name", NEW)
def test_two_classes_of_a_linear_network_are_best_attacked_in_the_corner(name: str) -> None:
    network, (images, _) = stripes(), batch()
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    towards = (1 - 2 * labels.float()).view(-1, 1, 1, 1)
    found = make(name, steps=4).perturb(network, images, labels)
    torch.testing.assert_close(found, images + 8 / 255 * towards, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", AS_MI_FGSM)
def test_without_what_is_new_in_it_an_attack_is_mi_fgsm(name: str) -> None:
    network, (images, labels) = trained(), batch()
    plain = make("mi-fgsm", steps=5).perturb(network, images, labels)
    found = make(name, steps=5, **AS_MI_FGSM[name]).perturb(network, images, labels)
    # Signs of gradients that are rounded to zero may differ.
    assert (found - plain).abs().gt(1e-5).float().mean() < 0.01
    assert (make(name, steps=5).perturb(network, images, labels) - plain).abs().gt(1e-5).float().mean() > 0.02


def test_scaled_images_have_the_gradients_of_torchattacks_without_its_momentum() -> None:
    network, (images, labels) = trained(), batch()
    theirs = make("torchattacks-sinifgsm", alpha="2/255", decay=0, steps=4, m=3).perturb(network, images, labels)
    found = make("si-fgsm", alpha="2/255", decay=0, steps=4, scales=3).perturb(network, images, labels)
    assert (found - theirs).abs().gt(1e-5).float().mean() < 0.01


def test_the_penalised_gradient_is_that_of_two_points() -> None:
    network, (images, labels) = trained(), batch()

    def slope(points: Tensor) -> Tensor:
        points = points.clone().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(network(points), labels, reduction="sum"), points)[0]

    here = slope(images)
    there = slope(images - 0.01 * here / here.abs().mean(dim=(1, 2, 3), keepdim=True))
    expected = images + (0.3 * here + 0.7 * there).sign() * 0.01
    attack = make("pgn", steps=1, alpha="0.01", neighbours=1, radius=0, balance=0.7)
    assert (attack.perturb(network, images, labels) - expected).abs().gt(1e-5).float().mean() < 0.01


def test_an_image_is_mixed_with_other_classes_alone() -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.detach())
            return torch.stack([images.mean((1, 2, 3)), -images.mean((1, 2, 3))], dim=1)

    images = torch.tensor([0.1, 0.1, 0.5]).view(3, 1, 1, 1).expand(3, 3, 4, 4).clone()
    make("admix", steps=1, scales=2, mixes=4, strength=0.5).perturb(Watched(), images, torch.tensor([0, 0, 1]))
    assert len(seen) == 8
    for mix, half in zip(seen[::2], seen[1::2], strict=True):
        torch.testing.assert_close(mix[:, 0, 0, 0], torch.tensor([0.35, 0.35, 0.55]))
        torch.testing.assert_close(half, mix / 2)


def test_a_spectrum_goes_there_and_back() -> None:
    matrix = cosines(9)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(9).double())
    constant = matrix @ torch.ones(9).double()
    torch.testing.assert_close(constant, 3 * F.one_hot(torch.tensor(0), 9).double())
    attack = make("ssa", noise=0, rho=0.5)
    assert isinstance(attack, SSA)
    images = torch.rand(40, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = attack.changed(images)
    rows, columns = cosines(8).float(), cosines(6).float()
    factors = (rows @ made @ columns.T) / (rows @ images @ columns.T)
    likely = (rows @ images @ columns.T).abs() > 0.05
    assert 0.499 < factors[likely].min() < 0.52 and 1.48 < factors[likely].max() < 1.501


def test_blocks_are_moved_and_flipped_but_stay_where_they_are() -> None:
    images = torch.arange(2 * 3 * 7 * 7).float().view(2, 3, 7, 7) / 300
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = [changed(images, 1) for _ in range(60)]
        small = changed(images, 50)
    assert all(each.shape == images.shape for each in (*made, small))
    same = [each for each in made if torch.equal(each.flatten().sort().values, images.flatten())]
    assert 30 < len(same) < 60  # two of seven changes alter the values
    for each in same:  # rows, columns or both in another order
        assert torch.equal(each.flatten(2).sort(dim=2).values, images.flatten(2))
    assert len({each.numpy().tobytes() for each in same}) > 7


@pytest.mark.parametrize("name", [*NEW, "square"])
def test_a_target_is_where_an_attack_leads(name: str) -> None:
    network, (images, labels) = trained(), batch(10)
    few = {} if name == "square" else {"steps": 8}
    found = make(name, eps="60/255", target="2", **few, **({"queries": 400} if name == "square" else {}))
    made = found.perturb(network, images, labels)
    reached = network(made).argmax(dim=1) == 2
    assert reached.float().mean() > 0.6
    assert torch.equal(made[labels == 2], images[labels == 2])
    with pytest.raises(SpecError, match="target=rose needs a run, which knows the classes; expected a number below 5"):
        make(name, target="rose").perturb(network, images, labels)
