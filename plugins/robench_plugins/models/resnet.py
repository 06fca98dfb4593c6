"""CIFAR ResNets as classifiers and surrogates: weights of robench, published ones, from a file, or trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from robench import DataError, Field, Params, Part, Progress, RobenchError, RunContext
from torch import Tensor, nn

from robench_plugins.datasets.cifar10 import CLASSES as CIFAR10_CLASSES
from robench_plugins.models.resnet_network import ResNet, detect_layout, from_state_dict
from robench_plugins.models.resnet_training import MEAN, STD, train
from robench_plugins.models.saved_weights import FromFile, read_state
from robench_plugins.models.shipped import shipped_path

IMAGENET = (MEAN, STD)
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))

PUBLISHED = {
    20: "resnet20-12fca82f.th",
    32: "resnet32-d509ac18.th",
    44: "resnet44-014dd654.th",
    56: "resnet56-4bfd9763.th",
}
"""CIFAR-10 checkpoints of https://github.com/akamaster/pytorch_resnet_cifar10, named with their SHA-256's start."""
PUBLISHED_URL = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"

RECIPE = 1
"""Version of the training recipe; it grows when a change gives other weights."""


class ResNetParams(Params):
    """Parameters of the CIFAR ResNets."""

    depth: Literal[20, 32, 44, 56] = Field(default=20, description="number of weighted layers")
    weights: str = Field(
        default="auto",
        description="auto: those that come with robench, else trained on the training split and cached; published: the "
        "CIFAR-10 checkpoints on torch.hub; or a file (.safetensors, .th, .pt)",
    )
    normalisation: Literal["auto", "imagenet", "cifar10"] = Field(
        default="auto",
        description="mean and standard deviation of the input; auto: imagenet for weights whose shortcuts pad, cifar10 "
        "for weights whose shortcuts are convolutions",
    )
    epochs: int = Field(default=10, ge=1, description="training epochs, if weights are trained")


class Normalised(nn.Module):
    """A network with its own normalisation, from images in ``[0, 1]`` to logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Channels last: convolutions of this size are a third faster on a CPU, and on tensor cores.
        self.network = network.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.parts: dict[str, nn.Module] = {}
        if isinstance(network, ResNet):
            self.parts["encoder"] = Part.without(self._features, network, network.head())

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        if isinstance(self.network, ResNet):
            logits: Tensor = self.network.head()(self.parts["encoder"](images))
        else:
            logits = self.network(self._pixels(images))
        return logits

    def _features(self, images: Tensor) -> Tensor:
        assert isinstance(self.network, ResNet)
        return self.network.features(self._pixels(images))

    def _pixels(self, images: Tensor) -> Tensor:
        return (images.contiguous(memory_format=torch.channels_last) - self.mean) / self.std


class CIFARResNet(FromFile):
    """The ResNets for 32-pixel images, in both layouts in which weights are published.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """

    Params = ResNetParams
    params: ResNetParams

    @classmethod
    def files(cls, params: ResNetParams) -> Mapping[str, Path]:
        """Return the file of the weights, or the folders of those that come with robench."""
        if params.weights == "auto":
            return {f"shipped:{folder.name}": folder for folder in shipped_path("").glob(f"resnet{params.depth}-*")}
        return {} if params.weights == "published" else super().files(params)

    def build(self, context: RunContext) -> nn.Module:
        """Load or train the weights.

        Raises:
            DataError: Weights are missing, damaged, of another depth, or for another number of classes.
        """
        weights = self.params.weights
        if weights == "auto":
            network, mean, std = self._shipped(context) or self._trained(context)
            return Normalised(network, mean, std)
        path = self._published(context) if weights == "published" else Path(weights).expanduser()
        state = read_state(path, None if weights == "published" else context.dataset)
        self._check(state, path, context)
        try:
            network = from_state_dict(state)
        except RobenchError as error:
            raise DataError(f"{path}: {' '.join(str(error).split())}") from error
        return Normalised(network, *self._normalisation(network))

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the encoder of pooled features, its residual blocks and the last layer."""
        assert isinstance(network, Normalised) and isinstance(network.network, ResNet)
        inner = network.network
        return {**network.parts, "blocks": inner.blocks(), "head": inner.head()}

    def _check(self, state: Mapping[str, Tensor], path: Path, context: RunContext) -> None:
        try:
            layout = detect_layout(state)
        except RobenchError as error:
            raise DataError(f"{path}: {error}") from error
        if layout.depth != self.params.depth:
            raise DataError(
                f"{path} holds a ResNet-{layout.depth}, not a ResNet-{self.params.depth}; use resnet{layout.depth}"
            )
        n_classes = len(context.dataset.class_names)
        if layout.num_classes != n_classes:
            raise DataError(f"{path} was trained for {layout.num_classes} classes; the dataset has {n_classes}")

    def _normalisation(self, network: ResNet) -> tuple[Sequence[float], Sequence[float]]:
        choice = self.params.normalisation
        if choice == "auto":
            choice = "imagenet" if network.shortcut == "pad" else "cifar10"
        return IMAGENET if choice == "imagenet" else CIFAR10

    def _shipped(self, context: RunContext) -> tuple[nn.Module, Sequence[float], Sequence[float]] | None:
        """Return the network that comes with robench for this dataset at this resolution, or None."""
        folder = shipped_path(f"resnet{self.params.depth}-{context.dataset_name}")
        if not folder.is_dir():
            return None
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        size = context.dataset.split("test", 1).images.shape[-1]
        if config["image_size"] != size or tuple(config["class_names"]) != context.dataset.class_names:
            return None
        return from_state_dict(read_state(folder / "model.safetensors")), config["mean"], config["std"]

    def _trained(self, context: RunContext) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
        """Train on the training split, or read from the cache what was trained on the same images."""
        from safetensors.torch import save_file

        data = context.dataset.split("train")
        params = self.params
        identity = f"{RECIPE} resnet{params.depth} {params.epochs} {context.seed} {data.fingerprint()}"
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        network = context.cached(
            f"surrogates/resnet{params.depth}-{key}.safetensors",
            read=lambda path: from_state_dict(read_state(path)),
            make=lambda path: save_file(self._train(context, data.images, data.labels).state_dict(), path),
        )
        return network, *IMAGENET

    def _train(self, context: RunContext, images: Any, labels: Any) -> nn.Module:
        stage = f"pretraining resnet{self.params.depth} on {len(images)} training images"

        def on_step(loss: float, done: int, total: int) -> None:
            seen = done * len(images) * self.params.epochs // total
            report = Progress(stage=stage, done=seen, total=len(images) * self.params.epochs, detail=f"loss {loss:.3f}")
            context.report(report)

        seed = context.stream(f"resnet{self.params.depth}")
        devices = [context.device] if context.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            network = ResNet(self.params.depth, len(context.dataset.class_names))
            train(
                network,
                images,
                labels,
                epochs=self.params.epochs,
                seed=seed,
                device=context.device,
                on_step=on_step,
            )
        return network.cpu()

    def _published(self, context: RunContext) -> Path:
        """Return the published checkpoint in torch.hub's folder; download it if it is not there."""
        if context.dataset.class_names != CIFAR10_CLASSES:
            raise DataError("weights=published are for CIFAR-10's ten classes in their usual order; use weights=auto")
        name = PUBLISHED[self.params.depth]
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        path = folder / name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(PUBLISHED_URL + name, str(path), progress=False)
            except (OSError, RuntimeError) as error:
                raise DataError(
                    f"{name} cannot be downloaded ({error}); put the file from {PUBLISHED_URL} in {folder} "
                    f"or pass weights=FILE"
                ) from error
        expected = name.partition("-")[2].partition(".")[0]
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(expected):
            raise DataError(f"{path} is damaged: its SHA-256 does not start with {expected}; delete it")
        return path
