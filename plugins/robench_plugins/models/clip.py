"""CLIP as a zero-shot classifier."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from robench import DataError, Field, Model, Params, RunContext
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.clip_files import load_clip, load_tokenizer, locate, readable
from robench_plugins.models.resizing import resize_and_crop
from robench_plugins.models.shipped import shipped_path


class CLIPParams(Params):
    """Parameters of CLIP."""

    path: str = Field(description="a folder with config.json and weights, or ORG/NAME on the Hub")
    revision: str | None = Field(default=None, description="branch, tag or commit on the Hub")
    template: str | None = Field(
        default=None, description="one prompt with {} for the class name, instead of the dataset's prompts"
    )


class CLIPNetwork(nn.Module):
    """A classifier with logits ``exp(logit_scale) * cos(image, class prompts)``; it resizes and normalises itself.

    The rows of `head` are the class embeddings, unit vectors and frozen. If a tuner trains them, as a linear probe,
    their lengths may change, and count in the logits.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021,
    section 3.1.2; a class is the mean of its prompts' unit embeddings (section 3.1.4).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, clip: Any, mean: Sequence[float], std: Sequence[float], text: Tensor) -> None:
        super().__init__()
        self.clip: Any = clip
        self.image_size: int = clip.config.vision_config.image_size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        # On the meta device, so that no random weights are drawn, only to be replaced.
        self.head = nn.Linear(text.shape[1], text.shape[0], bias=False, device="meta")
        self.head.weight = nn.Parameter(text, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        embeddings = self.embed_images(images).to(self.head.weight.dtype)
        # Autocast would make this product bfloat16, with an error of half a logit at a temperature of 100.
        with _no_autocast(images.device.type):
            logits: Tensor = self.head(self.temperature() * embeddings)
        return logits

    def embed_images(self, images: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)``."""
        return F.normalize(self.image_features(images), dim=-1)

    def image_features(self, images: Tensor) -> Tensor:
        """Return the embeddings ``(N, D)`` as the projection gives them, of any length."""
        pixels = (resize_and_crop(images, self.image_size) - self.mean) / self.std
        features: Tensor = self.clip.get_image_features(pixel_values=pixels).pooler_output
        return features

    def class_embeddings(self) -> Tensor:
        """Return the class embeddings ``(n_classes, D)``; unit vectors unless a tuner trained them."""
        return self.head.weight

    def temperature(self) -> Tensor:
        """Return ``exp(logit_scale)``, a scalar."""
        scale: Tensor = self.clip.logit_scale
        return scale.exp()


class CLIP(Model):
    """Zero-shot CLIP: it compares images with prompts that describe the classes.

    Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.
    """

    Params = CLIPParams
    params: CLIPParams

    @classmethod
    def files(cls, params: CLIPParams) -> Mapping[str, Path]:
        """Return the folder of the weights, also of those that come with robench."""
        if params.path.startswith("shipped:"):
            return {params.path: shipped_path(params.path.removeprefix("shipped:"))}
        return super().files(params)

    def build(self, context: RunContext) -> nn.Module:
        """Load the weights, and encode the class prompts once.

        Raises:
            DataError: The weights are missing, damaged or incomplete, or the Hub cannot be reached.
        """
        source = self._source()
        clip, tokenizer, processor = load_clip(source, self.params.revision)
        text = self._embed(clip, tokenizer, context)
        with readable(source):
            network = CLIPNetwork(clip, processor.image_mean, processor.image_std, text)
            check_works(network)
        return network

    def check_files(self) -> None:
        """Check that a folder holds a whole CLIP; one of the Hub is not looked at."""
        locate(self._source())

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the vision tower, the tower with its projection, its blocks, and the class embeddings."""
        assert isinstance(network, CLIPNetwork)
        tower = network.clip.vision_model
        return {
            "vision": tower,
            "encoder": nn.ModuleList([tower, network.clip.visual_projection]),
            "blocks": tower.encoder.layers,
            "head": network.head,
        }

    def rebind(self, network: nn.Module, context: RunContext) -> nn.Module:
        """Return a classifier of the classes of `context` that shares both towers of `network`, as they are now.

        Its class embeddings are those of the prompts, even if a tuner has trained the head of `network`, because rows
        learned for some classes say nothing about others.

        Raises:
            DataError: The tokenizer cannot be read any more.
        """
        assert isinstance(network, CLIPNetwork)
        tokenizer = load_tokenizer(locate(self._source()), self.params.revision)
        text = self._embed(network.clip, tokenizer, context)
        mean, std = (values.flatten().tolist() for values in (network.mean, network.std))
        return CLIPNetwork(network.clip, mean, std, text).to(text.device)

    def _embed(self, clip: Any, tokenizer: Any, context: RunContext) -> Tensor:
        prompts = self._prompts(context)
        with readable(self._source()):
            check_prompts(clip, tokenizer, context.dataset.class_names, prompts, context.warn)
            return embed_prompts(clip, tokenizer, prompts)

    def _source(self) -> str:
        path = self.params.path
        return str(shipped_path(path.removeprefix("shipped:"))) if path.startswith("shipped:") else path

    def _prompts(self, context: RunContext) -> tuple[tuple[str, ...], ...]:
        template = self.params.template
        if template is None:
            return context.dataset.prompts()
        if "{}" not in template:
            raise DataError(
                f"template {template!r} has no {{}} for the class name; expected one such as 'a photo of a {{}}'"
            )
        return tuple((template.replace("{}", name.replace("_", " ")),) for name in context.dataset.class_names)


def _no_autocast(kind: str) -> contextlib.AbstractContextManager[Any]:
    """Return a context without autocast on devices of `kind`; ``meta`` has no autocast to switch off."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


def longest_text(clip: Any, tokenizer: Any) -> int:
    """Return how many tokens the text tower reads; not every tokenizer states it."""
    return int(min(tokenizer.model_max_length, clip.config.text_config.max_position_embeddings))


def check_prompts(
    clip: Any,
    tokenizer: Any,
    class_names: Sequence[str],
    prompts: Sequence[Sequence[str]],
    warn: Callable[[str], None],
) -> None:
    """Check that the text tower can tell the prompts of two classes apart, and tell `warn` how many it cuts.

    Raises:
        DataError: Two classes have the same tokens, mostly because long names are cut; the message names both.
    """
    longest, cut = longest_text(clip, tokenizer), 0
    seen: dict[tuple[tuple[int, ...], ...], str] = {}
    for name, group in zip(class_names, prompts, strict=False):
        tokens = tuple(tuple(tokenizer(p, truncation=True, max_length=longest)["input_ids"]) for p in group)
        cut += sum(len(tokenizer(p)["input_ids"]) > longest for p in group)
        if tokens in seen:
            raise DataError(
                f"classes {seen[tokens][:80]!r} and {name[:80]!r} have the same prompts for this text tower, which "
                f"reads {longest} tokens of the characters it knows; shorten or rename one of them"
            )
        seen[tokens] = name
    if cut:
        warn(f"{cut} prompts are cut to the {longest} tokens that the text tower reads")


@torch.no_grad()
def check_works(network: CLIPNetwork) -> None:
    """Run the network on one grey image; what a damaged configuration leads to shows here, before any data."""
    logits = network(torch.full((1, 3, 8, 8), 0.5))
    if logits.shape != (1, len(network.head.weight)) or not torch.isfinite(logits).all():
        raise DataError("CLIP gives logits of a wrong shape, NaN or infinity; is its config.json that of its weights?")


@torch.no_grad()
def embed_prompts(clip: Any, tokenizer: Any, prompts: Sequence[Sequence[str]]) -> Tensor:
    """Return for each class the mean of its prompts' unit embeddings, at unit length, ``(n_classes, D)``."""
    flat = [prompt for group in prompts for prompt in group]
    longest = longest_text(clip, tokenizer)
    tokens = tokenizer(flat, padding=True, truncation=True, max_length=longest, return_tensors="pt").to(clip.device)
    features = F.normalize(clip.get_text_features(**tokens).pooler_output, dim=-1)
    means = [group.mean(dim=0) for group in features.split([len(group) for group in prompts])]
    return F.normalize(torch.stack(means), dim=-1)
