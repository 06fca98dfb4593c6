"""Count the bytes that evaluation, an attack and a tuning step need on a device: for each image, and once.

    python benchmarks/memory.py [build/vit-b32]

It counts the tensors that are alive, on a CPU. A GPU has the same tensors, and the memory of its libraries. The folder
is one that `benchmarks/vit_b32.py` builds.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from robench.attack.perturbation import frozen_for_attack, perturb
from robench.compute.precision import Float, Precision, computing
from robench.contracts.context import RunContext
from robench.contracts.tuning import TuningTask
from robench.images.image_set import ImageSet, to_pixels
from robench.networks.evaluate import predict
from robench.networks.folding import folded
from robench.registry.registry import Registry, discover
from robench.train.optimizer import FUSED_FROM
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU = torch.device("cpu")
FEW, MORE = 2, 6
"""Images of two measurements; their difference shows what an image needs."""
NUMBERS: tuple[Float, ...] = ("float32", "bfloat16")
BATCH = {"resnet20": 64, "clip-tiny": 64, "clip-vit-b32": 8}
"""Images of the training steps, whose peak is measured."""
TUNERS = {
    "resnet20": ("full+ce",),
    "clip-tiny": ("full+tecoa", "tecoa", "tecoa:n=2", "lora-ce", "vpt"),
    "clip-vit-b32": ("full+tecoa", "tecoa", "tecoa:n=2", "lora-ce", "vpt"),
}


class Alive(TorchDispatchMode):
    """Counts the most bytes alive at once, of tensors made within the block."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # A view or an operation in place returns a storage that was there before, or is counted already.
        given = {id(tensor.untyped_storage()) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and id(tensor.untyped_storage()) not in self._known | given:
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        self._known.add(id(storage))
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, id(storage), storage.nbytes())

    def _forget(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.now -= size


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """What a stage needs besides the network: for each image, and once."""

    image: float
    shared: float


def apart(measure: Callable[[int], int]) -> Bytes:
    """Return what an image needs and what all share, by measuring with few images and with more."""
    measure(FEW)  # warm up
    few, more = measure(FEW), measure(MORE)
    image = (more - few) / (MORE - FEW)
    return Bytes(image=image, shared=few - FEW * image)


def most(work: Callable[[], object]) -> int:
    """Return the most bytes alive at once of the tensors that `work` makes."""
    with Alive() as alive:
        work()
    return alive.most


def saved(network: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Return the bytes that the graph of a loss keeps for the backward pass, without those of the network."""
    own = {id(tensor.untyped_storage()) for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[id(tensor.untyped_storage())] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        graph = loss()
    total = sum(storage.nbytes() for name, storage in kept.items() if name not in own)
    assert graph.requires_grad
    return total


class Stages:
    """The stages of a run on one model."""

    def __init__(self, registry: Registry, model: str) -> None:
        self.registry = registry
        dataset = registry.resolve("dataset", "leaf-synth").build()
        self.folder = Path(tempfile.mkdtemp())
        self.context = RunContext(dataset=dataset, dataset_name="leaf-synth", device=CPU, seed=0, cache_dir=self.folder)
        self.data = dataset.split("test", MORE)
        self.model = registry.resolve("model", model).build()

    def network(self) -> nn.Module:
        """Return a fresh network."""
        return self.model.build(self.context).to(CPU)

    def evaluation(self, precision: Float = "float32") -> Bytes:
        """Measure a batch of an evaluation."""
        network = self.network()
        network.requires_grad_(False)
        given: dict[str, Any] = {"n_classes": 10, "device": CPU, "precision": precision}
        return apart(lambda n: most(lambda: predict(network, self.data.images[:n], **given)))

    def attack(self, precision: Float = "float32", *, fold: bool = False) -> Bytes:
        """Measure a batch of PGD, with batch norms folded as for a set of images, or not as in training."""
        network, attack = self.network(), self.registry.resolve_attack("pgd:steps=2")
        attacker, threat = attack.build(), attack.threat()

        given: dict[str, Any] = {"threat": threat, "device": CPU, "seed": 0, "precision": precision}
        data = self.data
        with self._folded(network, fold):
            return apart(lambda n: most(lambda: perturb(attacker, network, data.images[:n], data.labels[:n], **given)))

    def gradient(self, precision: Float = "float32", *, fold: bool = False) -> Bytes:
        """Count what the graph of an attack's gradient keeps, with batch norms folded or not."""
        network = self.network()

        def graph(n: int) -> int:
            pixels, labels = self._batch(n)
            pixels.requires_grad_()
            with frozen_for_attack(network), computing(precision, CPU):
                return saved(network, lambda: F.cross_entropy(network(pixels), labels))

        with self._folded(network, fold):
            return apart(graph)

    def tuner(self, name: str, n: int = FEW) -> tuple[Any, nn.Module, int]:
        """Return a tuner for batches of `n`, a network that it has adapted, and the number of trained parameters."""
        settings = {"adversary": "none", "batch_size": n, "optimizer": "adamw", "epochs": 2}
        tuner = self.registry.resolve("tuner", name, settings).build()
        network = self.network()
        tuner.adapt(network, self.model.adaptable(network))
        return tuner, network, sum(weight.numel() for weight in network.parameters() if weight.requires_grad)

    def loss(self, name: str, precision: Float = "float32") -> Bytes:
        """Count what the graph of a training loss keeps."""
        tuner, network, _ = self.tuner(name)
        network.train()
        objective = tuner.objective(tuner.params)
        objective.prepare(network)

        def graph(n: int) -> int:
            pixels, labels = self._batch(n)
            # A copy for the adversarial images, which an adversary makes anew.
            with computing(precision, CPU):
                return saved(network, lambda: objective.loss(network, pixels, pixels.clone(), labels))

        return apart(graph)

    def steps(self, name: str, n: int, precision: Float = "float32") -> int:
        """Return the most bytes alive besides the network during two training steps of `n` images."""
        tuner, network, _ = self.tuner(name, n)
        train = ImageSet(
            images=np.resize(self.data.images, (n, *self.data.images.shape[1:])), labels=np.zeros(n, np.int64)
        )
        context = replace(self.context, precision=Precision(tuning=precision))
        return most(lambda: tuner.fit(TuningTask(network=network, train=train, adversary=copied, context=context)))

    def _folded(self, network: nn.Module, fold: bool) -> contextlib.AbstractContextManager[None]:
        return folded(network, self._batch(FEW)[0]) if fold else contextlib.nullcontext()

    def _batch(self, n: int) -> tuple[Tensor, Tensor]:
        return to_pixels(self.data.images[:n], CPU), torch.from_numpy(self.data.labels[:n])


def copied(indices: Any, images: Tensor, labels: Tensor, score: Any = None) -> Tensor:
    """Return a copy of the clean images, as an adversary makes new ones."""
    return images.clone()


def formula(loss: Bytes, trained: int, n: int) -> float:
    """Return what a tuning step of `n` images needs besides the network by the formula of docs/gpu.md."""
    update = (4 if trained >= FUSED_FROM else 8) * trained
    return 8 * trained + max(loss.shared + n * loss.image, update)


def rows(registry: Registry, name: str, model: str) -> list[list[str]]:
    """Return the lines of the table of one model."""
    stages, found = Stages(registry, model), []
    for number in NUMBERS:
        found.append([name, f"evaluation, {number}", "", *_shown(stages.evaluation(number)), ""])
        norms = any(isinstance(each, _BatchNorm) for each in stages.network().modules())
        for fold in (False, True)[: 1 + norms]:
            graph, alive = stages.gradient(number, fold=fold), stages.attack(number, fold=fold)
            stage = f"attack, {'folded, ' if fold else ''}{number}"
            found.append([name, stage, *_shown(graph)[:1], *_shown(alive), ""])
    for tuner in TUNERS[name]:
        for number in NUMBERS:
            loss, (_, _, trained), n = stages.loss(tuner, number), stages.tuner(tuner), BATCH[name]
            said, measured = formula(loss, trained, n), stages.steps(tuner, n, number)
            about = f"{measured / 1e6:,.0f} of {said / 1e6:,.0f} for {n}"
            image, shared = _shown(loss)
            found.append([name, f"{tuner}, {trained:,} trained, {number}", image, "", shared, about])
    return found


def _shown(found: Bytes) -> list[str]:
    return [f"{found.image / 1e6:.2f}", f"{found.shared / 1e6:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="a CLIP ViT-B/32 by benchmarks/vit_b32.py")
    folder = parser.parse_args().folder
    registry = discover()
    models = {"resnet20": "resnet20", "clip-tiny": "clip-tiny"}
    models |= {"clip-vit-b32": f"clip:path={folder}"} if folder else {}
    table = [row for name, model in models.items() for row in rows(registry, name, model)]
    headers = ["model", "stage", "graph, MB an image", "alive, MB an image", "MB shared", "peak MB of formula's"]
    print(tabulate(table, headers=headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
