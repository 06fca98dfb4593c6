"""CLIP as a zero-shot classifier, from a folder in the Hub's layout or from the Hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from robench import DataError, Field, Model, Params, RunContext
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.models.class_token_layer import ClassTokenLayer
from robench_plugins.models.resizing import resize_and_crop
from robench_plugins.models.shipped import shipped_path


class CLIPParams(Params):
    """Where the weights are and which prompts stand for the classes."""

    path: str = Field(description="a folder with config.json and weights, or a Hub id such as ORG/NAME")
    revision: str | None = Field(default=None, description="branch, tag or commit of a Hub id")
    template: str | None = Field(
        default=None, description="one prompt with {} for the class name, in place of the dataset's prompts"
    )


class CLIPNetwork(nn.Module):
    """Logits are ``exp(logit_scale) * cos(image, class prompts)``; resizing and normalisation are inside.

    The rows of `head` are the class embeddings. They are frozen; a tuner that trains them, as a linear probe does,
    may change their lengths, and the logits are then ``exp(logit_scale)`` times their products with the image.

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
        # On no device: its own random weights would be drawn only to be dropped.
        self.head = nn.Linear(text.shape[1], text.shape[0], bias=False, device="meta")
        self.head.weight = nn.Parameter(text, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, 3, H, W)`` in ``[0, 1]`` to logits ``(N, n_classes)``."""
        embeddings = self.embed_images(images).to(self.head.weight.dtype)
        # Under autocast the product would be bfloat16, whose error the temperature of 100 makes half a logit.
        with _no_autocast(images.device.type):
            logits: Tensor = self.head(self.temperature() * embeddings)
        return logits

    def embed_images(self, images: Tensor) -> Tensor:
        """Return unit embeddings ``(N, D)``."""
        pixels = (resize_and_crop(images, self.image_size) - self.mean) / self.std
        features = self.clip.get_image_features(pixel_values=pixels).pooler_output
        return F.normalize(features, dim=-1)

    def class_embeddings(self) -> Tensor:
        """Return the embeddings ``(n_classes, D)`` that the logits use; unit vectors unless a tuner trained them."""
        return self.head.weight

    def temperature(self) -> Tensor:
        """Return ``exp(logit_scale)``, a scalar."""
        scale: Tensor = self.clip.logit_scale
        return scale.exp()


class CLIP(Model):
    """Zero-shot CLIP: images are compared with prompts that describe the classes."""

    Params = CLIPParams
    params: CLIPParams

    def build(self, context: RunContext) -> nn.Module:
        """Load the weights and encode the class prompts once.

        Raises:
            DataError: The weights are missing, damaged or incomplete, or the Hub cannot be reached.
        """
        clip, tokenizer, processor = _load(self._source(), self.params.revision)
        text = _embed_prompts(clip, tokenizer, self._prompts(context))
        return CLIPNetwork(clip, processor.image_mean, processor.image_std, text)

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Name the vision tower, the tower with its projection, the tower's blocks and the class embeddings."""
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

        Its class embeddings are those of the prompts, also where a tuner has trained the head of `network`: rows
        learned for some classes say nothing of others.

        Raises:
            DataError: The tokenizer cannot be read any more.
        """
        assert isinstance(network, CLIPNetwork)
        tokenizer = _load_tokenizer(_locate(self._source()), self.params.revision)
        text = _embed_prompts(network.clip, tokenizer, self._prompts(context))
        mean, std = (values.flatten().tolist() for values in (network.mean, network.std))
        return CLIPNetwork(network.clip, mean, std, text).to(text.device)

    def _source(self) -> str:
        path = self.params.path
        return str(shipped_path(path.removeprefix("shipped:"))) if path.startswith("shipped:") else path

    def _prompts(self, context: RunContext) -> tuple[tuple[str, ...], ...]:
        template = self.params.template
        if template is None:
            return context.dataset.prompts()
        if "{}" not in template:
            raise DataError(f"template {template!r} has no {{}} for the class name")
        return tuple((template.replace("{}", name.replace("_", " ")),) for name in context.dataset.class_names)


def _no_autocast(kind: str) -> contextlib.AbstractContextManager[Any]:
    """Return a context without autocast on devices of `kind`, of which ``meta`` has none."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


def _locate(source: str) -> str:
    """Return the folder, or the Hub id, that `source` means."""
    local = Path(source).expanduser()
    if not local.is_dir() and (source.count("/") != 1 or source.startswith((".", "~", "/"))):
        raise DataError(f"no folder {source}; expected one in the Hub's layout (config.json, model.safetensors)")
    if local.is_dir() and not (local / "config.json").is_file():
        # transformers would take the sizes of ViT-B/32 without a word.
        raise DataError(f"no config.json in {local}; expected a folder in the Hub's layout")
    return str(local) if local.is_dir() else source


@contextlib.contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn whatever transformers raises over missing or damaged files into one clear line."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if Path(where).is_dir():
            raise DataError(f"CLIP weights in {where} cannot be read: {reason}") from error
        raise DataError(
            f"CLIP weights {where!r} cannot be had from the Hugging Face Hub ({reason}); download them where there "
            f"is a network (hf download {where} --local-dir DIR) and pass --model clip:path=DIR"
        ) from error


def _load(source: str, revision: str | None) -> tuple[Any, Any, Any]:
    """Load model, tokenizer and image processor."""
    from transformers import CLIPImageProcessor, CLIPModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    where = _locate(source)
    with _readable(where):
        clip, loading = CLIPModel.from_pretrained(
            where,
            revision=revision or "main",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # reported below, by name
            output_loading_info=True,
        )
        tokenizer = _load_tokenizer(where, revision)
        processor = CLIPImageProcessor.from_pretrained(where, revision=revision or "main")
    unfit = [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])]
    if unfit:
        names = ", ".join(sorted(unfit)[:3])
        raise DataError(f"CLIP weights in {where} are incomplete: {names} missing or of the wrong shape")
    _read_at_class_token(clip.vision_model)
    return clip, tokenizer, processor


def _read_at_class_token(tower: Any) -> None:
    """Spare the last block of a vision tower what nothing reads, unless it draws random numbers for it."""
    if not tower.config.attention_dropout:
        tower.encoder.layers[-1] = ClassTokenLayer(tower.encoder.layers[-1])


def _load_tokenizer(where: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    with _readable(where):
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision or "main")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # Without its files transformers makes a tokenizer that knows no word.
        raise DataError(f"CLIP in {where} has no vocabulary: expected tokenizer.json, or vocab.json and merges.txt")
    return tokenizer


@torch.no_grad()
def _embed_prompts(clip: Any, tokenizer: Any, prompts: Sequence[Sequence[str]]) -> Tensor:
    """Return for each class the unit mean of its prompts' unit embeddings, ``(n_classes, D)``."""
    flat = [prompt for group in prompts for prompt in group]
    tokens = tokenizer(flat, padding=True, truncation=True, return_tensors="pt").to(clip.device)
    features = F.normalize(clip.get_text_features(**tokens).pooler_output, dim=-1)
    means = [group.mean(dim=0) for group in features.split([len(group) for group in prompts])]
    return F.normalize(torch.stack(means), dim=-1)
