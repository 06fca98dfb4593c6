"""What all image-text models have in common: prompts, a vision tower from a file, and the parts that tuners change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robench import DataError, Dataset, Field, Later, Model, Params, RunContext, SpecError, Tokens
from torch import Tensor, nn

from robench_plugins.models.class_prompts import Words, embed_classes
from robench_plugins.models.clip_network import ClassTexts, CLIPNetwork, check_works, shorten
from robench_plugins.models.resizing import CLIP_SIGHT, Sight
from robench_plugins.models.vision_towers import load_tower


class ImageTextParams(Params):
    """Parameters of image-text models."""

    template: str | None = Field(
        default=None, description="one prompt with {} for the class name, instead of the dataset's prompts"
    )
    tower: str | None = Later(
        None,
        description="file with another vision tower, such as a robust one that was published without its text tower",
    )


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An image-text model as it was read.

    Attributes:
        clip: A ``CLIPModel`` or ``SiglipModel`` of transformers, or what has their interface.
        identity: What decides the logits besides the weights, such as the activation function.
    """

    clip: Any
    words: Words
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sight: Sight = CLIP_SIGHT
    identity: str = ""


class ImageText(Model):
    """A classifier of scaled cosines between images and class prompts."""

    Params = ImageTextParams
    params: ImageTextParams

    @abstractmethod
    def load(self, context: RunContext) -> Loaded:
        """Read the model.

        Raises:
            DataError: Files are missing, damaged or incomplete, or the Hub cannot be reached.
        """

    @abstractmethod
    def words(self, clip: Any) -> Words:
        """Read the vocabulary again, for the text tower of `clip`.

        Raises:
            DataError: Its files cannot be read any more.
        """

    @abstractmethod
    def readable(self) -> AbstractContextManager[None]:
        """Return a context that turns what a library raises for damaged files into a DataError."""

    def build(self, context: RunContext) -> nn.Module:
        """Load the weights, and encode the class prompts once.

        Raises:
            DataError: The weights are missing, damaged or incomplete, or the Hub cannot be reached.
        """
        loaded = self.load(context)
        if self.params.tower is not None:
            load_tower(loaded.clip, Path(self.params.tower).expanduser())
        if (tower := getattr(loaded.clip, "vision_model", None)) is not None and has_class_token(tower):
            shorten(tower)
        texts = self._texts(loaded.clip, loaded.words, context)
        with self.readable():
            network = CLIPNetwork(
                loaded.clip, loaded.mean, loaded.std, texts, sight=loaded.sight, identity=loaded.identity
            )
            check_works(network)
        return network

    def check_files(self) -> None:
        """Check the prompt template, and that the file of the vision tower is there, if one is named.

        Raises:
            SpecError: The template has no place for the class name.
            DataError: There is no such file.
        """
        self._check_template()
        if self.params.tower is not None and not Path(self.params.tower).expanduser().is_file():
            raise DataError(f"no vision tower at {self.params.tower}; expected a .pt, .pth.tar or .safetensors file")

    def adaptable(self, network: nn.Module) -> Mapping[str, nn.Module]:
        """Return the vision tower and its blocks, the class embeddings, and what :class:`CLIPNetwork` names."""
        assert isinstance(network, CLIPNetwork)
        clip = network.clip
        if (tower := getattr(clip, "vision_model", None)) is None:
            return {**clip.parts(), **network.parts, "head": network.head}
        return {"vision": tower, "blocks": tower.encoder.layers, "head": network.head, **network.parts}

    def targets(self, network: nn.Module) -> Mapping[str, tuple[str, ...]]:
        """Return the linear layers of the vision tower by role; a tower of open_clip's own has its own names."""
        assert isinstance(network, CLIPNetwork)
        if hasattr(network.clip, "vision_model"):
            return super().targets(network)
        targets: Mapping[str, tuple[str, ...]] = network.clip.targets()
        return targets

    def tokens(self, network: nn.Module) -> Tokens | None:
        """Return how the blocks of the vision tower take tokens; None of a tower that is no vision transformer."""
        assert isinstance(network, CLIPNetwork)
        if (tower := getattr(network.clip, "vision_model", None)) is None:
            found: Tokens | None = network.clip.tokens()
            return found
        config = tower.config
        return Tokens(width=config.hidden_size, first=int(has_class_token(tower)), patch_size=config.patch_size)

    def tokenize(self, network: nn.Module, texts: Sequence[str]) -> Tensor:
        """Return token ids ``int64 (N, L)``."""
        assert isinstance(network, CLIPNetwork)
        with self.readable():
            return self.words(network.clip).tokens(texts)["input_ids"]

    def rebind(self, network: nn.Module, context: RunContext) -> nn.Module:
        """Return a classifier of the classes of `context` that shares both towers of `network`, as they are now.

        Its class embeddings are those of the prompts, even if a tuner has trained the head of `network`, because rows
        learned for some classes say nothing about others. Prompts that a tuner has learned for all classes are kept.

        Raises:
            DataError: The tokenizer cannot be read any more.
        """
        assert isinstance(network, CLIPNetwork)
        texts = self._texts(network.clip, self.words(network.clip), context)
        mean, std = (values.flatten().tolist() for values in (network.mean, network.std))
        other = CLIPNetwork(network.clip, mean, std, texts, sight=network.sight, identity=network.identity_text)
        if network.prompter is not None:
            other.prompter = network.prompter
            other.head.weight = nn.Parameter(network.prompter(context.dataset.class_names), requires_grad=False)
        return other.to(texts.embeddings.device)

    def _texts(self, clip: Any, words: Words, context: RunContext) -> ClassTexts:
        prompts = self.prompts(context.dataset)
        with self.readable():
            return embed_classes(clip, words, context.dataset.class_names, prompts, context.warn)

    def prompts(self, dataset: Dataset) -> tuple[tuple[str, ...], ...]:
        """Return the template with the name of each class in it, or without a template the prompts of the dataset.

        Raises:
            SpecError: The template has no place for the class name.
        """
        self._check_template()
        if (template := self.params.template) is None:
            return dataset.prompts()
        return tuple((template.replace("{}", name.replace("_", " ")),) for name in dataset.class_names)

    def _check_template(self) -> None:
        template = self.params.template
        if template is not None and "{}" not in template:
            raise SpecError(
                f"template {template!r} has no {{}} for the class name; expected one such as 'a photo of a {{}}'"
            )


def has_class_token(tower: nn.Module) -> bool:
    """Tell whether a tower in the layout of transformers reads images off a class token, as CLIP does."""
    return hasattr(getattr(tower, "embeddings", None), "class_embedding")
