"""The classifier that every image-text model becomes: scaled cosines between images and class prompts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from robench import DataError, Part
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.class_token_layer import ClassTokenLayer
from robench_plugins.models.resizing import CLIP_SIGHT, Sight, brought_to


@dataclass(frozen=True, kw_only=True)
class ClassTexts:
    """The classes as text.

    Attributes:
        embeddings: Unit vectors ``float32 (n_classes, D)``.
        tokens: For each class the token ids of its prompts, ``int64 (n_prompts, L)``.
    """

    embeddings: Tensor
    tokens: tuple[Tensor, ...] = ()


class CLIPNetwork(nn.Module):
    """A classifier with logits ``exp(logit_scale) * cos(image, class prompts) + bias``.

    It resizes and normalises images itself. Only networks that were trained with a sigmoid loss have a bias.

    The rows of `head` are the class embeddings, unit vectors and frozen. If a tuner trains them, as a linear probe,
    their lengths may change, and count in the logits.

    A tuner that learns prompts may set `prompter`, which makes class embeddings ``(n_classes, D)`` of class names. Then
    they take the place of the prompts on other datasets, too.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021,
    section 3.1.2; a class is the mean of its prompts' unit embeddings (section 3.1.4). The bias: Zhai et al.,
    "Sigmoid loss for language image pre-training", ICCV 2023, section 3.2.

    Args:
        clip: A ``CLIPModel`` or ``SiglipModel`` of transformers, or what has their interface.
        text: The classes, or only their embeddings.
        sight: How images are resized.
        identity: What decides the logits besides the weights, such as the activation function.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        clip: Any,
        mean: Sequence[float],
        std: Sequence[float],
        text: Tensor | ClassTexts,
        sight: Sight = CLIP_SIGHT,
        identity: str = "",
    ) -> None:
        super().__init__()
        texts = ClassTexts(embeddings=text) if isinstance(text, Tensor) else text
        self.clip: Any = clip
        self.image_size: int = clip.config.vision_config.image_size
        self.sight, self.identity_text = sight, identity
        self.class_tokens: tuple[Tensor, ...] = texts.tokens
        self.prompter: Callable[[Sequence[str]], Tensor] | None = None
        if said := identity + (f" {sight}" if sight != CLIP_SIGHT else ""):
            # Adversarial images are cached by the hash of a surrogate's weights and buffers.
            self.register_buffer("identity", torch.tensor(list(said.encode()), dtype=torch.uint8))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        n_classes, width = texts.embeddings.shape
        # On the meta device, so that no random weights are drawn, only to be replaced.
        self.head = nn.Linear(width, n_classes, bias=False, device="meta")
        self.head.weight = nn.Parameter(texts.embeddings, requires_grad=False)
        self.parts: dict[str, nn.Module] = self._named_parts()

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        embeddings = self.embed_images(images).to(self.head.weight.dtype)
        # Autocast would make this product bfloat16, with an error of half a logit at a temperature of 100.
        with _no_autocast(images.device.type):
            logits: Tensor = self.head(self.temperature() * embeddings)
            bias = self.bias()
            return logits if bias is None else logits + bias

    def embed_images(self, images: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)``."""
        return F.normalize(self.image_features(images), dim=-1)

    def image_features(self, images: Tensor) -> Tensor:
        """Return the embeddings ``(N, D)`` as the projection gives them, of any length."""
        features: Tensor = self.parts["encoder"](images)
        return features

    def patch_features(self, images: Tensor) -> Tensor:
        """Return what the last block makes of the patches ``(N, P, D)``, normalised and projected as embeddings are.

        Raises:
            DataError: The tower is no vision transformer whose patches robench knows.
        """
        if "patches" not in self.parts:
            raise DataError("this vision tower gives no features of patches; expected a plain vision transformer")
        features: Tensor = self.parts["patches"](images)
        return features

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)`` of token ids ``int64 (N, L)``."""
        return F.normalize(self.parts["text"](tokens), dim=-1)

    def _named_parts(self) -> dict[str, nn.Module]:
        """Return the parts that only this network can compute, by the names of :meth:`robench.Model.adaptable`."""
        clip, tower = self.clip, getattr(self.clip, "vision_model", None)
        projection = getattr(clip, "visual_projection", None)
        own = {"vision_model": tower or getattr(clip, "visual", None), "visual_projection": projection}
        found: dict[str, nn.Module] = {"encoder": Part(self._features, **own)}
        if tower is not None:
            found["patches"] = Part(self._patches, **own)
            found["attention"] = Part(self._attention, vision_model=tower)
        if projection is not None:
            found["projection"] = projection
        found["text"] = Part(self._text, **text_weights(clip))
        layers = getattr(getattr(getattr(clip, "text_model", None), "encoder", None), "layers", None)
        if isinstance(layers, nn.ModuleList):
            found["text_blocks"] = layers
        if (words := token_embedding(clip)) is not None:
            found["token_embedding"] = words
        return found

    def _features(self, images: Tensor) -> Tensor:
        short = {"class_token_only": True} if is_short(getattr(self.clip, "vision_model", None)) else {}
        features: Tensor = self.clip.get_image_features(pixel_values=self._pixels(images), **short).pooler_output
        return features

    def _patches(self, images: Tensor) -> Tensor:
        tower, projection = self.clip.vision_model, getattr(self.clip, "visual_projection", None)
        n_patches = (self.image_size // tower.config.patch_size) ** 2
        hidden: Tensor = tower(pixel_values=self._pixels(images)).last_hidden_state[:, -n_patches:]
        if projection is None:
            return hidden  # SigLIP, whose tower normalises all tokens
        features: Tensor = projection(tower.post_layernorm(hidden))
        return features

    def _attention(self, images: Tensor) -> Tensor:
        tower, given = self.clip.vision_model, list[Tensor]()
        # Adaptations may have wrapped the block; what has the attention is inside, and takes all tokens.
        block: Any = next(each for each in tower.encoder.layers[-1].modules() if hasattr(each, "self_attn"))
        hook = block.register_forward_pre_hook(lambda module, arguments: given.append(arguments[0]))
        try:
            tower(pixel_values=self._pixels(images))
        finally:
            hook.remove()
        attention, normed = block.self_attn, block.layer_norm1(given[0])
        heads = (*normed.shape[:-1], -1, attention.head_dim)
        query, key = (each(normed).view(heads).transpose(1, 2) for each in (attention.q_proj, attention.k_proj))
        scores: Tensor = (query @ key.transpose(2, 3)) * attention.scale
        return scores.softmax(dim=-1)

    def _text(self, tokens: Tensor) -> Tensor:
        given = tokens.to(self.mean.device)
        features: Tensor = self.clip.get_text_features(input_ids=given).pooler_output
        return features

    def class_embeddings(self) -> Tensor:
        """Return the class embeddings ``(n_classes, D)``; unit vectors unless a tuner trained them."""
        return self.head.weight

    def temperature(self) -> Tensor:
        """Return ``exp(logit_scale)``, a scalar."""
        scale: Tensor = self.clip.logit_scale
        return scale.exp().reshape(())

    def bias(self) -> Tensor | None:
        """Return the bias on the scaled cosines, a scalar; None if the network has none."""
        bias: Tensor | None = getattr(self.clip, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    def _pixels(self, images: Tensor) -> Tensor:
        return (brought_to(images, self.image_size, self.sight) - self.mean) / self.std


def shorten(tower: Any) -> None:
    """Let the last block of a tower in transformers' layout work for the class token alone, where that is asked."""
    if not tower.config.attention_dropout:  # with dropout the other tokens draw random numbers, too
        tower.encoder.layers[-1] = ClassTokenLayer(tower.encoder.layers[-1])
        tower.is_short = True


def is_short(tower: nn.Module | None) -> bool:
    """Tell whether :func:`shorten` has changed a tower."""
    return bool(getattr(tower, "is_short", False))


def text_weights(clip: Any) -> dict[str, Any]:
    """Return the modules and parameters that make the embeddings of texts, by name."""
    if hasattr(clip, "text_weights"):
        found: dict[str, Any] = clip.text_weights()
        return found
    return {name: getattr(clip, name, None) for name in ("text_model", "text_projection")}


def token_embedding(clip: Any) -> nn.Module | None:
    """Return the embedding of token ids in a text tower; None if it cannot be told."""
    inside = [
        module for part in text_weights(clip).values() if isinstance(part, nn.Module) for module in part.modules()
    ]
    tables = [module for module in inside if isinstance(module, nn.Embedding)]
    return max(tables, key=lambda table: table.num_embeddings, default=None)  # the others are of positions


def _no_autocast(kind: str) -> contextlib.AbstractContextManager[Any]:
    """Return a context without autocast on devices of `kind`; ``meta`` has no autocast to switch off."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


@torch.no_grad()
def check_works(network: CLIPNetwork) -> None:
    """Run the network on one grey image; what a damaged configuration leads to shows here, before any data.

    Raises:
        DataError: The logits are not finite, or of another shape.
    """
    logits = network(torch.full((1, 3, 8, 8), 0.5))
    if logits.shape != (1, len(network.head.weight)) or not torch.isfinite(logits).all():
        raise DataError("CLIP gives logits of a wrong shape, NaN or infinity; is its config.json that of its weights?")
