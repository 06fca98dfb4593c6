"""The study's convolutional network for leaves: InceptionV3 with a dense layer of 512 units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from robench import DataError, Field, Params, Part, RunContext
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.resizing import resize_and_crop
from robench_plugins.models.saved_weights import FromFile, load_saved

ARCHITECTURE = "inception_v3"
UNITS = 512


class LeafInceptionParams(Params):
    """Parameters of the study's CNN."""

    image_size: int = Field(default=299, ge=75, description="height and width in pixels to which images are resized")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout before the last layer")
    weights: str = Field(
        default="none",
        description="none: random; pretrained: timm's ImageNet weights from the Hub, with a new head; or a file saved "
        "by --save-adapter",
    )


class LeafInceptionNetwork(nn.Module):
    """A classifier of images ``(N, 3, H, W)`` in ``[0, 1]``, which it resizes and normalises for the backbone."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Any, n_classes: int, image_size: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dense = nn.Linear(backbone.num_features, UNITS)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(UNITS, n_classes)
        self.image_size = image_size
        config: Any = backbone.pretrained_cfg
        # Channels last: convolutions are faster by a third to a half on a CPU, and more on a GPU's tensor cores.
        backbone.to(memory_format=torch.channels_last)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(config[name]).view(1, 3, 1, 1), persistent=False)
        self.parts: dict[str, nn.Module] = {"encoder": Part.without(self._features, self, self.head)}

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits ``(N, n_classes)``."""
        logits: Tensor = self.head(self.parts["encoder"](images))
        return logits

    def _features(self, images: Tensor) -> Tensor:
        features = self.backbone((resize_and_crop(images, self.image_size) - self.mean) / self.std)
        embeddings: Tensor = self.dropout(F.relu(self.dense(features)))
        return embeddings


class LeafInception(FromFile):
    """InceptionV3, global average pooling, a dense layer of 512 units, dropout, and one output a class.

    For ten classes it has 22,839,786 parameters; the study's Keras model has 22,857,002. Keras also counts the running
    mean and variance of the 17,216 batch-norm channels, but has no scales there. Counted that way this network has
    22,874,218, exactly the 17,216 scales more.

    Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016.
    """

    Params = LeafInceptionParams
    params: LeafInceptionParams

    def build(self, context: RunContext) -> nn.Module:
        """Make the network and load its weights.

        Raises:
            DataError: Weights are missing, damaged, for other classes, or cannot be downloaded.
        """
        n_classes, weights = len(context.dataset.class_names), self.params.weights
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.stream("leaf-inception"))  # of the CPU alone
            backbone = _backbone(pretrained=weights == "pretrained")
            network = LeafInceptionNetwork(backbone, n_classes, self.params.image_size, self.params.dropout)
        if weights not in ("none", "pretrained"):
            load_saved(network, Path(weights).expanduser(), context.dataset)
        return network

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the encoder, which is all before the last layer, and the last layer."""
        assert isinstance(network, LeafInceptionNetwork)
        return {**network.parts, "head": network.head}


def _backbone(*, pretrained: bool) -> nn.Module:
    try:
        backbone: nn.Module = timm.create_model(ARCHITECTURE, pretrained=pretrained, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"timm's weights of {ARCHITECTURE} cannot be loaded from the Hugging Face Hub "
            f"({str(error).splitlines()[0]}); pass weights=none to train from scratch, or weights=FILE"
        ) from error
    return backbone
