"""The losses of PGD against their formulas, against the code of others, and on linear networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from robench import RunContext, SpecError
from robench.registry.registry import discover
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.attackers import losses
from robench_plugins.attackers.autoattack import AutoAttack
from robench_plugins.attackers.eight_bit import predicted
from robench_plugins.attackers.pgd import PGD
from tests.helpers.toy import Dots

REGISTRY = discover()
SEEDED = torch.Generator().manual_seed(0)
LOGITS, CLEAN = (10 * torch.randn(50, 6, generator=SEEDED) for _ in range(2))
LABELS = torch.randint(0, 6, (50,), generator=SEEDED)
TARGETS = (LABELS + 1 + torch.randint(0, 5, (50,), generator=SEEDED)) % 6


def pgd(**params: object) -> PGD:
    return PGD(PGD.Params.read(params, "pgd"))


def linear(n_classes: int = 5) -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, n_classes))
    network[1].weight.data = torch.randn(n_classes, 48, generator=torch.Generator().manual_seed(0))
    return network.eval().requires_grad_(False)


def images(n: int = 8) -> Tensor:
    return 0.2 + 0.6 * torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def slopes(loss: str, kappa: float = 50.0, targets: Tensor | None = None) -> Tensor:
    logits = LOGITS.clone().requires_grad_()
    if targets is None:
        found = losses.untargeted(loss, logits, LABELS, CLEAN, kappa)  # type: ignore[arg-type]
    else:
        found = losses.targeted(loss, logits, LABELS, targets, kappa)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    return gradient


@pytest.mark.parametrize("kappa", [0.0, 3.0, 50.0])
def test_the_margin_is_that_of_tecoa(kappa: float) -> None:
    """Its code: ``-sum(relu(correct_logit - wrong_logit + 50))``."""
    logits = LOGITS.clone().requires_grad_()
    mask = F.one_hot(LABELS, 6)
    correct, wrong = (mask * logits).sum(dim=1), ((1 - mask) * logits - 1e4 * mask).amax(dim=1)
    (expected,) = torch.autograd.grad(-F.relu(correct - wrong + kappa).sum(), logits)
    assert torch.equal(slopes("margin", kappa), expected)
    assert (expected == 0).all(dim=1).any() == (kappa < 50)


def test_the_ratios_are_those_of_autoattack() -> None:
    ours = losses.untargeted("dlr", LOGITS, LABELS, CLEAN, 0)
    plain = APGDAttack(nn.Identity(), eps=0.1, device="cpu")
    assert torch.allclose(ours, plain.dlr_loss(LOGITS, LABELS), atol=1e-5)
    aimed = APGDAttack_targeted(nn.Identity(), eps=0.1, device="cpu")
    aimed.y_target = TARGETS
    ours = losses.targeted("dlr", LOGITS, LABELS, TARGETS, 0)
    assert torch.allclose(ours, aimed.dlr_loss_targeted(LOGITS, LABELS), atol=1e-5)


def test_the_divergence_is_that_of_trades() -> None:
    """Its code: ``KLDivLoss(size_average=False)(log_softmax(model(x_adv)), softmax(model(x_natural)))``."""
    expected = nn.KLDivLoss(reduction="sum")(LOGITS.log_softmax(dim=1), CLEAN.softmax(dim=1))
    assert losses.untargeted("kl", LOGITS, LABELS, CLEAN, 0).sum() == pytest.approx(float(expected), rel=1e-4)


def test_a_targeted_loss_rises_with_its_target() -> None:
    for loss in ("ce", "margin"):
        gradient = slopes(loss, targets=TARGETS)
        own = gradient.gather(1, TARGETS[:, None])
        assert (own >= 0).all() and (own > 0.5).sum() > 40
        assert torch.allclose(gradient.sum(dim=1), torch.zeros(50), atol=1e-5)


def test_on_a_linear_network_one_full_step_is_the_best_there_is() -> None:
    """Towards class t the best point is ``x + eps sign(w_t - w_i)``, for a margin of two classes."""
    network, x = linear(2), images()
    labels = predicted(network, x)
    weight = network[1].weight
    best = x + 8 / 255 * (weight[1 - labels] - weight[labels]).sign().view_as(x)
    for settings in ({"loss": "margin"}, {"loss": "ce", "target": "next"}, {"loss": "margin", "restarts": 2}):
        found = pgd(alpha="eps", steps=3, **settings).perturb(network, x, labels)
        assert torch.allclose(found, best, atol=1e-6), settings


def test_kappa_is_where_the_margin_stops() -> None:
    network, x = linear(2), images()
    labels = predicted(network, x)

    def margin(kappa: float) -> Tensor:
        attack = pgd(loss="margin", kappa=kappa, eps=1, alpha="1/255", steps=60, random_start=False)
        return losses.margins(network(attack.perturb(network, x, labels)), labels)

    step = float((network[1].weight[0] - network[1].weight[1]).abs().sum()) / 255
    for kappa in (0.0, 2.0):
        assert ((margin(kappa) <= -kappa) & (margin(kappa) > -kappa - step)).all()


@pytest.mark.parametrize("target", ["least-likely", "random", "next", "2", "multi"])
def test_steps_lead_to_the_target(target: str) -> None:
    network, x = linear(), images(16)
    clean = network(x)
    labels = clean.argmax(dim=1)
    torch.manual_seed(0)
    found = predicted(network, pgd(eps="100/255", target=target, loss="margin", steps=20).perturb(network, x, labels))
    if target == "least-likely":
        assert torch.equal(found, clean.argmin(dim=1))
    if target == "next":
        assert torch.equal(found, (labels + 1) % 5)
    if target == "2":
        assert (found == 2).all()
    assert target == "2" or (found != labels).all()


def test_an_image_of_the_target_class_stays_clean() -> None:
    network, x = linear(), images(16)
    labels = torch.full((16,), 2)
    assert torch.equal(pgd(target="2").perturb(network, x, labels), x)


def test_a_class_is_named_by_the_run() -> None:
    context = RunContext(
        dataset=Dots(), dataset_name="dots", device=torch.device("cpu"), seed=0, cache_dir=Path("nowhere")
    )
    network, x, labels = linear(2), images(), torch.zeros(8, dtype=torch.long)
    attack = pgd(target="light", eps="100/255", steps=20)
    with pytest.raises(SpecError, match="target=light needs a run"):
        attack.perturb(network, x, labels)
    assert attack.prepare(context) == {"target": 1}
    assert (predicted(network, attack.perturb(network, x, labels)) == 1).all()
    with pytest.raises(SpecError, match=r"target=lite is no class of dots; expected .*: dark, light"):
        pgd(target="lite").prepare(replace(context))


def test_more_restarts_break_no_fewer() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 5)).eval().requires_grad_(False)
    x = images(60)
    labels = predicted(network, x)
    left = []
    for restarts in (1, 6):
        torch.manual_seed(1)
        found = pgd(eps="12/255", steps=2, alpha="eps/8", loss="margin", restarts=restarts).perturb(network, x, labels)
        left.append(int((predicted(network, (found * 255).round() / 255) == labels).sum()))
    assert left[1] < left[0]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("pgd:loss=kl,target=next", "loss=kl has no target"),
        ("pgd:loss=kl,random_start=false", "needs a random start"),
        ("pgd:kappa=3", "kappa=3 does nothing with loss=ce"),
        ("pgd:restarts=3,random_start=false", "restarts=3 are all alike"),
        ("pgd:target=next,early_exit=true", "leave one of them out"),
        ("pgd:loss=cw", "loss=cw"),
    ],
)
def test_what_does_not_fit_is_refused(typed: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        REGISTRY.resolve_attack(typed)


def test_a_loss_says_which_classes_it_needs() -> None:
    with pytest.raises(SpecError, match="loss=dlr needs at least 3 classes"):
        pgd(loss="dlr").perturb(linear(2), images(), torch.zeros(8, dtype=torch.long))


def test_what_papers_call_autoattack_has_three_names() -> None:
    def names(typed: str, n_classes: int) -> list[str]:
        attack = REGISTRY.resolve_attack(typed).build()
        assert isinstance(attack, AutoAttack)
        return [type(each).__name__ for each in attack.attacks(n_classes)]

    assert names("autoattack", 10) == ["APGDCE", "APGDT", "FAB", "Square"]
    assert names("autoattack-ce-t", 10) == ["APGDCE", "APGDT"]
    assert names("autoattack-ce-dlr", 10) == ["APGDCE", "APGDDLR"]
    assert names("autoattack-ce-dlr", 2) == ["APGDCE"]


def test_cw_of_papers_on_clip_is_not_cw() -> None:
    attack = REGISTRY.resolve_attack("cw-linf:eps=1/255")
    assert str(attack.threat()) == "Linf 1/255 white-box" and attack.surrogate is None
    assert {"loss": "margin", "steps": 10}.items() <= attack.values().items()
    assert REGISTRY.resolve_attack("cw-linf-resnet20").surrogate is not None


def test_the_attacks_that_records_hold_are_the_same() -> None:
    assert set(REGISTRY.resolve_attack("pgd").values()) == {"eps", "norm", "alpha", "steps", "random_start"}
    assert set(REGISTRY.resolve_attack("autoattack").values()) == {"eps", "norm", "steps", "queries"}
