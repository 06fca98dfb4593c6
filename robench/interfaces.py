"""What is measured: the interfaces Dataset, Model and Attacker, and what a run tells the components that serve it.

Pixel space: every image tensor that crosses them is ``float32 (N, 3, H, W)`` in ``[0, 1]`` at the dataset's
native resolution. A model resizes and normalises inside its own ``forward``, so that gradients reach the pixels.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from robench import params as parameters
from robench.data import ImageSet
from robench.errors import PluginError
from robench.params import AttackParams
from robench.precision import Precision
from robench.types import Knowledge, Norm, ThreatModel
from robench.world import ALONE, World

if TYPE_CHECKING:
    from torch import Tensor, device, nn

    from robench.shared import Shared

T = TypeVar("T")
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a stage of a run stands.

    Attributes:
        stage: ``data``, ``pretraining``, ``attack``, ``tuning`` or ``evaluation``, with what it works on.
        done: Images finished.
        total: Images in all.
        detail: Anything worth a glance, such as the running loss.
        values: The same as numbers by name, for what draws curves.
    """

    stage: str
    done: int
    total: int
    detail: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report nothing."""


class Configured:
    """Anything built from validated parameters. Subclasses declare them as a nested or named ``Params``."""

    Params: ClassVar[type[parameters.Params]] = parameters.Params
    params: parameters.Params

    def __init__(self, params: parameters.Params | None = None) -> None:
        self.params = params if params is not None else type(self).Params()


class Dataset(Configured, ABC):
    """Labelled images with three disjoint splits; ``validation`` is carved from the training data and locked."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes; a label is an index into them."""

    @abstractmethod
    def split(self, name: SplitName, limit: int | None = None) -> ImageSet:
        """Load a split, or its first `limit` images, in a fixed order whose prefixes are fair samples.

        Raises:
            DataError: Files are missing or damaged, or the split has fewer than `limit` images.
        """

    def size(self, name: SplitName) -> int:
        """Return how many images a split has; override where that can be told without loading them."""
        return len(self.split(name))

    def notes(self) -> tuple[str, ...]:
        """Return what users should know of the files found, such as how many were skipped; kept in the record."""
        return ()

    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Return for each class the prompts whose mean embedding stands for it in an image-text model."""
        return tuple((f"a photo of a {name.replace('_', ' ')}.",) for name in self.class_names)


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a component may know of the run it serves.

    Attributes:
        dataset: The run's dataset; a model may train on its ``train`` split, and on no other.
        dataset_name: The name it is registered by.
        device: Where networks live.
        seed: The run's seed; draw from :meth:`stream`, never from it directly.
        cache_dir: A folder that may be emptied at any time; see :meth:`cached` for files that are made once.
        report: Call it with :class:`Progress`.
        warn: Call it with one line that the user and the record should see.
        world: The processes that share the run. Each builds the same components; only the core deals out work.
        precision: What networks compute in, stage by stage.
        shared: The place of which `cache_dir` holds copies, if machines share a cache by its URL.
        compiled: Whether networks are compiled by torch for as long as they are attacked.
    """

    dataset: Dataset
    dataset_name: str
    device: device
    seed: int
    cache_dir: Path
    report: Report = silent
    warn: Callable[[str], None] = field(default=lambda message: None)
    world: World = ALONE
    precision: Precision = field(default_factory=Precision)
    shared: Shared | None = None
    compiled: bool = False

    def cached(self, name: str, *, read: Callable[[Path], T], make: Callable[[Path], None]) -> T:
        """Return what `read` makes of the file `name` in the cache; `make` writes it if there is none.

        One process makes it while others wait for it; if machines share the cache, one process of all of them.

        Args:
            name: With slashes, as ``surrogates/NAME-HASH.safetensors``; all that decides the content is in the hash.
            read: Raises a RobenchError for a damaged file, which is made again.
            make: Writes to the path given.

        Raises:
            DataError: The cache cannot be written to, or not be reached.
        """
        from robench.cached_file import cached_file

        return cached_file(self.cache_dir, self.shared, name, read=read, make=make, warn=self.warn)

    def stream(self, name: str) -> int:
        """Return the seed of an independent random stream for the purpose called `name`."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:6], "little")


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


class Attacker(Configured, ABC):
    """Finds perturbed images within a norm ball. The core re-projects, rounds and judges what it returns."""

    Params: ClassVar[type[parameters.Params]] = AttackParams
    params: AttackParams
    norm: ClassVar[Norm] = "Linf"
    knowledge: ClassVar[Knowledge] = "white-box"

    def threat(self, *, surrogate: bool) -> ThreatModel:
        """Return the threat model, given whether gradients come from a surrogate instead of the target."""
        knowledge: Knowledge = "transfer" if surrogate else self.knowledge
        norm: Norm = getattr(self.params, "norm", self.norm)
        return ThreatModel(norm=norm, eps=self.params.eps, knowledge=knowledge)

    @abstractmethod
    def perturb(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial images, ``float32 (N, 3, H, W)`` in ``[0, 1]``, on the device of `images`.

        `network` is in evaluation mode with frozen weights; the global random state is seeded for this batch.
        """
