"""What must hold for every attack that is listed, whatever it does."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
import torch
from robench import ImageSet
from robench.attack.perturbation import check_ball
from robench.contracts.types import ASKING

from tests.helpers.attack_fixtures import (
    BOTH_NORMS,
    BUILT_IN,
    BY_NAME,
    Detached,
    attacked,
    draw,
    make,
    success,
    trained,
)

# A radius at which the attacks that can break the network mostly do.
RADIUS = {"Linf": "24/255", "L2": "192/255", "L0": "12", "patch": "4", "spatial": "20", "colour": "24/255"}
CASES = [(name, None) for name in BY_NAME] + [(name, "L2") for name in BOTH_NORMS]
IDS = [f"{name}{'-L2' if norm else ''}" for name, norm in CASES]
QUERY = [case for case in CASES if make(case[0]).knowledge in ASKING]
SEE_NOTHING = {"noise", "resize"}
CONTROLS = SEE_NOTHING | {"torchattacks-vanila", "torchattacks-gn"}
# Made for few pixels or a short L1 length, cut to an L2 ball; CW has no search for c; in Jitter the noise on the
# softmax outweighs the gradient of a network that is sure, until there are more steps than a quick test has. No turn by
# so few degrees fools this network.
NEED_NOT_BEAT_NOISE = {f"torchattacks-{name}" for name in ("jsma", "eadl1", "eaden", "sparsefool", "cw", "jitter")}
NEED_NOT_BEAT_NOISE |= {"spatial-pgd"}
# Their own length has a gradient too, so that a network without one goes unnoticed.
PENALISE_LENGTH = {"cw", "jitter", *(f"torchattacks-{name}" for name in ("cw", "jitter", "eadl1", "eaden"))}


def settings(name: str, norm: str | None, scale: int = 1) -> dict[str, str]:
    ball = norm or make(name).threat(surrogate=False).norm
    number, over, below = RADIUS[ball].partition("/")
    return {"eps": f"{int(number) * scale}{over}{below}", **({"norm": norm} if norm else {})}


@cache
def data() -> ImageSet:
    return draw().first(12)


@cache
def found(name: str, norm: str | None) -> np.ndarray:
    return attacked(make(name, **settings(name, norm)), trained(), data())


@pytest.mark.parametrize(("name", "norm"), CASES, ids=IDS)
def test_images_stay_in_the_ball(name: str, norm: str | None) -> None:
    threat = make(name, **settings(name, norm)).threat(surrogate=False)
    assert threat.norm == (norm or threat.norm)
    assert check_ball(data().images, found(name, norm), threat) <= float(threat.eps)


@pytest.mark.parametrize(("name", "norm"), CASES, ids=IDS)
def test_the_same_seed_gives_the_same_bytes_and_touches_no_global_random_state(name: str, norm: str | None) -> None:
    first = found(name, norm)
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    again = attacked(make(name, **settings(name, norm)), trained(), data())
    assert np.array_equal(again, first)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


@pytest.mark.parametrize("name", BY_NAME)
def test_an_attack_on_one_image_leaves_no_trace_and_no_output(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    network, one = trained(), data().first(1)
    network.train()
    network.layers[1].eval()
    modes = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    try:
        assert attacked(make(name, **settings(name, None)), network, one).shape == one.images.shape
        assert [module.training for module in network.modules()] == modes
        assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    finally:
        network.eval()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "norm"), [case for case in CASES if case[0] not in CONTROLS | NEED_NOT_BEAT_NOISE and case not in QUERY]
)
def test_gradients_beat_noise_at_the_same_radius(name: str, norm: str | None) -> None:
    ball = norm or make(name).threat(surrogate=False).norm
    noise = success(make("noise", norm=ball, eps=RADIUS[ball]), trained(), data())
    assert success(make(name, **settings(name, norm)), trained(), data()) > noise


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] in BUILT_IN and case[0] != "noise"])
def test_twice_the_radius_breaks_no_fewer_images(name: str, norm: str | None) -> None:
    once = success(make(name, **settings(name, norm)), trained(), data())
    assert success(make(name, **settings(name, norm, scale=2)), trained(), data()) >= once


@pytest.mark.parametrize(("name", "norm"), QUERY)
def test_attacks_by_query_need_no_gradients(name: str, norm: str | None) -> None:
    blind = attacked(make(name, **settings(name, norm)), Detached(trained()), data())
    assert np.array_equal(blind, found(name, norm))


@pytest.mark.parametrize(
    "name", [name for name in BY_NAME if make(name).knowledge == "white-box" and name not in PENALISE_LENGTH]
)
def test_white_box_attacks_do_need_gradients(name: str) -> None:
    with pytest.raises(RuntimeError, match="grad"):
        attacked(make(name, **settings(name, None)), Detached(trained()), data())


@pytest.mark.parametrize("name", BY_NAME)
def test_knowledge_turns_into_transfer_with_a_surrogate(name: str) -> None:
    assert make(name).threat(surrogate=True).knowledge == "transfer"
    alone = ("nothing",) if name in SEE_NOTHING else ("white-box", "query", "labels")
    assert make(name).threat(surrogate=False).knowledge in alone
