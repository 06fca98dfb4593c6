"""A launcher starts this as two processes: what they share comes out as in one process, or an assertion fails.

``tests/compute/test_world.py`` starts it once, because most of its time goes into imports. The argument is a folder
for the files of two runs, which that test compares.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import gather, reduce
from robench import DataError, ImageSet, PluginError, TuningTask, cli
from robench.attack.adversary import Adversaries
from robench.attack.perturbation import ATTACK_BATCH, perturb_set, seeded
from robench.compute.launch import joined
from robench.compute.world import ALONE, World
from robench.contracts.types import ThreatModel
from robench.networks.evaluate import fingerprint, logits_of, predict
from robench.registry.registry import discover
from robench.storage.adversarial_cache import AdversarialCache, hash_images
from robench.storage.checkpoint import Checkpoint
from robench.train.adapters import changing
from robench.train.product import Product, product
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.helpers.many_images import ASKED, Jitter
from tests.helpers.plugin_fixtures import make_context
from tests.helpers.toy import Dots, Likely, Shift

CPU = torch.device("cpu")
THREAT = ThreatModel(norm="Linf", eps=Fraction(8, 255), knowledge="white-box")
TUNED = ["--tuner", "shift+likely:adversary=liar-linear,batch_size=16,epochs=2,validate_on=9"]
ATTACKS = ["--attack", "liar-linear", "--attack", "sign:n=130", "--no-white-box"]


class Compared(Likely):
    """An objective that cannot do with a part of a batch."""

    whole_batch = True

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        logits = network(adversarial)
        return super().loss(network, clean, adversarial, labels) + (logits - logits.mean(dim=0)).square().mean()


class Noisy(Likely):
    """An objective that draws random numbers, and keeps the first of each draw."""

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        self.drawn: list[float] = []

    def loss(self, network: nn.Module, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        noise = 0.02 * torch.randn_like(adversarial)
        self.drawn.append(noise.flatten()[0].item())
        return super().loss(network, clean, adversarial + noise, labels)


class Body(Shift):
    """Trains all but the last layer, keeps the weights after every step, and has a penalty."""

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        self.steps: list[str] = []

    def adapt(self, network: Any, parts: Any) -> None:
        network.unused.requires_grad_(False)

    def penalty(self, network: Any) -> Tensor:
        return self.params.pull * sum(weight.square().sum() for weight in network.parameters() if weight.requires_grad)

    def after_step(self, network: nn.Module, step: int) -> None:
        self.steps.append(fingerprint(network))


def network_of(norm: bool = False, dropout: float = 0.0) -> nn.Module:
    with seeded(7, CPU):
        middle: list[nn.Module] = [nn.BatchNorm2d(4)] if norm else []
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), *middle, nn.GELU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(36, 2)
        )
        vars(network)["_modules"]["unused"] = nn.Identity()
    return network


def images_of(n: int) -> ImageSet:
    random = np.random.default_rng(n)
    return ImageSet(images=random.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8), labels=np.arange(n) % 2)


def raises(kind: type[BaseException], text: str, work: Callable[[], object]) -> None:
    try:
        work()
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"nothing was raised, expected {text!r}")


def evaluations_and_attacks(world: World) -> None:
    network = network_of()
    for n in (1, 2, 253, 501, 750):  # fewer than processes, and no multiple of the batches of 125 and 250
        data = images_of(n)
        given: Any = {"n_classes": 2, "device": CPU}
        seen: list[int] = []
        shared = predict(
            network, data.images, world=world, report=lambda progress, seen=seen: seen.append(progress.done), **given
        )
        assert (shared == predict(network, data.images, **given)).all() and len(shared) == n
        assert seen[-1] == n or not (world.is_main or seen[1:])
        logits = logits_of(network, data.images, CPU, world)
        assert logits.tobytes() == logits_of(network, data.images, CPU).tobytes()
        attack: Any = {"threat": THREAT, "device": CPU, "seed": 3}
        images, size = perturb_set(Jitter(), network, data, world=world, **attack)
        assert hash_images(images) == hash_images(perturb_set(Jitter(), network, data, **attack)[0])
        assert size == ATTACK_BATCH


def memory(world: World) -> None:
    """One process runs out of memory; all hear what size was left, and nothing else changes."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network_of()

        def forward(self, images: Tensor) -> Any:
            if not world.is_main and len(images) > ATTACK_BATCH // 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return self.inner(images)

    data = images_of(4 * ATTACK_BATCH)
    _, size = perturb_set(Jitter(), Small(), data, threat=THREAT, device=CPU, seed=0, world=world)
    assert size == ATTACK_BATCH // 2
    shared = predict(Small(), data.images, n_classes=2, device=CPU, world=world)
    assert (shared == predict(network_of(), data.images, n_classes=2, device=CPU)).all()


def trained(
    world: World,
    given: dict[str, Any],
    objective: Any = Likely,
    *,
    n: int = 50,
    white_box: bool = False,
    checkpoint: Checkpoint | None = None,
    stop_at: int | None = None,
    **kind: Any,
) -> tuple[nn.Module, list[dict[str, float]], list[str]]:
    maker = product("body+it", Body, objective)
    tuner: Product = maker(maker.Params.read({"lr": 0.01, "adversary": "none", **given}, "body+it"))  # type: ignore[arg-type]
    network = network_of(**kind)
    tuner.adapt(network, {})
    reports: list[Any] = []

    def report(progress: Any) -> None:
        reports.append(progress)
        if len(reports) == stop_at:
            raise KeyboardInterrupt

    context = replace(make_context(Path("unused"), Dots()), world=world, report=report)
    data = images_of(n)
    attack = discover().resolve_attack("random-step")
    seen: list[int] = []

    def plain(indices: Any, images: Tensor, labels: Tensor, score: Any = None) -> Tensor:
        seen.extend(indices.tolist())
        return images

    adversaries = Adversaries(context, AdversarialCache(Path("unused"), print))
    task = TuningTask(
        network=network,
        train=data,
        adversary=adversaries.for_training(attack, network, data) if white_box else plain,
        context=context,
        white_box=white_box,
        validate=lambda n: {
            "validation_clean": float(logits_of(network, data.images, CPU, world).argmax(axis=1).mean())
        },
        checkpoint=checkpoint,
    )
    with seeded(5, CPU):
        history = tuner.fit(task)
    assert reports[-1].done == reports[-1].total
    drawn_images = np.bincount([index for mine in world.gather(seen) for index in mine], minlength=n)
    if not (white_box or checkpoint or tuner.params.balance):
        assert (drawn_images == tuner.params.epochs).all(), "an image was left out, or taken twice"
    if drawn := getattr(tuner._objective, "drawn", None):
        everywhere = [number for numbers in world.gather(drawn) for number in numbers]
        assert len(set(everywhere)) == len(everywhere), "two processes drew the same"
    return network, history, tuner._adaptation.steps  # type: ignore[attr-defined]


def trainings(world: World) -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"epochs": 2, "batch_size": 16}, {}),
        ({"epochs": 2, "batch_size": 7, "accumulate": 3, "clip_norm": 0.1, "augment": "study-cnn"}, {}),
        ({"epochs": 2, "batch_size": 9, "balance": 11, "optimizer": "sgd", "pull": 0.1, "validate_on": 5}, {}),
        ({"batch_size": 4}, {"n": 1}),  # fewer images than processes
    ]
    for given, more in cases:
        alone, expected, _ = trained(ALONE, given, **more)
        shared, history, steps = trained(world, given, **more)
        assert len(set(map(tuple, world.gather(steps)))) == 1, "weights differ between the processes"
        for (name, weight), (_, own) in zip(alone.state_dict().items(), shared.state_dict().items(), strict=True):
            assert torch.allclose(weight, own, rtol=1e-4, atol=1e-6), (given, name, weight, own)
        assert np.allclose([row["loss"] for row in history], [row["loss"] for row in expected], rtol=1e-5)


def whole_batches(world: World) -> None:
    """What cannot be cut is left to the main process, and is the same bit for bit, dropout and all."""
    cases: list[tuple[Any, dict[str, Any]]] = [(Compared, {"dropout": 0.3}), (Likely, {"norm": True, "dropout": 0.3})]
    for objective, kind in cases:
        given = {"epochs": 2, "batch_size": 16, "validate_on": 5}
        alone, expected, _ = trained(ALONE, given, objective, **kind)
        shared, history, _ = trained(world, given, objective, **kind)
        world.same(fingerprint(shared), "weights")
        assert fingerprint(shared) == fingerprint(alone) and history == expected


def random_streams(world: World, folder: Path) -> None:
    """Each process draws for itself, all stay together, and an interrupted training goes on as if it had not been."""
    given = {"epochs": 2, "batch_size": 16, "adversary": "white-box"}
    rows: list[dict[str, Any]] = [{"dropout": 0.5}, {"objective": Noisy}, {"white_box": True}]
    for number, more in enumerate(rows):
        whole, history, steps = trained(world, given, **more)
        assert len(set(map(tuple, world.gather(steps)))) == 1
        assert fingerprint(whole) != fingerprint(trained(ALONE, given, **more)[0])

        def checkpoint(number: int = number) -> Checkpoint:
            return Checkpoint(folder / f"{number}.pt", {}, lambda line: None, seconds=0)

        raises(
            KeyboardInterrupt, "", lambda more=more: trained(world, given, checkpoint=checkpoint(), stop_at=7, **more)
        )
        again, later, rest = trained(world, given, checkpoint=checkpoint(), **more)
        assert 0 < len(rest) < len(steps)
        assert fingerprint(again) == fingerprint(whole) and later == history


def cached_sets(world: World, folder: Path) -> None:
    made: list[int] = []

    def make() -> tuple[Any, dict[str, Any]]:
        made.append(world.rank)
        whole = world.concatenate(images_of(10).images[world.share(10)])
        return whole, {"batch": 125}

    cache = AdversarialCache(folder / "cache", print, world=world)
    first, second = cache.get({"a": 1}, make), cache.get({"a": 1}, make)
    assert len(made) == 1 and (first.cached, second.cached) == (False, True)
    assert first.sha256 == second.sha256 == hash_images(images_of(10).images)
    assert len(list((folder / "cache" / "adversarial").glob("*/images.npy"))) == 1
    apart = AdversarialCache(folder / ("cache" if world.is_main else "elsewhere"), print, world=world)
    if world.is_main:
        assert apart.get({"a": 1}, make).cached
    else:
        raises(DataError, "not all processes of this run see", lambda: apart.get({"a": 1}, make))
    world.gather(None)


def agreement(world: World) -> None:
    assert world.gather(world.rank) == [0, 1] and world.from_main(world.rank) == 0
    world.same("a", "weights")
    raises(
        PluginError,
        "weights differ between the 2 processes of this run (0, 1)",
        lambda: world.same(str(world.rank), "weights"),
    )
    network = network_of()
    for weight in network.parameters():
        weight.data.add_(world.rank)
    world.copy_main(tensor for _, tensor in changing(network))
    assert fingerprint(network) == fingerprint(network_of())
    weights = [nn.Parameter(torch.zeros(2, 3)) for _ in range(3)]
    weights[0].grad = torch.full((3, 2), 1.0 + world.rank).T
    weights[1].grad = None if world.is_main else torch.ones(2, 3)
    total = torch.tensor(1.0)
    world.add_up(weights, total)
    assert [None if weight.grad is None else weight.grad.sum().item() for weight in weights] == [18, 6, None]
    assert total.item() == 2


def accelerate_alone(world: World) -> None:
    """Try out what accelerate cannot do, and `World` therefore does: see the top of ``robench/compute/world.py``."""
    state, accelerator = PartialState(), Accelerator(cpu=True)

    def dealt_out(images: Any) -> Any:
        with state.split_between_processes(images) as mine:
            return mine

    # It cuts through batches of 125 and returns an array undivided. It divides a list of batches as `share` does.
    assert len(dealt_out(list(range(253)))) == (127 if world.is_main else 126)
    assert len(dealt_out(np.arange(253))) == 253
    for n in (1, 2, 253, 501, 750):
        starts, share = dealt_out(list(range(0, n, 125))), world.share(n, 125)
        assert starts == list(range(n))[share][::125]
    # It fills the last batches with images from the start.
    loader = accelerator.prepare(DataLoader(torch.arange(253), batch_size=125))  # type: ignore[arg-type]
    last = [batch.tolist() for batch in loader][-1]
    assert last == ([*range(250, 253), *range(122)] if world.is_main else [*range(122, 247)])
    # It cannot gather unequal parts. Outside its debug mode, a process crashes.
    state.debug = True
    raises(Exception, "All shapes across devices must be valid", lambda: gather(torch.zeros(3 + world.rank)))
    state.debug = False
    # It averages the gradients of unequal parts, which is not the gradient of all images.
    with seeded(7, CPU):
        network = nn.Linear(3, 1)
    images = torch.arange(15.0).reshape(5, 3)
    network(images).square().mean().backward()
    (expected,) = torch.autograd.grad(network(images).square().mean(), network.weight)
    network.zero_grad()
    mine = images[:3] if world.is_main else images[3:]
    accelerator.backward(accelerator.prepare(network)(mine).square().mean())
    assert not torch.allclose(network.weight.grad, expected, rtol=1e-2)
    # It refuses a missing gradient, and adds up the wrong elements if gradients lie differently in memory.
    raises(TypeError, "NoneType", lambda: reduce([None], "sum"))
    values = torch.arange(6.0).reshape(2, 3)
    added = reduce(values if world.is_main else values.T.contiguous().T, "sum")
    assert not torch.equal(added, 2 * values)


def runs(world: World, folder: Path) -> None:
    """Let all processes carry out one ``robench run``, and the main process the same alone."""

    def run(name: str, sharing: World) -> str:
        os.environ["HEARD"] = str(folder / f"{name}-heard")
        kept = ["--results", folder / name, "--cache-dir", folder / f"{name}-cache"]
        kept += ["--save-adapter", folder / f"{name}.safetensors", "--json"]
        said = io.StringIO()
        with (
            mock.patch("robench.run.recorded_run.joined", lambda device: contextlib.nullcontext((sharing, device))),
            contextlib.redirect_stdout(said),
        ):
            try:
                cli.main(["run", *ASKED, *TUNED, *ATTACKS, *map(str, kept)])
            except SystemExit as end:
                assert not end.code
        return said.getvalue()

    said = run("two", world)
    assert bool(said) == world.is_main
    if world.is_main:
        (folder / "two.json").write_text(said)
        (folder / "one.json").write_text(run("one", ALONE))
    world.gather(None)


def main(folder: Path) -> None:
    with joined("auto") as (world, device):
        assert (world.size, device) == (2, "cpu")
        agreement(world)
        evaluations_and_attacks(world)
        memory(world)
        trainings(world)
        whole_batches(world)
        random_streams(world, folder)
        cached_sets(world, folder)
        accelerate_alone(world)
        runs(world, folder)
        if world.is_main:
            print("all as in one process")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
