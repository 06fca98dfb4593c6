"""What a component is told about the run, and how it reports progress."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robench.compute.precision import Precision
from robench.compute.world import ALONE, World
from robench.contracts.dataset import Dataset
from robench.contracts.types import Kind
from robench.errors import PluginError

if TYPE_CHECKING:
    from torch import device

    from robench.storage.shared_folder import SharedFolder

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage of a run has come.

    Attributes:
        stage: ``data``, ``pretraining``, ``attack``, ``tuning`` or ``evaluation``, and what it works on.
        done: Images finished.
        total: Images in all.
        detail: A short text to show, such as the running loss.
        values: The same as numbers by name, for loggers that draw curves.
    """

    stage: str
    done: int
    total: int
    detail: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report nothing."""


def no_component(kind: Kind, text: str) -> Any:
    """Refuse to build a component where nobody can look one up.

    Raises:
        PluginError: Always.
    """
    raise PluginError(f"{kind} {text!r} was asked for outside a run, where no component can be looked up")


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What a component may know of the run.

    Attributes:
        dataset: The run's dataset; a model may train only on its ``train`` split.
        dataset_name: The name it is registered by.
        device: Where networks are.
        seed: The run's seed. Use :meth:`stream` to get a seed for a purpose, never this one.
        cache_dir: A folder that may be emptied at any time; see :meth:`cached` for files that are made once.
        report: Call it with a :class:`Progress`.
        warn: Call it with one line for the user and the record.
        world: The processes that share the run. Each builds the same components; robench divides the work.
        precision: What each stage computes in.
        shared: The place of which `cache_dir` holds copies, if machines share a cache by its URL.
        compiled: Whether torch compiles networks while they are attacked.
        component: Builds another component, as typed: ``component("model", "resnet20").build(context)`` is a network.
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
    shared: SharedFolder | None = None
    compiled: bool = False
    component: Callable[[Kind, str], Any] = no_component

    def cached(self, name: str, *, read: Callable[[Path], T], make: Callable[[Path], None]) -> T:
        """Return what `read` returns for the file `name` in the cache. If the file is missing, `make` writes it first.

        One process of a machine makes it while others wait for it. Machines that share the cache by a URL all use the
        file that was published first.

        Args:
            name: With slashes, as ``surrogates/NAME-HASH.safetensors``; all that decides the content is in the hash.
            read: Takes the path; for a damaged file it raises a RobenchError, and the file is made again.
            make: Writes the file to the path it is given.

        Raises:
            DataError: The cache cannot be written to or reached.
        """
        from robench.storage.cached_file import cached_file

        return cached_file(self.cache_dir, self.shared, name, read=read, make=make, warn=self.warn)

    def stream(self, name: str) -> int:
        """Return the seed of the random stream called `name`, independent of all others."""
        return stream(self.seed, name)


def stream(seed: int, name: str) -> int:
    """Return the seed of the random stream called `name` of a run with `seed`."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "little")
