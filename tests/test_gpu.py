"""What cannot be tried on a CPU: skipped without a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robench import ImageSet, Progress, RunContext, TuningTask
from robench.attack.adversary import Adversaries
from robench.attack.perturbation import check_ball, perturb, perturb_set
from robench.attack.projection import project
from robench.compute.precision import Precision, ieee
from robench.contracts.types import Norm, ThreatModel
from robench.images.image_set import to_device, to_levels, to_pixels
from robench.networks.compiled import Compiled
from robench.networks.evaluate import predict
from robench.records.record import RunResult
from robench.registry.registry import Registry, discover
from robench.run.plan import Request, plan
from robench.run.runner import run
from robench.storage.adversarial_cache import AdversarialCache
from torch import Tensor, nn

from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, Liar, LinearNetwork, Sign
from tests.train.test_training import make

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
MB = 10**6
WORKSPACES = 128 * MB
"""What cuBLAS and cuDNN take for themselves, generously."""


class Small(nn.Module):
    """A convolution and a product, neither of which adds up in a random order."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8 * 32 * 32, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(images).relu().flatten(1))
        return logits


def noise(n: int, side: int = 32) -> ImageSet:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (n, 3, side, side)).astype(np.uint8)
    return ImageSet(images=images, labels=random.randint(0, 2, n))


def threat(norm: Norm = "Linf", eps: str = "8/255") -> ThreatModel:
    attack = discover().resolve_attack(f"pgd:norm={norm},eps={eps}")
    return attack.threat()


def carry_out(registry: Registry, folder: Path, request: Request, device: torch.device) -> RunResult:
    cache = folder / device.type
    return run(registry, plan(registry, request), device=device, cache_dir=cache, save=lambda result: result)


@pytest.fixture
def watched() -> Iterator[Any]:
    """What is told of progress, and makes torch refuse to wait for the device from the first image to the last."""

    def report(progress: Progress) -> None:
        torch.cuda.set_sync_debug_mode("error" if progress.done < progress.total else "default")

    yield report
    torch.cuda.set_sync_debug_mode("default")


# Numbers


def test_cpu_and_gpu_count_the_same(tmp_path: Path) -> None:
    """But for images on the boundary: at most two of 100."""
    asked = Request(attacks=("pgd-resnet20", "pgd:eps=1/255,n=50"), test_size=100)
    there, here = (carry_out(discover(), tmp_path, asked, device) for device in (GPU, CPU))
    assert there.run_id == here.run_id and there.clean is not None and here.clean is not None
    assert (there.clean.mask() != here.clean.mask()).sum() <= 2
    for ours, theirs in zip(here.attacks, there.attacks, strict=True):
        assert abs(ours.correct - theirs.correct) <= 0.04 * ours.n
    assert there.provenance.device.startswith("cuda: ")
    assert there.provenance.precision == {"evaluation": "float32", "attacks": "float32", "tf32": "off"}


def test_float32_is_not_tf32_within_a_run() -> None:
    """Whose factors have 10 bits, so that errors are near 1e-3; those of float32 are near 1e-6."""
    torch.manual_seed(0)
    first, second = torch.randn(1024, 1024, device=GPU), torch.randn(1024, 1024, device=GPU)
    images, kernel = torch.randn(8, 64, 32, 32, device=GPU), torch.randn(64, 64, 3, 3, device=GPU)
    with ieee():
        pairs = [
            (first @ second, first.double() @ second.double()),
            (nn.functional.conv2d(images, kernel), nn.functional.conv2d(images.double(), kernel.double())),
        ]
    for found, exact in pairs:
        assert (found - exact).abs().max() < 2e-5 * exact.abs().max()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_projection_is_that_of_a_cpu(norm: Norm) -> None:
    data, ball = noise(20), threat(norm, "8/255" if norm == "Linf" else "1")
    wild = (data.images / 255 + np.random.RandomState(1).uniform(-0.2, 0.2, data.images.shape)).astype(np.float32)
    there = project(to_device(data.images, GPU), torch.from_numpy(wild).to(GPU), ball).cpu().numpy()
    here = project(torch.from_numpy(data.images), torch.from_numpy(wild), ball).numpy()
    check_ball(data.images, there, ball)
    # A norm's last bit, added up in another order, may round a level the other way.
    assert (there != here).mean() <= (0 if norm == "Linf" else 1e-3)


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_an_attack_stays_in_the_ball_and_repeats(norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    attack = discover().resolve_attack(f"pgd:norm={norm}")
    network, data = Small().to(GPU), noise(130)

    def made(seed: int) -> np.ndarray:
        return perturb_set(attack.build(), network, data, threat=attack.threat(), device=GPU, seed=seed)[0]

    with ieee():
        first, again, other = made(0), made(0), made(1)
    check_ball(data.images, first, attack.threat())
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != data.images).any()


def test_an_attack_leaves_the_random_state_of_the_gpu_as_it_was() -> None:
    data, before = noise(4), torch.cuda.get_rng_state(GPU)
    perturb(Liar(), Small().to(GPU), data.images, data.labels, threat=threat(), device=GPU, seed=3)
    assert torch.equal(torch.cuda.get_rng_state(GPU), before)


def test_a_sign_attack_on_the_gpu_is_that_on_the_cpu() -> None:
    data = Dots().split("test")

    def made(device: torch.device) -> np.ndarray:
        network = LinearNetwork(50.0, False).to(device)
        return perturb(Sign(), network, data.images, data.labels, threat=threat(), device=device, seed=0)

    np.testing.assert_array_equal(made(CPU), made(GPU))


def test_a_compiled_network_has_the_gradients_of_the_network_also_without_tf32() -> None:
    network, images = Small().to(GPU).eval().requires_grad_(False), to_pixels(noise(16).images, GPU)
    compiled, found = Compiled(network, pytest.fail, "attack"), []
    with ieee():
        for each in (compiled, network):
            points = images.clone().requires_grad_()
            found += torch.autograd.grad(each(points).square().sum(), points)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


# Precision


@pytest.mark.parametrize("precision", ["mixed", "bfloat16", "bfloat16-attacks"])
def test_tuning_in_bfloat16_runs_and_is_recorded(tmp_path: Path, precision: str) -> None:
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU has no bfloat16")
    asked = Request(tuner="tecoa:adversary=white-box,steps=2", attacks=("pgd:steps=2,n=16",), train_size=128)
    result = carry_out(discover(), tmp_path, replace(asked, test_size=100, precision=precision), GPU)
    assert result.tuning is not None and np.isfinite(result.tuning.history[0]["loss"])
    used = result.provenance.precision
    assert used["tuning"] == "bfloat16" and used["tf32"] == "off"
    assert used["attacks"] == ("bfloat16" if precision == "bfloat16-attacks" else "float32")
    assert used["evaluation"] == ("float32" if precision == "mixed" else "bfloat16")


# Copies and waiting


def test_page_locked_buffers_are_not_written_to_before_they_are_read() -> None:
    """Many copies queue behind a long computation; each must arrive with its own bytes."""
    slow = torch.randn(4096, 4096, device=GPU)
    for _ in range(20):
        slow = slow @ slow / 64
    arrays = [np.full((50, 3, 32, 32), number, np.uint8) for number in range(64)]
    there = [to_device(array, GPU) for array in arrays]
    assert all(bool((tensor == number).all()) for number, tensor in enumerate(there))
    assert to_device(np.arange(5), GPU).tolist() == [0, 1, 2, 3, 4]


def test_every_level_survives_the_way_to_pixels_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
    np.testing.assert_array_equal(to_levels(to_pixels(levels, GPU)).cpu().numpy(), levels)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_evaluation_does_not_wait_between_its_first_image_and_its_last(watched: Any, precision: Any) -> None:
    network, data = Small().to(GPU), noise(600)
    given: dict[str, Any] = {"n_classes": 2, "device": GPU, "precision": precision}
    plain = predict(network, data.images, **given)
    np.testing.assert_array_equal(predict(network, data.images, **given, report=watched), plain)


@pytest.mark.parametrize("adversary", ["none", "white-box"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_does_not_wait_between_its_first_image_and_its_last(
    watched: Any, registry: Registry, tmp_path: Path, adversary: str, precision: Any
) -> None:
    planned = plan(registry, Request(dataset="dots", tuner="bias:adversary=sign", attacks=("sign",), test_size=9))

    def fit(report: Any) -> float:
        context: RunContext = replace(make_context(tmp_path, Dots()), device=GPU, precision=Precision(tuning=precision))
        context = replace(context, report=report)
        network, train = LinearNetwork(50.0, False).to(GPU), Dots().split("train")
        live = Adversaries(context, AdversarialCache(tmp_path, context.warn))
        attack = None if adversary == "none" else planned.adversary
        tuner = make(batch_size=4)
        tuner.adapt(network, {})
        tuner.fit(
            TuningTask(
                network=network,
                train=train,
                adversary=live.for_training(attack, network, train) if attack else None,
                context=context,
                white_box=attack is not None,
            )
        )
        return network.bias.item()

    torch.manual_seed(0)
    before = fit(lambda progress: None)  # the first use of a GPU waits for much
    torch.manual_seed(0)
    assert fit(watched) == pytest.approx(before, rel=1e-4)


def test_a_loss_is_shown_though_nobody_waits_for_it(registry: Registry, tmp_path: Path) -> None:
    shown: list[float] = []

    def report(progress: Progress) -> None:
        shown.extend(progress.values.get(name, 0) for name in progress.values if name == "loss")

    context = replace(make_context(tmp_path, Dots()), device=GPU, report=report)
    network = LinearNetwork(50.0, False).to(GPU)
    tuner = make(batch_size=2, epochs=20)
    tuner.adapt(network, {})
    tuner.fit(TuningTask(network=network, train=Dots().split("train"), adversary=None, context=context))
    assert shown and all(np.isfinite(shown))


# Memory


def peak(work: Any) -> int:
    """Return the most bytes that `work` needs beside what is there."""
    work()  # libraries take their workspaces at first use
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize(("model", "evaluation", "attack"), [("resnet20", 0.36, 1.63), ("clip-tiny", 0.42, 2.42)])
def test_memory_is_what_the_documentation_says(tmp_path: Path, model: str, evaluation: float, attack: float) -> None:
    """MB an image, docs/gpu.md."""
    registry = discover()
    dataset = registry.resolve("dataset", "leaf-synth").build()
    context = make_context(tmp_path, dataset, name="leaf-synth")
    network = registry.resolve("model", model).build().build(context).to(GPU)
    data, pgd = dataset.split("test", 250), registry.resolve_attack("pgd")
    with ieee():
        judged = peak(lambda: predict(network, data.images, n_classes=10, device=GPU))
        attacked = peak(
            lambda: perturb_set(pgd.build(), network, data.first(125), threat=pgd.threat(), device=GPU, seed=0)
        )
    assert judged < 1.5 * 250 * evaluation * MB + WORKSPACES
    assert 0.5 * 125 * attack * MB < attacked < 1.5 * 125 * attack * MB + WORKSPACES
