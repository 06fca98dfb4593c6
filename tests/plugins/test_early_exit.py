"""PGD that stops at success: the same images where nothing is fooled, fewer steps where something is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from robench import ImageSet, SpecError, ThreatModel, cli, to_pixels
from robench.attack.adversary import Adversaries
from robench.attack.perturbation import check_ball, perturb_set
from robench.networks.evaluate import predict
from robench.records.record import RunResult
from robench.registry.registry import discover
from torch import Tensor, nn

from robench_plugins.attackers.iterates import pgd, started
from robench_plugins.attackers.pgd import PGD
from robench_plugins.datasets.leaf_synth import LeafSynth
from tests.helpers.attack_fixtures import CPU, attacked, draw, make, trained
from tests.helpers.plugin_fixtures import make_context


class Brightness(nn.Module):
    """Class 1 above a threshold in levels, and a note of how many images were in each forward pass."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.passes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append(len(images))
        light = images.mean((1, 2, 3)) * 255 - self.threshold
        return torch.stack([-light, light], dim=1)


class Counted(nn.Module):
    """A network, and the number of images that went through it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.n = network, 0

    def forward(self, images: Tensor) -> Tensor:
        self.n += len(images)
        logits: Tensor = self.network(images)
        return logits


def grey(*levels: int) -> ImageSet:
    """Return an image of class 1 of each grey level."""
    images = np.zeros((len(levels), 3, 4, 4), np.uint8) + np.array(levels, np.uint8).reshape(-1, 1, 1, 1)
    return ImageSet(images=images, labels=np.ones(len(levels), np.int64))


def levels_of(images: np.ndarray) -> list[int]:
    assert (images == images[:, :1, :1, :1]).all()
    return [int(level) for level in images[:, 0, 0, 0]]


def test_a_gaussian_start_is_small_and_normal_and_the_default_start_uniform() -> None:
    images = torch.full((4, 3, 16, 16), 0.5)
    threat = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="white-box")
    gaussian, uniform = (started(images, threat, start) - images for start in ("gaussian", "uniform"))
    assert gaussian.std().item() == pytest.approx(1e-3, rel=0.05)
    assert uniform.abs().max().item() <= 8 / 255 + 1e-6
    assert uniform.std().item() == pytest.approx(8 / 255 / 3**0.5, rel=0.05)
    assert PGD.Params.read({}, "pgd").start == "uniform"


def test_a_start_without_a_random_start_is_refused() -> None:
    with pytest.raises(SpecError, match="start=gaussian does nothing with random_start=false"):
        PGD.Params.read({"start": "gaussian", "random_start": "false"}, "pgd")


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_our_own_steps_are_those_of_torchattacks(norm: str) -> None:
    network, data = trained(), draw(8)
    images, labels = to_pixels(data.images, CPU), torch.from_numpy(data.labels)
    attack = make("pgd", norm=norm)
    torch.manual_seed(0)
    theirs = attack.perturb(network, images, labels)
    torch.manual_seed(0)
    ours = pgd(
        network,
        images,
        labels,
        threat=attack.threat(surrogate=False),
        alpha=float(attack.params.alpha),
        steps=attack.params.steps,
        start="uniform",
        early_exit=False,
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_records_made_before_it_keep_their_identity() -> None:
    plain = {"norm": "Linf", "eps": "8/255", "alpha": "2/255", "steps": 7, "random_start": True}
    assert PGD.Params.read({}, "pgd").as_dict() == plain
    assert PGD.Params.read({"early_exit": "false"}, "pgd").as_dict() == plain
    assert PGD.Params.read({"early_exit": "true"}, "pgd").as_dict() == {**plain, "early_exit": True}


def test_an_image_stops_when_it_is_fooled_and_takes_no_part_in_further_passes() -> None:
    network, data = Brightness(100.2), grey(101, 103, 105, 107, 120, 90)
    found = attacked(make("pgd", steps=7, alpha="2/255", random_start=False, early_exit=True), network, data)
    assert levels_of(found) == [99, 99, 99, 99, 112, 90]
    # Of each step the images that are left, and those of them that seem to be fooled, once more as 8-bit images.
    assert network.passes == [*(6, 1), *(5, 1), *(4, 1), *(3, 1), *(2, 1), 1, 1]


def test_without_it_every_image_takes_every_step() -> None:
    network, data = Brightness(100.2), grey(101, 103, 90)
    found = attacked(make("pgd", steps=7, alpha="2/255", random_start=False), network, data)
    assert levels_of(found) == [93, 95, 82]
    assert network.passes == [3] * 7


def test_an_image_that_rounding_would_take_back_goes_on() -> None:
    # It falls at 100.6, which is rounded to 101, and again at 100.2, which is rounded to 100.
    network = Brightness(100.7)
    attack = make("pgd", steps=3, alpha="4/2550", random_start=False, early_exit=True)
    assert levels_of(attacked(attack, network, grey(101))) == [100]
    assert network.passes == [1, 1, 1, 1, 1]


def test_no_gradient_is_taken_when_all_are_fooled() -> None:
    network, data = Brightness(100.2), grey(90, 80)
    assert levels_of(attacked(make("pgd", random_start=False, early_exit=True), network, data)) == [90, 80]
    assert network.passes == [2, 2]


@pytest.mark.parametrize(("norm", "eps"), [("Linf", "10/255"), ("L2", "110/255")])
def test_images_that_are_never_fooled_end_where_plain_pgd_ends(norm: str, eps: str) -> None:
    network, data = trained(), draw(100)
    plain, early = (make("pgd", norm=norm, eps=eps, early_exit=flag) for flag in (False, True))
    expected, found = attacked(plain, network, data), attacked(early, network, data)
    check_ball(data.images, found, early.threat(surrogate=False))
    withstood, ended = (
        predict(network, images, n_classes=5, device=CPU) == data.labels for images in (expected, found)
    )
    assert 10 <= ended.sum() <= withstood.sum() <= 90
    assert (found[ended] == expected[ended]).mean() > 0.999  # the sign of a gradient that is all but zero may differ
    assert (found[~ended] != expected[~ended]).mean() > 0.05


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    norm=st.sampled_from(["Linf", "L2"]),
    eps=st.integers(1, 200),
    steps=st.integers(1, 6),
    random_start=st.booleans(),
)
def test_an_image_fools_or_is_that_of_plain_pgd(seed: int, norm: str, eps: int, steps: int, random_start: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2)).eval()
    network[1].weight.data = torch.randn(2, 48, generator=generator)
    images = torch.randint(0, 256, (8, 3, 4, 4), generator=generator).float() / 255
    labels = torch.arange(8) % 2
    found = []
    for flag in (False, True):
        attack = make("pgd", norm=norm, eps=f"{eps}/255", steps=steps, random_start=random_start, early_exit=flag)
        torch.manual_seed(seed)
        found.append(attack.perturb(network, images, labels))
    plain, early = found
    assert early.min() >= 0 and early.max() <= 1
    change = (early - images).flatten(1)
    assert (change.abs().amax(1) if norm == "Linf" else change.norm(dim=1)).max() <= eps / 255 + 1e-5
    same = (plain - early).flatten(1).abs().amax(1) < 1e-5
    assert (same | (network(early).argmax(1) != labels)).all()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("answer", [0.0, float("nan")])
def test_a_network_without_a_gradient_is_no_crash(norm: str, answer: float) -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            light = answer * images.mean((1, 2, 3))
            return torch.stack([light, light + 1], dim=1)

    data = grey(100, 0, 255)
    attack = make("pgd", norm=norm, early_exit=True)
    check_ball(data.images, attacked(attack, Constant(), data), attack.threat(surrogate=False))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_radius_of_zero_leaves_the_images(norm: str) -> None:
    data = draw(5)
    assert np.array_equal(attacked(make("pgd", norm=norm, eps="0", early_exit=True), trained(), data), data.images)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, ImageSet]:
    """The shipped ResNet-20 and 64 test images."""
    dataset = LeafSynth()
    context = make_context(tmp_path_factory.mktemp("cache"), dataset, name="leaf-synth")
    return discover().resolve("model", "resnet20").build().build(context), dataset.split("test", 64)


@pytest.mark.slow
@pytest.mark.parametrize("ball", ["eps=8/255", "eps=1/255", "norm=L2,eps=32/255"])
def test_a_real_network_is_no_more_accurate_than_under_plain_pgd_and_does_less(
    leaves: tuple[nn.Module, ImageSet], ball: str
) -> None:
    network, data = Counted(leaves[0]), leaves[1]

    def accuracy(text: str) -> tuple[int, int]:
        attack = discover().resolve_attack(text)
        network.n = 0
        images, _ = perturb_set(attack.build(), network, data, threat=attack.threat(), device=CPU, seed=0)
        n = network.n
        return int((predict(network, images, n_classes=10, device=CPU) == data.labels).sum()), n

    plain, early = accuracy(f"pgd:{ball}"), accuracy(f"pgd:{ball},early_exit=true")
    assert early[0] <= plain[0] and early[1] < plain[1]


def test_a_score_of_training_is_never_a_misclassification(tmp_path: Path) -> None:
    data = draw(8)
    batch = np.arange(8), torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)

    def raised(text: str) -> torch.Tensor:
        attack = discover().resolve_attack(text)
        adversary = Adversaries.of(make_context(tmp_path)).for_training(attack, trained(), data)
        return adversary(*batch, lambda images: images.flatten(1).square().sum(1))

    assert torch.equal(raised("pgd:early_exit=true"), raised("pgd"))


def test_it_is_an_attack_of_its_own_in_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--model", "resnet20", "--attack", "pgd", "--attack", "pgd:early_exit=true", "--test-size", "16"]
    folders = ["--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / "cache")]
    with pytest.raises(SystemExit) as exit_:
        cli.main([*words, *folders, "--checks", "off", "--json"])
    assert not exit_.value.code
    record = RunResult.model_validate_json(capsys.readouterr().out)
    plain, early = record.spec.attacks
    assert "early_exit" not in plain.params and early.params["early_exit"] is True
    assert record.attacks[1].correct <= record.attacks[0].correct
