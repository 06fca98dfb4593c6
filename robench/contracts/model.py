"""The interface of a model, and what some networks offer besides logits."""

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
        """Return the parts of `network` that a tuner may change, by name.

        Names in use: ``vision``, the tower of a vision transformer; ``encoder``, all that maps an image to its
        embedding; ``blocks``, a ``ModuleList`` of the blocks in order; ``head``, the ``Linear`` that makes the logits.
        """
        return {}

    def rebind(self, network: nn.Module, context: RunContext) -> nn.Module:
        """Return a classifier for another dataset, that of `context`, which shares the encoder of `network`.

        Raises:
            PluginError: The model only knows the classes it was built for.
        """
        raise PluginError(
            "this model cannot name the classes of another dataset; expected an image-text model such as clip-tiny"
        )


@runtime_checkable
class ImageTextNetwork(Protocol):
    """A network whose logits are scaled cosines between the embeddings of an image and of the class prompts."""

    def embed_images(self, images: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)`` of images ``float32 (N, 3, H, W)`` in ``[0, 1]``."""

    def class_embeddings(self) -> Tensor:
        """Return the embeddings ``(n_classes, D)`` of the class prompts; unit vectors unless a tuner trained them."""

    def temperature(self) -> Tensor:
        """Return ``exp(logit_scale)``, the factor on the cosine, a scalar."""


@runtime_checkable
class FeatureNetwork(Protocol):
    """A network that gives the embeddings of images before they are brought to unit length."""

    def image_features(self, images: Tensor) -> Tensor:
        """Return embeddings ``(N, D)`` of any length, of images ``float32 (N, 3, H, W)`` in ``[0, 1]``."""


@runtime_checkable
class PatchNetwork(Protocol):
    """A network that cuts images into patches."""

    def embed_patches(self, images: Tensor) -> Tensor:
        """Return the embedded patches ``(N, P, D)`` that its first block takes, of images in ``[0, 1]``."""
