"""Each check catches the model built to trip it, and passes sound ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robench import Attacker, AttackParams, ImageSet
from robench.attack.perturbation import check_ball, perturb_set
from robench.checks import probes, repeated
from robench.checks.attack import Trial
from robench.checks.certificate import certify, check_attack
from robench.checks.comparison import white_box
from robench.checks.network import normalisation
from robench.checks.repeated import logit_scale, rounding
from robench.checks.verdict import Subject, must_beat, significantly_more
from robench.contracts.context import Progress
from robench.images.image_set import to_pixels
from robench.networks.evaluate import fingerprint, predict
from robench.records.record import AttackScore, Check, SurrogateRecord
from robench.records.score import Score
from robench.registry.registry import discover
from robench.registry.resolved import ResolvedAttack
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.plugin_fixtures import ToyDataset, make_context
from tests.helpers.results import attack_score

CPU = torch.device("cpu")


class Sound(nn.Module):
    """A small network, trained to be right and not to be robust."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1, stride=2), nn.BatchNorm2d(12), nn.GELU(), nn.Flatten(), nn.Linear(12 * 64, 3)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers((images - 0.4) / 0.25)
        return logits


@cache
def trained() -> Sound:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Sound().train()
        data = ToyDataset().split("train")
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(30):
            loss = F.cross_entropy(network(to_pixels(data.images, CPU)), torch.from_numpy(data.labels))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


class Wrapped(nn.Module):
    """A defence around the sound network."""

    def __init__(self, defend: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.defend = trained(), defend

    def forward(self, images: Tensor) -> Tensor:
        return self.defend(self.inner, images)


def _batch_statistics(network: Any, images: Tensor) -> Tensor:
    layers = network.layers
    normed = F.batch_norm(layers[0]((images - 0.4) / 0.25), None, None, layers[1].weight, layers[1].bias, training=True)
    logits: Tensor = layers[2:](normed)
    return logits


TRAPS: dict[str, tuple[Callable[[nn.Module, Tensor], Tensor], str]] = {
    "quantised inputs": (lambda network, images: network((images * 7).round() / 7), "gradients"),
    "saturated softmax": (lambda network, images: 1e6 * F.softmax(1e4 * network(images), dim=1), "gradients"),
    "detached graph": (lambda network, images: network(images.detach()), "gradients"),
    "random defence": (lambda network, images: network(images + 0.3 * torch.randn_like(images)), "determinism"),
    "batch norm in training mode": (_batch_statistics, "batch neighbours"),
    "labels shifted": (lambda network, images: network(images).roll(1, dims=1), "labels"),
}


def attacks_of(*texts: str) -> list[ResolvedAttack]:
    return [discover().resolve_attack(text) for text in texts]


def checked(network: nn.Module, *attacks: ResolvedAttack, level: str = "fast", n: int = 60) -> dict[str, Check]:
    """Return the checks of `network` by name and, for those of an attack, by its label."""
    data = ToyDataset().split("test", n)
    context = make_context(Path("unused"))
    subject = Subject(network=network, data=data, context=context)
    predictions = predict(network, data.images, n_classes=3, device=CPU)
    tried = [(attack, scored(network, attack, data)) for attack in attacks]
    found = certify(subject, tried, predictions, data.labels, level)  # type: ignore[arg-type]
    return {f"{check.name} {check.attack}".strip(): check for check in found}


def scored(network: nn.Module, attack: ResolvedAttack, data: ImageSet) -> AttackScore:
    threat = attack.threat()
    target = trained() if attack.surrogate else network
    images, _ = perturb_set(attack.build(), target, data, threat=threat, device=CPU, seed=1)
    right = predict(network, images, n_classes=3, device=CPU) == data.labels
    surrogate = None
    if attack.surrogate:
        fooled = int((predict(target, images, n_classes=3, device=CPU) == data.labels).sum())
        clean = int((predict(target, data.images, n_classes=3, device=CPU) == data.labels).sum())
        surrogate = SurrogateRecord(name="s", fingerprint="f", clean_correct=clean, adversarial_correct=fooled)
    return AttackScore.of(
        right,
        label=attack.label,
        norm=threat.norm,
        eps=str(threat.eps),
        knowledge=threat.knowledge,
        surrogate=surrogate,
        images="",
        largest_norm=check_ball(data.images, images, threat),
        cached=False,
        seconds=0.1,
    )


PGD = attacks_of("pgd:eps=32/255,steps=10", "fgsm:eps=32/255", "pgd-resnet20:eps=32/255,steps=10")


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("level", ["fast", "full"])
def test_a_sound_model_passes_every_check(norm: str, level: str) -> None:
    attacks = PGD if norm == "Linf" else attacks_of("pgd:norm=L2,eps=4,steps=20")
    found = checked(trained(), *attacks, level=level)
    assert {check.verdict for check in found.values()} == {"pass"}, [c for c in found.values() if c.verdict != "pass"]
    names = {name.partition(" pgd")[0] for name in found}
    network = {"determinism", "batch neighbours", "gradients", "labels", "normalisation"}
    attack = {"ball", "noise", "resampling", "epsilon"}
    assert network | attack | {"single step", "huge epsilon"} <= names
    assert ("steps" in names) == ("restarts" in names) == (level == "full")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["colour-fw:eps=40/255,steps=4", "spatial-pgd:eps=40"])
def test_the_checks_know_attacks_that_move_no_single_pixels(text: str) -> None:
    (attack,) = attacks_of(text)
    found = checked(trained(), attack, n=16)
    assert not [check for check in found.values() if check.verdict in ("fail", "incomplete")]
    asked = {check.name for check in found.values() if check.attack}
    assert asked >= {"ball", "noise", "random search", "epsilon", "rounding"}
    assert ("huge epsilon" in asked) == ("single step" in asked) == text.startswith("colour")


@pytest.mark.slow
def test_masked_gradients_show_in_a_colour_attack() -> None:
    (attack,) = attacks_of("colour-fw:eps=40/255,steps=4")
    found = checked(Wrapped(TRAPS["quantised inputs"][0]), attack, n=24)
    assert found[f"random search {attack.label}"].verdict == "fail"
    assert found[f"huge epsilon {attack.label}"].verdict != "pass"


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_is_caught_by_the_check_made_for_it(trap: str) -> None:
    defend, name = TRAPS[trap]
    found = checked(Wrapped(defend))
    assert found[name].verdict == "fail", found


@pytest.mark.parametrize("trap", ["quantised inputs", "saturated softmax"])
def test_masked_gradients_show_in_the_attacks_too(trap: str) -> None:
    """What the white-box attack does not find, images of another network do."""
    found = checked(Wrapped(TRAPS[trap][0]), *PGD)
    attack, both = PGD[0].label, f"white-box {PGD[0].label}, {PGD[1].label}"
    assert found[both].verdict == "fail" and "masked" in found[both].reason
    assert found[f"huge epsilon {attack}"].verdict == "fail"


def test_a_weak_white_box_attack_beside_a_strong_one_raises_no_alarm() -> None:
    """A single step is weaker than iterated images of a copy of the network; that says nothing of gradients."""
    weak, strong, transfer = (f"{name}:eps=24/255" for name in ("fgsm", "pgd", "pgd-resnet20"))
    found = checked(trained(), *attacks_of(weak, f"{strong},steps=20", f"{transfer},steps=20"))
    assert next(check for name, check in found.items() if name.startswith("white-box")).verdict == "pass"
    alone = checked(trained(), *attacks_of(weak, f"{transfer},steps=20"))
    assert next(check for name, check in alone.items() if name.startswith("white-box")).verdict == "fail"


class Timid(Attacker):
    """An attack that grows weaker with its radius."""

    Params = AttackParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if self.params.eps > Fraction(20, 255):
            return images
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(pixels), labels), pixels)
        return images + float(self.params.eps) * gradient.sign()


class Helpful(Attacker):
    """An attack that goes the wrong way."""

    Params = AttackParams

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        pixels = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(pixels), labels), pixels)
        return images - float(self.params.eps) * gradient.sign()


class Falls(Attacker):
    """An attack that raises."""

    Params = AttackParams
    calls = 0

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        type(self).calls += 1
        if self.calls > 1:
            raise RuntimeError("no more")
        return images


def of_class(attacker: type[Attacker], eps: str = "32/255") -> ResolvedAttack:
    fgsm = attacks_of("fgsm")[0]
    return replace(fgsm, implementation=attacker, params=AttackParams.read({"eps": eps}, "it"))


def test_an_attack_that_weakens_as_its_radius_grows_is_caught() -> None:
    checks = checked(trained(), of_class(Timid, "20/255"))
    (found,) = [check for name, check in checks.items() if name.startswith("epsilon")]
    assert found.verdict == "fail" and "it must not rise" in found.reason


class Brightness(nn.Module):
    """Tells dark, grey and bright images apart, given pixels after `before`."""

    def __init__(self, before: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.before = before

    def forward(self, images: Tensor) -> Tensor:
        levels = torch.tensor([-0.6, 0.0, 0.6])
        return -(((self.before(images) - 0.5) / 0.5).mean(dim=(1, 2, 3), keepdim=True)[:, 0, 0] - levels).square()


@pytest.mark.parametrize(
    ("before", "verdict", "reason"),
    [
        (lambda images: images, "pass", "100 % of 30 are right"),
        (lambda images: (images - 0.5) / 0.5, "fail", "of 60 are right, 100 % with a normalisation by mean 0.500 "),
        (lambda images: images * 0.5 + 0.5, "fail", "of 60 are right, 100 % with a normalisation by mean 0.485 added"),
    ],
)
def test_a_normalisation_too_many_or_too_few_is_caught(
    before: Callable[[Tensor], Tensor], verdict: str, reason: str
) -> None:
    labels = np.arange(60) % 3
    images = np.broadcast_to(np.array([51, 128, 204], dtype=np.uint8)[labels, None, None, None], (60, 3, 8, 8)).copy()
    subject = Subject(
        network=Brightness(before), data=ImageSet(images=images, labels=labels), context=make_context(Path("unused"))
    )
    found = normalisation(subject)
    assert found.verdict == verdict and reason in found.reason, found


def test_an_attack_that_costs_less_than_resampling_is_noticed() -> None:
    """Chequered images, told apart by a network that looks at the finest detail alone, do not survive resampling."""
    labels = np.arange(60) % 3
    board = np.indices((8, 8)).sum(axis=0) % 2 * 2 - 1
    strength = np.array([-60, 0, 60])[labels, None, None, None]
    images = np.broadcast_to(128 + strength * board, (60, 3, 8, 8)).astype(np.uint8)

    class Finest(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            detail = (pixels * torch.from_numpy(board)).float().mean(dim=(1, 2, 3))[:, None]
            return -(detail - torch.tensor([-60, 0, 60]) / 255).square()

    subject = Subject(
        network=Finest(), data=ImageSet(images=images, labels=labels), context=make_context(Path("unused"))
    )
    attack = of_class(Helpful, "1/255")
    score = scored(Finest(), attack, subject.data)
    found = {check.name: check for check in check_attack(subject, attack, score, full=False)}
    assert found["resampling"].verdict == "warn" and "less than no attack" in found["resampling"].reason


def test_an_attack_worse_than_noise_is_caught() -> None:
    """Noise of this length breaks the network, and a step down the gradient keeps it right."""
    found = checked(trained(), of_class(Helpful, "200/255"))
    assert next(check for name, check in found.items() if name.startswith("noise")).verdict == "fail"


@pytest.mark.parametrize(("more", "fewer", "fails"), [(10, 1, True), (8, 0, True), (9, 2, False), (6, 0, False)])
def test_few_images_tell_an_attack_from_noise(more: int, fewer: int, fails: bool) -> None:
    """81 % of 64 right under noise and 95 % under an attack are 10 images more and 1 fewer: p = 0.006."""
    attacked, noisy = np.ones(64, bool), np.ones(64, bool)
    noisy[:more] = False
    attacked[more : more + fewer] = False
    assert (must_beat("noise", "it", attacked, noisy, "noise").verdict == "fail") is fails
    assert significantly_more(attacked, than=noisy) is fails
    p = sum(math.comb(more + fewer, k) for k in range(more, more + fewer + 1)) / 2 ** (more + fewer)
    assert (p < 0.01) is fails


def test_simple_adversaries_meet_each_image_once_in_a_ball(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    search = probes.random_search

    def counted(network: nn.Module, images: Tensor, *others: Any) -> Tensor:
        searched.append(len(images))
        return search(network, images, *others)

    monkeypatch.setattr(probes, "random_search", counted)
    found = checked(trained(), *attacks_of("pgd:eps=24/255", "pgd:eps=24/255,steps=10", "pgd:eps=12/255"))
    reasons = [check.reason for name, check in found.items() if name.startswith("random search")]
    one, longer, other = (int(reason.split(" of the ")[1].split()[0]) for reason in reasons)
    assert 0 < longer <= one < other < 60 and searched == [one, other], "the longer leaves some of the same right"


def test_what_no_attack_changes_is_made_once_for_all_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counting(name: str) -> None:
        make = getattr(probes, name)
        monkeypatch.setattr(probes, name, lambda *given: (made.append(name), make(*given))[1])

    for name in ("input_gradient", "resampled"):
        counting(name)
    found = checked(trained(), *attacks_of("pgd:eps=24/255", "pgd:eps=12/255"))
    assert sum(name.startswith(("resampling", "single step")) for name in found) == 4
    assert sorted(made) == ["input_gradient", "resampled"], "gradients and both attacks' checks share them"


def test_an_attack_at_two_radii_is_repeated_once_at_the_huge_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Fraction] = []
    perturb = repeated.perturb_set

    def counted(*args: Any, **options: Any) -> Any:
        tried.append(options["threat"].eps)
        return perturb(*args, **options)

    monkeypatch.setattr(repeated, "perturb_set", counted)
    attacks = attacks_of("pgd:eps=24/255", "pgd:eps=12/255")
    found = checked(trained(), *attacks)
    huge = [found[f"huge epsilon {attack.label}"] for attack in attacks]
    assert huge[0].reason == huge[1].reason and tried.count(Fraction(128, 255)) == 1
    assert tried.count(Fraction(24, 255)) == 1, "rounding of the first is twice the radius of the second"


@pytest.mark.parametrize("level", ["fast", "full"])
def test_an_attack_that_breaks_every_image_is_not_repeated(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "perturb_set", lambda *args, **options: pytest.fail("it was repeated"))
    found = checked(trained(), *attacks_of("pgd:eps=64/255,steps=10"), level=level)
    names = ["epsilon", "huge epsilon", "rounding"] + ["steps", "restarts"] * (level == "full")
    made = {name: found[f"{name} pgd:eps=64/255,steps=10"] for name in names}
    assert {check.verdict for check in made.values()} == {"pass"}
    assert {check.reason for check in made.values()} == {"0 of 60 withstand the attack; another finds no more"}


@pytest.mark.parametrize("left", range(5, 9))
def test_rounding_is_not_looked_at_where_too_few_images_are_left_to_blame_it(left: int) -> None:
    """Seven images of seven are the fewest that the sign test sees at 1 %: 2 ** -7 is 0.8 %, 2 ** -6 is 1.6 %."""
    attack, data = attacks_of("pgd:eps=24/255")[0], ToyDataset().split("test", 60)
    score = scored(trained(), attack, data)
    few = score.model_copy(update=dict(Score.of(np.arange(60) < left)))
    subject = Subject(network=trained(), data=data, context=make_context(Path("unused")))
    found = rounding(Trial(subject=subject, attack=attack, score=few, full=True))
    assert found is not None and ("too few" in found.reason) is (left < 7), found
    none, some = np.zeros(60, bool), np.arange(60) < left
    assert significantly_more(some, than=none) is (left >= 7)


def test_attacks_that_treat_a_defence_otherwise_are_repeated_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Fraction] = []
    perturb = repeated.perturb_set

    def counted(*args: Any, **options: Any) -> Any:
        tried.append(options["threat"].eps)
        return perturb(*args, **options)

    monkeypatch.setattr(repeated, "perturb_set", counted)
    (attack,) = attacks_of("pgd:eps=24/255")
    checked(trained(), attack, replace(attack, aware="bpda"))
    assert tried.count(Fraction(128, 255)) == 2


def test_a_random_search_is_asked_for_all_images_where_it_may_be_the_stronger(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def breaks_all(network: nn.Module, images: Tensor, *others: Any) -> Tensor:
        searched.append(len(images))
        return 1 - images

    monkeypatch.setattr(probes, "random_search", breaks_all)
    attack = attacks_of("pgd:eps=255/255,alpha=0.01/255,steps=1,random_start=false")
    found = checked(trained(), *attack)[f"random search {attack[0].label}"]
    assert found.verdict == "fail" and f"of {sum(searched)}" in found.reason, found


@pytest.mark.parametrize(("broken_at", "passes"), [(1, 100), (25, 100), (26, 25), (None, 25)])
def test_a_random_search_ends_early_where_it_breaks_no_image(broken_at: int | None, passes: int) -> None:
    """The first pass is over stripes, the second over the images as they are; one image of two breaks in some pass."""
    asked: list[int] = []

    class Breaks(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            asked.append(len(images))
            falls = broken_at is not None and len(asked) >= broken_at and len(asked) != 2
            right = torch.full((len(images),), 1.0 / len(asked) ** 2)
            right[0] = -1.0 if falls and len(images) == 2 else right[0]
            return torch.stack([right, torch.zeros_like(right)], dim=1)

    images, labels = torch.full((2, 3, 8, 8), 0.5), torch.zeros(2, dtype=torch.int64)
    (attack,) = attacks_of("pgd:eps=8/255")
    found = probes.random_search(Breaks(), images, labels, attack.threat(), 100, 25)
    assert len(asked) == passes and float((found - images).abs().amax()) <= 8 / 255 + 1e-6


def test_a_check_that_raises_costs_nothing_but_itself() -> None:
    found = checked(trained(), of_class(Falls))
    broken = next(check for name, check in found.items() if name.startswith("epsilon"))
    assert broken.verdict == "incomplete" and "RuntimeError: no more" in broken.reason
    assert found["gradients"].verdict == "pass"


def test_too_few_steps_are_noticed() -> None:
    found = checked(trained(), *attacks_of("pgd:eps=24/255,steps=2,alpha=6/255,random_start=false"), level="full")
    assert next(check for name, check in found.items() if name.startswith("steps")).verdict == "warn"


def test_a_surrogate_that_does_not_know_the_classes_is_noticed() -> None:
    """As one does whose input is normalised twice, or whose class order is another."""
    data = ToyDataset().split("test", 60)
    attack = PGD[2]
    score = scored(trained(), attack, data)
    ignorant = SurrogateRecord(name="s", fingerprint="f", clean_correct=20, adversarial_correct=18)
    broken = score.model_copy(update={"surrogate": ignorant})
    subject = Subject(network=trained(), data=data, context=make_context(Path("unused")))
    found = certify(subject, [(attack, broken)], data.labels, data.labels, "fast")
    assert next(check for check in found if check.name == "surrogate").verdict == "warn"
    assert next(check for check in found if check.name == "white-box").verdict == "warn"


def test_checks_report_how_far_they_are() -> None:
    data = ToyDataset().split("test", 60)
    told: list[Progress] = []
    context = replace(make_context(Path("unused")), report=told.append)
    certify(Subject(network=trained(), data=data, context=context), [], data.labels, data.labels, "fast")
    assert {each.stage for each in told} == {"checks"} and told[0].detail == "determinism"
    assert [each.done for each in told] == list(range(told[0].total + 1))


@pytest.mark.parametrize(("attack", "warned"), [("pgd-resnet20", True), ("pgd", False)])
def test_images_that_stop_at_the_boundary_of_a_surrogate_are_noticed(attack: str, warned: bool) -> None:
    found = checked(trained(), *attacks_of(f"{attack}:eps=24/255,early_exit=true"))
    (verdicts,) = [[each.verdict for name, each in found.items() if name.startswith("early exit")]]
    assert verdicts == (["warn"] if warned else [])


def test_a_model_that_knows_nothing_is_told_from_one_with_shifted_labels() -> None:
    data = ToyDataset().split("test", 60)
    subject = Subject(network=trained(), data=data, context=make_context(Path("unused")))
    guesses = np.random.default_rng(0).integers(0, 3, 60)
    (labels,) = [check for check in certify(subject, [], guesses, data.labels, "fast") if check.name == "labels"]
    assert labels.verdict == "warn" and "not above chance" in labels.reason


def test_checks_leave_the_network_and_the_random_state_as_they_were() -> None:
    network = trained()
    network.train()
    try:
        before, state = fingerprint(network), torch.random.get_rng_state()
        required = [weight.requires_grad for weight in network.parameters()]
        checked(network, *PGD[:1])
        assert fingerprint(network) == before and network.training
        assert torch.equal(torch.random.get_rng_state(), state)
        assert [weight.requires_grad for weight in network.parameters()] == required
    finally:
        network.eval()


@pytest.mark.parametrize("seconds", [0.0, 1e4])
def test_no_verdict_depends_on_how_long_an_attack_took(seconds: float) -> None:
    data = ToyDataset().split("test", 60)
    score = scored(trained(), PGD[0], data)
    subject = Subject(network=trained(), data=data, context=make_context(Path("unused")))
    slow = score.model_copy(update={"seconds": seconds})
    found = certify(subject, [(PGD[0], slow)], data.labels, data.labels, "fast")
    assert found == certify(subject, [(PGD[0], score)], data.labels, data.labels, "fast")
    assert "epsilon" in {check.name for check in found}
    assert certify(subject, [(PGD[0], score)], data.labels, data.labels, "off") == ()


def test_an_attack_of_many_gradients_is_repeated_on_fewer_images() -> None:
    attack = attacks_of("pgd:eps=8/255,steps=150")[0]
    data = ToyDataset().split("test", 60)
    subject = Subject(network=trained(), data=data, context=make_context(Path("unused")))
    found = {check.name: check for check in check_attack(subject, attack, scored(trained(), attack, data), full=False)}
    assert "of 16 images" in found["epsilon"].reason or "of 15 images" in found["epsilon"].reason


class Halting(Attacker):
    """Stops a hundredth of a level beyond the boundary, which rounding undoes."""

    Params = type(attacks_of("pgd")[0].params)

    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        pixels = images.clone().requires_grad_()
        logits = network(pixels)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), pixels)
        low, high = torch.zeros(len(images), 1, 1, 1), torch.full((len(images), 1, 1, 1), 0.49 / 255)
        for _ in range(12):
            middle = (low + high) / 2
            wrong = (network(images + middle * gradient.sign()).argmax(dim=1) != labels).view(-1, 1, 1, 1)
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
        return images + high * gradient.sign()


class Steep(nn.Module):
    """Tells dark from bright by a fraction of a level."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images.mean(dim=(1, 2, 3)) * 255 - 128  # 8-bit images of the test lie a fifth of a level away
        return torch.stack([-bright, bright], dim=1)


@pytest.mark.parametrize(("halts", "verdict"), [(False, "pass"), (True, "warn")])
def test_an_attack_that_rounding_undoes_is_noticed(halts: bool, verdict: str) -> None:
    labels = np.arange(60) % 2
    images = np.full((60, 3, 16, 16), 128, dtype=np.uint8)
    # A fifth of the pixels a level darker or brighter: a fifth of a level in the mean.
    images[:, :, :3] += (labels[:, None, None, None] * 2).astype(np.uint8)
    images[:, :, :3] -= 1

    attack = attacks_of("pgd:eps=2/255,steps=2")[0]
    attack = replace(attack, implementation=Halting) if halts else attack
    data = ImageSet(images=images, labels=labels.astype(np.int64))
    context = make_context(Path("unused"))
    subject = Subject(network=Steep(), data=data, context=context)
    clean = AttackScore.of(
        np.ones(60, dtype=bool),
        label=attack.label,
        norm="Linf",
        eps="2/255",
        knowledge="white-box",
        surrogate=None,
        images="",
        largest_norm=2 / 255,
        cached=False,
        seconds=0.0,
    )
    two = two_classes(subject)
    found = rounding(Trial(subject=two, attack=attack, score=clean, full=False))
    assert found is not None and found.verdict == verdict, found


def two_classes(subject: Subject) -> Subject:
    class Two(ToyDataset):
        @property
        def class_names(self) -> tuple[str, ...]:
            return ("dark", "bright")

    return replace(subject, context=make_context(Path("unused"), Two()))


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, None), (1e-6, "pass")])
def test_small_logits_are_no_alarm_where_scale_hides_nothing(factor: float, verdict: str | None) -> None:
    attack = attacks_of("pgd:eps=32/255")[0]
    network = Wrapped(lambda inner, images: factor * inner(images))
    data = ToyDataset().split("test", 60)
    subject = Subject(network=network, data=data, context=make_context(Path("unused")))
    found = logit_scale(Trial(subject=subject, attack=attack, score=scored(network, attack, data), full=False))
    assert (found and found.verdict) == verdict, found


def test_an_attack_that_leaves_more_right_than_no_attack_is_caught() -> None:
    data = ToyDataset().split("test", 60)
    score = scored(trained(), of_class(Helpful, "1/255"), data)
    subject = Subject(network=trained(), data=data, context=make_context(Path("unused")))
    wrong = data.labels.copy()
    wrong[:12] = (wrong[:12] + 1) % 3
    found = certify(subject, [(of_class(Helpful, "1/255"), score)], wrong, data.labels, "fast")
    assert next(check for check in found if check.name == "above clean").verdict == "fail"


def test_a_search_that_finds_more_is_a_sign_only_where_gradients_lead() -> None:
    strong, weak = (attack_score(name, correct, 64, "") for name, correct in (("sparse-rs", 5), ("pgd-l0", 60)))
    scores = [
        strong.model_copy(update={"norm": "L0", "knowledge": "query", "surrogate": None}),
        weak.model_copy(update={"norm": "L0", "knowledge": "white-box", "surrogate": None}),
    ]
    (alarm,), (told,) = list(white_box(scores)), list(white_box(scores, {"L0"}))
    assert (alarm.verdict, told.verdict) == ("fail", "warn")
    assert alarm.reason.endswith("masked gradients?") and told.reason.endswith("a search finds more here")
