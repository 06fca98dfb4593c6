"""The study's vision transformer for leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from pydantic import model_validator
from robench import Field, Params, RunContext, Tokens
from torch import nn

from robench_plugins.models.leaf_vit_network import LeafViTNetwork
from robench_plugins.models.saved_weights import FromFile, load_saved


class LeafViTParams(Params):
    """Parameters of the study's ViT."""

    image_size: int = Field(default=64, ge=8, description="height and width in pixels to which images are resized")
    patch_size: int = Field(default=8, ge=2, description="height and width of a patch, in pixels")
    stride: int = Field(default=6, ge=1, description="distance of patches, in pixels; below patch_size they overlap")
    dim: int = Field(default=64, ge=1, description="width: features of a patch")
    depth: int = Field(default=1, ge=1, description="encoder blocks")
    heads: int = Field(default=4, ge=1, description="attention heads")
    head_dim: int = Field(default=64, ge=1, description="features of a head")
    mlp: int = Field(default=128, ge=1, description="hidden features of a block's MLP")
    dense1: int = Field(default=2048, ge=1, description="units of the first dense layer after the encoder")
    dense2: int = Field(default=1024, ge=1, description="units of the second dense layer")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout in the blocks")
    head_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout around the dense layers")
    weights: str = Field(default="none", description="none: random; or a file saved by --save-adapter")

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.patch_size > self.image_size:
            raise ValueError(
                f"patch_size={self.patch_size} is larger than the image; expected at most image_size={self.image_size}"
            )
        return self


class LeafViT(FromFile):
    """A vision transformer on overlapping patches, whose tokens are flattened into a wide head instead of pooled.

    With the defaults it has 100 patches of 8 pixels, 6 apart, and 15,319,754 parameters. With ``image_size=256,
    patch_size=32, stride=24`` it has 100 patches, too, and 15,504,074 parameters. Weights start as in Keras: Glorot
    uniform, biases 0, positions uniform within 0.05.

    Source: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, after Salama's Keras example "Image
    classification with Vision Transformer" (2021). Deviation: pixels are scaled to ``[-1, 1]``; the example
    standardises by the mean and variance of the training images.
    """

    Params = LeafViTParams
    params: LeafViTParams

    def build(self, context: RunContext) -> nn.Module:
        """Make the network and load its weights.

        Raises:
            DataError: Weights are missing, damaged, of other settings or for other classes.
        """
        n_classes = len(context.dataset.class_names)
        settings = self.params.model_dump(exclude={"weights", "dense1", "dense2"})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.stream("leaf-vit"))  # of the CPU alone
            units = (self.params.dense1, self.params.dense2)
            network = LeafViTNetwork(n_classes=n_classes, head_units=units, **settings)
        if self.params.weights != "none":
            load_saved(network, Path(self.params.weights).expanduser(), context.dataset)
        return network

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the tower, the encoder, which is all before the last layer, its blocks and the last layer."""
        assert isinstance(network, LeafViTNetwork)
        return {"vision": network, **network.parts, "blocks": network.blocks, "head": network.head}

    def tokens(self, network: nn.Module) -> Tokens:
        """Return how the blocks take tokens, all of them patches."""
        assert isinstance(network, LeafViTNetwork)
        width = network.patches.positions.shape[1]
        return Tokens(width=width, first=0, patch_size=self.params.patch_size)

    def targets(self, network: nn.Module) -> Mapping[str, tuple[str, ...]]:
        """Return the linear layers of the blocks."""
        names = {"query": "attention.query", "key": "attention.key", "value": "attention.value"}
        names |= {"output": "attention.out", "mlp_in": "mlp.0", "mlp_out": "mlp.3"}
        return {role: (name,) for role, name in names.items()}
