"""Attacks that see predicted classes alone: on linear networks, where the nearest boundary is known."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from robench import ImageSet, SpecError
from robench.attack.perturbation import perturb_set
from robench.attack.queries import NEVER, Asked
from torch import Tensor, nn

from robench_plugins.attackers.hopskipjump import HopSkipJump
from robench_plugins.attackers.rays import blocks
from tests.helpers.attack_fixtures import CPU, draw, make, trained
from tests.helpers.toy import Dots

N = 6


def linear() -> tuple[nn.Sequential, ImageSet, Callable[[float], np.ndarray]]:
    """Return a network of two classes, images that it has right, and what gives their distances to the boundary.

    The distance is that in the norm whose dual the function is given.
    """
    random = np.random.default_rng(0)
    images = random.integers(90, 160, (N, 3, 6, 6)).astype(np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
    weight = torch.from_numpy(random.normal(size=108)).float()
    network[1].weight.data = torch.stack([-weight, weight])
    network[1].bias.data = torch.tensor([0.0, -float(weight.sum())])  # the boundary goes through middle grey
    with torch.no_grad():
        logits = network(torch.from_numpy(images).float() / 255)
    gaps = (logits[:, 1] - logits[:, 0]).abs().numpy()
    labels = logits.argmax(dim=1).numpy()
    return (
        network.eval(),
        ImageSet(images=images, labels=labels),
        lambda dual: gaps / float(torch.linalg.vector_norm(2 * weight, ord=dual)),
    )


def run(name: str, network: nn.Module, data: ImageSet, **params: object) -> tuple[np.ndarray, Asked]:
    counts: list[Asked] = []
    attack = make(name, **params)
    threat = attack.threat(surrogate=False)
    assert threat.knowledge == "labels"
    made, _ = perturb_set(attack, network, data, threat=threat, device=CPU, seed=0, counted=counts.append)
    return made, counts[0]


def levels(distances: np.ndarray) -> str:
    return f"{int(np.ceil(255 * distances.max()))}/255"


def test_rays_finds_the_best_direction_of_a_linear_network() -> None:
    network, data, distances = linear()
    nearest = distances(1)
    _, counts = run("rays", network, data, eps=levels(nearest), queries=4000)
    assert (counts.fell != NEVER).all()
    below = Fraction(max(1, int(255 * nearest.max())), 255)
    made, counts = run("rays", network, data, eps=below, queries=600)
    hard = 255 * nearest > int(below * 255)
    assert (counts.fell[hard] == NEVER).all() and (counts.asked[hard] == 600).all()
    # It still returns the radius in the best direction.
    assert (np.abs(made.astype(int) - data.images)[hard] == int(below * 255)).all()


def test_hopskipjump_walks_to_the_nearest_boundary_of_a_linear_network() -> None:
    network, data, distances = linear()
    nearest = distances(2)
    # Rounding to 8 bits may lengthen a perturbation by half a level a value.
    eps = Fraction(int(255 * 1.25 * nearest.max() + 6), 255)
    _, counts = run("hopskipjump", network, data, norm="L2", eps=eps, queries=6000)
    assert (counts.fell != NEVER).all()
    assert np.median(counts.fell) > 100
    _, counts = run("hopskipjump", network, data, norm="L2", eps=Fraction(int(255 * 0.9 * nearest.min()), 255))
    assert (counts.fell == NEVER).all()


def test_images_that_are_wrong_already_cost_one_query() -> None:
    network, data, _ = linear()
    wrong = ImageSet(images=data.images, labels=1 - data.labels)
    for name in ("rays", "hopskipjump"):
        made, counts = run(name, network, wrong)
        assert np.array_equal(made, data.images) and counts.asked.tolist() == [1] * N


@pytest.mark.parametrize("name", ["rays", "hopskipjump"])
def test_no_query_is_asked_beyond_the_budget(name: str) -> None:
    class Sure(nn.Module):
        """Never misclassifies, and counts."""

        asked = 0

        def forward(self, images: Tensor) -> Tensor:
            self.asked += len(images)
            return images.new_tensor([[1.0, 0.0]]).expand(len(images), 2)

    network, data = Sure(), ImageSet(images=draw(3).images, labels=np.zeros(3, np.int64))
    _, counts = run(name, network, data, queries=37)
    assert (counts.asked <= 37).all() and (counts.fell == NEVER).all()
    assert network.asked <= 3 * 37 + 2  # the image at which networks are folded, and the number of classes


def test_the_blocks_of_rays_are_halved_again_and_again() -> None:
    assert list(islice(blocks(5), 14)) == [
        *[(0, 5)],
        *[(0, 3), (3, 5)],
        *[(0, 2), (2, 4), (4, 5)],
        *[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
        *[(0, 1), (1, 2), (2, 3)],
    ]


def test_a_target_starts_from_training_images_of_its_class(tmp_path: Path) -> None:
    data, network = draw(20), trained()
    attack = make("hopskipjump", eps="3", norm="L2", target="2", queries=400)
    assert isinstance(attack, HopSkipJump)
    attack._starts = {2: torch.from_numpy(data.images[data.labels == 2]).float() / 255}
    images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = attack.perturb(network, images, labels)
    reached = network(made).argmax(dim=1) == 2
    assert reached[labels != 2].float().mean() > 0.7
    assert torch.equal(made[labels == 2], images[labels == 2])


def test_training_images_are_looked_up_once_and_a_wrong_class_is_refused(tmp_path: Path) -> None:
    from robench import RunContext

    context = RunContext(dataset=Dots(), dataset_name="dots", device=CPU, seed=0, cache_dir=tmp_path)
    attack = make("hopskipjump", target="1")
    assert isinstance(attack, HopSkipJump)
    assert attack.prepare(context) == {"target": 1}
    assert attack._starts is not None and set(attack._starts) == {0, 1} and len(attack._starts[1]) <= 10
    with pytest.raises(
        SpecError, match="target=rose is no class of dots; expected one of random, next, a number below"
    ):
        make("hopskipjump", target="rose").prepare(context)
