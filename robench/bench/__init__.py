"""robench bench: how fast robench is, as a ratio to fair rivals that do the same work in the same run.

An item is a module with a function ``measure(setting)`` that yields rows as they are measured. A new one is a file here
and a line in ``ITEMS``. The rivals are in ``rivals``, one plain script each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from robench.errors import SpecError, nearest

if TYPE_CHECKING:
    from robench.bench.report import Row
    from robench.bench.setting import Setting


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that is measured.

    Attributes:
        name: What users type.
        summary: What it compares, in a line.
        brief: Whether it is over in minutes, and so measured where none is named.
        repeats: Turns of each side, where the user names no number.
    """

    name: str
    summary: str
    brief: bool = True
    repeats: int = 5

    def measure(self, setting: Setting) -> Iterator[Row]:
        """Measure, and yield rows as they are there."""
        work: Callable[[Setting], Iterator[Row]] = import_module(f"robench.bench.{self.name}").measure
        return work(setting)


ITEMS = (
    Item(name="startup", summary="CPU seconds until the command line answers"),
    Item(name="attack", summary="PGD-7 on ResNet-20 against torchattacks and foolbox, and the machine's limit"),
    Item(name="evaluation", summary="clean evaluation of CLIP against bare transformers and CLIP_benchmark's way"),
    Item(name="training", summary="LoRA, prompts and last blocks against bare loops"),
    Item(name="study", summary="a whole table of methods against two plain scripts", brief=False, repeats=1),
    Item(name="leaderboard", summary="seconds and memory of a table of 100,000 records", brief=False, repeats=3),
    Item(name="memory", summary="peak memory of 1,000, 10,000 and 100,000 images", brief=False, repeats=1),
)
"""What can be measured, in order."""


def chosen(names: Sequence[str]) -> list[Item]:
    """Return the items called `names`, or the brief ones.

    Raises:
        SpecError: No such item.
    """
    known = {item.name: item for item in ITEMS}
    for name in names:
        if name not in known:
            raise SpecError(f"unknown item {name!r}{nearest(name, known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else [item for item in ITEMS if item.brief]
