"""Networks that torch compiles while they are attacked: the same up to rounding, and never a run lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from robench import ImageSet
from robench.attack.adversary import Adversaries
from robench.attack.perturbation import ATTACK_BATCH, perturb_set
from robench.cli import main
from robench.networks.compiled import Compiled
from robench.records.record import RunResult
from robench.registry.registry import discover
from robench.storage.adversarial_cache import AdversarialCache
from torch import Tensor, nn

from tests.helpers.plugin_fixtures import make_context

CPU = torch.device("cpu")


class Net(nn.Module):
    """A convolution and a product; ``seen`` counts the batches that Python, not what was compiled of it, computes."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, width, 3), nn.Linear(width, 4)
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            self.sizes.append(len(images))
        logits: Tensor = self.head(self.conv(images).relu().mean((2, 3)))
        return logits


@pytest.fixture(autouse=True)
def afresh() -> None:
    torch.compiler.reset()


@pytest.fixture
def without_inductor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch trace networks and write no code, which takes seconds and a C++ compiler."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **settings: compile_(function, backend="eager", **settings))


def draw(n: int, side: int = 8) -> ImageSet:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (n, 3, side, side)).astype(np.uint8)
    return ImageSet(images=images, labels=random.randint(0, 4, n))


def gradient(network: nn.Module, images: Tensor) -> Tensor:
    images = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(network(images).square().sum(), images)
    return found


@pytest.mark.slow
def test_logits_and_gradients_agree_with_the_network_up_to_rounding() -> None:
    network, heard = Net().eval(), list[str]()
    compiled = Compiled(network, heard.append, "attack")
    images = torch.rand(6, 3, 8, 8)
    for batch in (images, images + 0.1):
        torch.testing.assert_close(gradient(compiled, batch), gradient(network, batch), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(compiled(batch.clone().requires_grad_()), network(batch), rtol=1e-4, atol=1e-6)
    if not heard:  # a machine without a C++ compiler has been told so
        network.sizes.clear()
        gradient(compiled, images)
        assert network.sizes == []


def test_what_has_another_shape_or_needs_no_gradient_is_computed_as_it_is(without_inductor: None) -> None:
    network = Net().eval()
    compiled = Compiled(network, pytest.fail, "attack")
    compiled(torch.rand(1, 3, 8, 8))  # asks for no gradient, so that its shape is not the usual one
    for n in (6, 6, 2):
        gradient(compiled, torch.rand(n, 3, 8, 8))
    assert network.sizes == [1, 2]


def test_torch_compiles_however_many_networks_a_process_attacks(without_inductor: None) -> None:
    """It gives up on the same code after eight compilations."""
    networks = [Net(width).eval() for width in range(1, torch._dynamo.config.recompile_limit + 3)]
    compiled = [Compiled(network, pytest.fail, "attack") for network in networks]
    for each in compiled:
        gradient(each, torch.rand(6, 3, 8, 8))
    assert [network.sizes for network in networks] == [[]] * len(networks)


def test_it_follows_weights_that_change(without_inductor: None) -> None:
    network, images = Net().eval(), torch.rand(6, 3, 8, 8)
    compiled = Compiled(network, pytest.fail, "attack")
    before = gradient(compiled, images)
    with torch.no_grad():
        network.head.weight += 1
    torch.testing.assert_close(gradient(compiled, images), gradient(network, images), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(gradient(compiled, images), before)


def test_where_torch_cannot_compile_the_network_is_attacked_as_it_is_and_one_line_says_so() -> None:
    network, heard, images = Net().eval(), list[str](), torch.rand(5, 3, 9, 9)
    compiled = Compiled(network, heard.append, "attack")
    with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler"), "fx_graph_cache": False}):
        for _ in range(2):
            assert torch.equal(gradient(compiled, images), gradient(network, images))
    assert len(heard) == 1 and heard[0].startswith("attack: could not compile the network, so it runs uncompiled: ")
    assert "\n" not in heard[0]


def test_an_error_of_the_network_itself_is_its_own(without_inductor: None) -> None:
    with pytest.raises(RuntimeError, match=r"to have 3 channels, but got 5 channels"):
        gradient(Compiled(Net().eval(), lambda line: None, "attack"), torch.rand(6, 5, 8, 8))


def test_a_set_of_adversarial_images_is_the_same_but_for_rounding(without_inductor: None) -> None:
    network, data = Net(), draw(2 * ATTACK_BATCH + 3)
    attack = discover().resolve_attack("pgd:steps=3")
    sets = []
    for compiled in (False, True):
        network.sizes.clear()
        made, _ = perturb_set(
            attack.build(),
            network,
            data,
            threat=attack.threat(),
            device=CPU,
            seed=0,
            compiled=compiled,
            warn=pytest.fail,
        )
        sets.append(made)
    assert set(network.sizes) == {3}, "only the last batch is as it is"
    assert np.mean(sets[0] != sets[1]) < 0.01
    assert network.training and all(each.requires_grad for each in network.parameters())


@pytest.mark.parametrize("scored", [False, True])
def test_a_training_adversary_is_compiled_unless_it_raises_a_score(
    scored: bool, without_inductor: None, tmp_path: Path
) -> None:
    network, data = Net(), draw(8)
    score = (lambda images: network(images).square().sum(1)) if scored else None
    context = replace(make_context(tmp_path), compiled=True)
    attack = discover().resolve_attack("pgd:steps=2")
    live = Adversaries(context, AdversarialCache(tmp_path, warn=pytest.fail)).for_training(attack, network, data)
    images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
    moved = live(np.arange(8), images, labels, score)
    assert not torch.equal(moved, images) and network.training
    assert network.sizes == ([8, 8] if scored else [])


@pytest.mark.slow
def test_the_command_compiles_what_it_attacks_and_the_record_says_so(
    without_inductor: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--attack", "fgsm-resnet20", "--test-size", "16", "--checks", "off", "--no-white-box", "--json"]
    records = []
    for more in ([], ["--compile"]):
        folders = ["--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path / f"cache{len(more)}")]
        with pytest.raises(SystemExit) as exit_:
            main([*words, *folders, *more, "--force"])
        assert not exit_.value.code
        records.append(RunResult.model_validate_json(capsys.readouterr().out))
    plain, compiled = records
    assert not plain.provenance.compiled and compiled.provenance.compiled
    assert plain.spec.run_id() == compiled.spec.run_id()
    assert abs(plain.attacks[0].correct - compiled.attacks[0].correct) <= 1
