"""Any classifier of timm: untrained, pretrained, or from a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from robench import DataError, Field, Later, Params, Part, RunContext, SpecError, Tokens
from timm.models import clean_state_dict
from torch import Tensor, nn

from robench_plugins.models.resizing import resize_and_crop
from robench_plugins.models.saved_weights import FromFile, by_order, load_all, read_state, without_head
from robench_plugins.models.token_blocks import tokens_of
from robench_plugins.models.vision_towers import TIMM_LAYERS


class TimmParams(Params):
    """Parameters of timm's classifiers."""

    architecture: str = Field(description="name of the architecture in timm, such as resnet18 or vit_tiny_patch16_224")
    weights: str = Field(
        default="none",
        description="none: random; pretrained: timm's from the Hub, with a new head; or fine-tuned weights: a file "
        "(.safetensors, .pth), or a folder in the Hub's layout, whose config.json decides input size and normalisation",
    )
    match: Literal["name", "order"] = Later(
        "name",
        description="how tensors in a file find their places: by name; or by order, for files with the names of "
        "another publisher, if every shape agrees",
    )
    image_size: int | None = Field(
        default=None, ge=8, description="height and width in pixels to which images are resized; its own if not given"
    )


class TimmNetwork(nn.Module):
    """A network of timm with its resizing and normalisation, from images in ``[0, 1]`` to logits."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, name: str, image_size: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.network = network
        self.image_size = image_size
        # Adversarial images are cached by the hash of a surrogate's weights and buffers. Weights do not show the size
        # or the activations they are used with, so this buffer adds them.
        self.register_buffer("identity", torch.tensor(list(f"{name} {image_size}".encode()), dtype=torch.uint8))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.parts: dict[str, nn.Module] = {}
        if (head := _last_layer(network, image_size)) is not None:
            self.parts["encoder"] = Part.without(self._features, network, head)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        inner: Any = self.network
        if "encoder" in self.parts:
            logits: Tensor = inner.get_classifier()(self.parts["encoder"](images))
        else:
            logits = inner(self._pixels(images))
        return logits

    def _features(self, images: Tensor) -> Tensor:
        inner: Any = self.network
        features: Tensor = inner.forward_head(inner.forward_features(self._pixels(images)), pre_logits=True)
        return features

    def _pixels(self, images: Tensor) -> Tensor:
        return (resize_and_crop(images, self.image_size) - self.mean) / self.std


@torch.no_grad()
def _last_layer(network: Any, size: int) -> nn.Linear | None:
    """Return the linear layer that makes the logits of timm's pooled features; None if logits are made in another way.

    Only trying shows that: some networks average two heads, or change the features between.
    """
    training = network.training
    try:
        head = network.eval().get_classifier()
        if not isinstance(head, nn.Linear):
            return None
        with torch.random.fork_rng(devices=[]):
            images = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
            logits = network(images)
            features = network.forward_head(network.forward_features(images), pre_logits=True)
            return head if torch.equal(head(features), logits) else None
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError):
        return None
    finally:
        network.train(training)


class TimmClassifier(FromFile):
    """A classifier of timm, by its name there.

    Source: Wightman, PyTorch Image Models, 2019 (doi:10.5281/zenodo.4414861); timm names each architecture's paper.
    """

    Params = TimmParams
    params: TimmParams

    @classmethod
    def files(cls, params: TimmParams) -> Mapping[str, Path]:
        """Return the file or folder of the weights; an architecture is no file, even if one has its name."""
        files = super().files(params)
        return {"weights": files["weights"]} if "weights" in files and params.weights != "pretrained" else {}

    def build(self, context: RunContext) -> nn.Module:
        """Make the network and load its weights.

        Raises:
            SpecError: timm has no such architecture. DataError: Weights are missing, damaged, of another architecture,
            for other classes, or not to be downloaded.
        """
        name, weights = self.params.architecture, self.params.weights
        if not timm.is_model(name):
            raise SpecError(f"timm has no architecture {name!r}{_nearest(name)}")
        n_classes = len(context.dataset.class_names)
        path = None if weights in ("none", "pretrained") else Path(weights).expanduser()
        folder = path if path is not None and path.is_dir() else None
        if folder is not None:
            self._check_folder(folder)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.stream(f"timm {name}"))  # of the CPU alone
            network = self._create(name if folder is None else f"local-dir:{folder}", n_classes)
        config: Any = network.pretrained_cfg
        size = self.params.image_size or config["input_size"][-1]
        if path is not None:
            self._load(network, path if folder is None else _weights_in(folder), context, size)
        if self.params.image_size is not None:
            _try(network, name, size)
        return TimmNetwork(network, name, size, config["mean"], config["std"])

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return timm's network, its encoder and last layer if it has them, and its blocks or stages if it has some."""
        assert isinstance(network, TimmNetwork)
        inner: Any = network.network
        parts: dict[str, nn.Module] = {"vision": inner, **network.parts}
        if isinstance(head := inner.get_classifier(), nn.Linear):
            parts["head"] = head
        sequences = (getattr(inner, name, None) for name in ("blocks", "stages", "layers"))
        if blocks := next((part for part in sequences if isinstance(part, nn.Sequential | nn.ModuleList)), None):
            parts["blocks"] = nn.ModuleList(blocks)
        elif stages := [getattr(inner, f"layer{n}") for n in range(1, 5) if hasattr(inner, f"layer{n}")]:
            parts["blocks"] = nn.ModuleList(stages)
        return parts

    def tokens(self, network: nn.Module) -> Tokens | None:
        """Return how the blocks of timm's vision transformers take tokens; None of other networks."""
        assert isinstance(network, TimmNetwork)
        pixels = torch.zeros(1, 3, network.image_size, network.image_size, device=network.mean.device)
        return tokens_of(network.network, getattr(network.network, "blocks", None), lambda: network.network(pixels))

    def targets(self, network: nn.Module) -> Mapping[str, tuple[str, ...]]:
        """Return the linear layers of timm's vision transformers; other networks have some of them or none."""
        assert isinstance(network, TimmNetwork)
        return TIMM_LAYERS

    def _create(self, source: str, n_classes: int) -> nn.Module:
        name, size = self.params.architecture, self.params.image_size
        pretrained = self.params.weights == "pretrained"
        try:
            try:
                # Transformers have positions for one size; convolutional networks take any size.
                network: nn.Module = timm.create_model(source, pretrained, num_classes=n_classes, img_size=size)
            except TypeError:
                network = timm.create_model(source, pretrained, num_classes=n_classes)
        except (AssertionError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            if not pretrained:
                raise DataError(
                    f"timm cannot make {name} at {size or 'its own'} pixels: {_first_line(error)}"
                ) from error
            raise DataError(
                f"timm's weights of {name} cannot be loaded from the Hugging Face Hub ({_first_line(error)}); download "
                "them where there is a network, fine-tune them and pass weights=FILE, or pass weights=none"
            ) from error
        return network

    def _load(self, network: Any, path: Path, context: RunContext, size: int) -> None:
        state: dict[str, Tensor] = clean_state_dict(read_state(path, context.dataset))
        # robench saves the whole TimmNetwork, in which timm's network has this prefix.
        state = {name.removeprefix("network."): tensor for name, tensor in state.items()}
        heads = network.pretrained_cfg.get("classifier") or ()
        heads = (heads,) if isinstance(heads, str) else heads
        head = [f"{name}.{kind}" for name in heads for kind in ("weight", "bias")]
        if self.params.match == "order":
            state = by_order(network, state, path, except_for=head)
        state, n_there = without_head(state, network, head)
        if n_there:
            n_here = len(context.dataset.class_names)
            context.warn(
                f"{path} has a head of {n_there} classes; a new, untrained head of {n_here} replaces it, so train "
                "before you score"
            )
        missing = "it is not a checkpoint of this architecture"
        if (
            self.params.match == "name"
            and len(state) in _counts(network)
            and not state.keys() & network.state_dict().keys()
        ):
            missing = "its names are another publisher's; if it is the same network, add match=order"
        n_classes = len(context.dataset.class_names)
        misfit = f"the dataset has {n_classes} classes and the network sees {size} pixels (image_size)"
        load_all(network, state, path, missing=missing, misfit=misfit)

    def _check_folder(self, folder: Path) -> None:
        try:
            found = json.loads((folder / "config.json").read_text(encoding="utf-8-sig"))["architecture"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{folder} has no config.json that names an architecture; expected a folder in the Hub's layout"
            ) from error
        if found != (wanted := self.params.architecture.partition(".")[0]):
            raise DataError(f"{folder} holds a {found}, not a {wanted}; use timm-{found}")


def _counts(network: nn.Module) -> tuple[int, int]:
    """Return how many tensors a file of `network` has, with and without the counts of batches."""
    names = list(network.state_dict())
    return len(names), sum(not name.endswith("num_batches_tracked") for name in names)


def _weights_in(folder: Path) -> Path:
    """Return the weights file that timm wrote, by default a torch checkpoint."""
    safe, torch_own = folder / "model.safetensors", folder / "pytorch_model.bin"
    return torch_own if torch_own.is_file() and not safe.is_file() else safe


@torch.no_grad()
def _try(network: nn.Module, name: str, size: int) -> None:
    """Run `network` on one image of `size`, because only a forward pass shows whether it can.

    Raises:
        DataError: The network fails at this size.
    """
    try:
        network.eval()(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise DataError(f"{name} cannot see images of image_size={size} pixels: {_first_line(error)}") from error
    network.train()


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, timm.list_models(), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "; timm.list_models() names them all"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
