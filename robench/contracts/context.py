"""What a component is told about the run it serves, and how it reports progress."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from robench.compute.precision import Precision
from robench.compute.world import ALONE, World
from robench.contracts.dataset import Dataset

if TYPE_CHECKING:
    from torch import device

    from robench.storage.shared_folder import SharedFolder

T = TypeVar("T")


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
    shared: SharedFolder | None = None
    compiled: bool = False

    def cached(self, name: str, *, read: Callable[[Path], T], make: Callable[[Path], None]) -> T:
        """Return what `read` makes of the file `name` in the cache; `make` writes it if there is none.

        One process of a machine makes it while others wait for it. Machines that share the cache by a URL all use the
        file that was published first.

        Args:
            name: With slashes, as ``surrogates/NAME-HASH.safetensors``; all that decides the content is in the hash.
            read: Raises a RobenchError for a damaged file, which is made again.
            make: Writes to the path given.

        Raises:
            DataError: The cache cannot be written to, or not be reached.
        """
        from robench.storage.cached_file import cached_file

        return cached_file(self.cache_dir, self.shared, name, read=read, make=make, warn=self.warn)

    def stream(self, name: str) -> int:
        """Return the seed of an independent random stream for the purpose called `name`."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:6], "little")
