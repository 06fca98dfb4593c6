"""The interface of a model, and what some networks offer besides logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from robench.contracts import returned
from robench.contracts.configured import Configured
from robench.contracts.context import RunContext
from robench.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.contracts.dataset import Dataset

TRANSFORMERS_LAYERS: Mapping[str, tuple[str, ...]] = {
    "query": ("q_proj",),
    "key": ("k_proj",),
    "value": ("v_proj",),
    "output": ("out_proj",),
    "mlp_in": ("fc1",),
    "mlp_out": ("fc2",),
}
"""Where towers of transformers have their linear layers, by role."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """How the part ``blocks`` of a network takes its tokens, so that others may be put between them.

    Attributes:
        width: The numbers of a token.
        first: Tokens before the patches, such as a class token; they stay first.
        patch_size: Height and width of a patch, in pixels.
        batch_first: Whether a block takes ``(N, T, width)``, as its first argument, or ``(T, N, width)``.
    """

    width: int
    first: int
    patch_size: int
    batch_first: bool = True


class Model(Configured, ABC):
    """A classifier of the dataset's classes."""

    @abstractmethod
    @returned.returns(returned.network)
    def build(self, context: RunContext) -> nn.Module:
        """Return a network from images ``float32 (N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``.

        Raises:
            DataError: Weights are missing, damaged, or do not fit the classes.
        """

    def check_classes(self, dataset: Dataset) -> None:
        """Check that files of weights were trained on the classes of `dataset`; a dry run calls this, too.

        Override it if such files name classes: :meth:`Dataset.require_classes` compares them.

        Raises:
            DataError: A file names other classes.
        """

    @returned.returns(returned.groups)
    def prompts(self, dataset: Dataset) -> tuple[tuple[str, ...], ...]:
        """Return the prompts of each class of `dataset` that the network is built with; by default the dataset's own.

        Raises:
            SpecError: Parameters ask for prompts that cannot be made.
        """
        return dataset.prompts()

    @returned.returns(returned.parts)
    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the parts of `network` that a tuner may change, by name.

        Each is optional. Names in use:

        - ``encoder``: all that maps an image to its embedding. Called with images ``float32 (N, 3, H, W)`` in
          ``[0, 1]`` it returns ``(N, D)``, of any length. The network itself calls it, so a hook on it changes the
          logits. Without a text tower the embedding is the input of ``head``. :class:`robench.Part` makes such a part.
        - ``head``: the ``Linear`` that makes the logits of the embedding; of an image-text network, the class
          embeddings.
        - ``blocks``: a ``ModuleList`` of the blocks in order.
        - ``vision``: the tower that reads images, as its library has it. Adapters look in it for the layers that
          :meth:`targets` names. Learned prompts need :meth:`tokens`, or a vision transformer in the layout of
          transformers: ``tower.embeddings`` maps pixels to tokens, and ``tower.config`` has ``hidden_size``,
          ``patch_size`` and ``image_size``.
        - ``patches``: called with images it returns what the last block makes of each patch ``(N, P, D)``, row by row,
          normalised and projected as embeddings are, of any length.
        - ``attention``: called with images it returns how much each token of the last block attends to each,
          ``(N, heads, T, T)``: the rows are those that attend, and each sums to 1. The last P tokens are the patches,
          row by row; before them stand a class token, as the first, and learned prompts, where there are any.
        - ``projection``: the layer that maps the tower's output to the embedding.
        - ``text``: called with token ids ``int64 (N, L)``, as :meth:`tokenize` returns them, it gives embeddings
          ``(N, D)`` of any length. Its weights can be trained; the class embeddings do not follow by themselves.
        - ``text_blocks``: a ``ModuleList`` of the text tower's blocks in order; each takes ``(N, L, width)`` first.
        - ``token_embedding``: the ``Embedding`` by which ``text`` looks up its tokens.
        """
        return {}

    @returned.returns(returned.mapping)
    def targets(self, network: nn.Module) -> Mapping[str, tuple[str, ...]]:
        """Return the ``Linear`` layers that adapters may change, by their role.

        Roles are ``query``, ``key``, ``value``, or ``qkv`` for all three in one layer; ``output``, of the attention;
        and ``mlp_in`` and ``mlp_out``. A layer is named by the end of its name in the part ``vision``, such as
        ``attn.qkv``. By default they are those of transformers. A role may be missing.
        """
        return TRANSFORMERS_LAYERS

    @returned.returns(returned.optional(returned.instance(Tokens, "a robench.Tokens")))
    def tokens(self, network: nn.Module) -> Tokens | None:
        """Return how ``blocks`` takes tokens; None, the default, if it does not, or takes no more than there are.

        Learned prompts are put after the first ones before a block, and what became of them is taken out behind the
        last block.
        """
        return None

    @returned.returns(returned.token_ids)
    def tokenize(self, network: nn.Module, texts: Sequence[str]) -> Tensor:
        """Return token ids ``int64 (N, L)`` of `texts`, for the part ``text``.

        Raises:
            PluginError: The model reads no text.
        """
        raise PluginError("this model reads no text; use one that compares images with text, such as clip-tiny")

    @returned.returns(returned.network)
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
