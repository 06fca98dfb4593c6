"""The interface of a model, and what some networks offer besides logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from robench.contracts.configured import Configured
from robench.contracts.context import RunContext
from robench.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.contracts.dataset import Dataset


class Model(Configured, ABC):
    """A classifier of the dataset's classes."""

    @abstractmethod
    def build(self, context: RunContext) -> nn.Module:
        """Return a network from images ``float32 (N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``.

        Raises:
            DataError: Weights are missing, damaged, or do not fit the classes.
        """

    def prompts(self, dataset: Dataset) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class of `dataset` that the network is built with; by default the dataset's own.

        Raises:
            SpecError: Parameters ask for prompts that cannot be made.
        """
        return dataset.prompts()

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the parts of `network` that a tuner may change, by name.

        Names in use: ``vision``, the tower that reads images; ``encoder``, all that maps an image to its embedding;
        ``blocks``, a ``ModuleList`` of the blocks in order; ``head``, the ``Linear`` that makes the logits. Adapters
        find the projections of a tower by the names ``q_proj``, ``k_proj``, ``v_proj`` and ``fc2``. Learned prompts
        need a vision transformer in the layout of transformers: ``tower.embeddings`` maps pixels to tokens, and
        ``tower.config`` has ``hidden_size``, ``patch_size`` and ``image_size``.
        """
        return {}

    def rebind(self, network: nn.Module, context: RunContext) -> nn.Module:
        """Return a classifier for another dataset, that of `context`, which shares the encoder of `network`.

        Where it is not overridden, robench scores `network` itself if the other dataset has the same classes in the
        same order, and refuses others.

        Raises:
            PluginError: The model only knows the classes it was built for.
        """
        raise PluginError(
            "this model cannot name the classes of another dataset; expected a dataset with the same classes in the "
            "same order, or an image-text model such as clip-tiny"
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
class BiasedNetwork(Protocol):
    """A network with a bias on its scaled cosines, as those trained with a sigmoid loss have."""

    def bias(self) -> Tensor | None:
        """Return the bias, a scalar, which is part of every logit; None if this network has none."""


@runtime_checkable
class TextNetwork(Protocol):
    """A network that also embeds texts."""

    @property
    def class_tokens(self) -> Sequence[Tensor]:
        """The token ids ``int64 (n_prompts, L)`` of the prompts of each class."""

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)`` of token ids ``int64 (N, L)``; gradients reach the weights of the text
        tower, if they are not frozen.
        """


@runtime_checkable
class TokenNetwork(Protocol):
    """A network that gives an embedding for each patch, such as for maps of attention."""

    def patch_features(self, images: Tensor) -> Tensor:
        """Return what the last block makes of the patches ``(N, P, D)``, brought to the space of the embeddings, of
        any length, of images ``float32 (N, 3, H, W)`` in ``[0, 1]``.
        """


@runtime_checkable
class PatchNetwork(Protocol):
    """A network that cuts images into patches."""

    def embed_patches(self, images: Tensor) -> Tensor:
        """Return the embedded patches ``(N, P, D)`` that its first block takes, of images in ``[0, 1]``."""
