"""The interface of a model, and what networks of certain kinds offer beside logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from robench.contracts.configured import Configured
from robench.contracts.context import RunContext
from robench.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Model(Configured, ABC):
    """A classifier of the dataset's classes."""

    @abstractmethod
    def build(self, context: RunContext) -> nn.Module:
        """Return a network from images ``float32 (N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``.

        Raises:
            DataError: Weights are missing, damaged, or do not fit the classes.
        """

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Name the parts of `network` that a tuner may change.

        Names in use: ``vision``, a transformer's tower; ``encoder``, all that maps an image to its embedding;
        ``blocks``, a ``ModuleList`` of its blocks in order; ``head``, the ``Linear`` that makes the logits.
        """
        return {}

    def rebind(self, network: nn.Module, context: RunContext) -> nn.Module:
        """Return a classifier of the classes of `context`, another dataset, that shares the encoder of `network`.

        Raises:
            PluginError: The model knows its own classes only.
        """
        raise PluginError("this model cannot name the classes of another dataset; an image-text model can")


@runtime_checkable
class ImageTextNetwork(Protocol):
    """A network whose logits are scaled cosines of image and class-prompt embeddings."""

    def embed_images(self, images: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)`` of images in ``[0, 1]``."""

    def class_embeddings(self) -> Tensor:
        """Return the embeddings ``(n_classes, D)`` of the class prompts, unit vectors unless a tuner trains them."""

    def temperature(self) -> Tensor:
        """Return the factor on the cosine, ``exp(logit_scale)``, a scalar."""


@runtime_checkable
class PatchNetwork(Protocol):
    """A network that cuts images into patches."""

    def embed_patches(self, images: Tensor) -> Tensor:
        """Return what its blocks are given for images in ``[0, 1]``: embedded patches ``(N, P, D)``."""
