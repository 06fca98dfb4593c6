"""How fast robench is, compared with rivals that do the same work in the same run (``robench bench``).

An item is a module with a function ``measure(setting)`` that yields rows as they are measured. To add one, write a file
here and add a line to ``ITEMS``.

| file | what it does |
|---|---|
| ``startup.py``, ``attack.py``, ``whitebox.py``, ``evaluation.py``, ``training.py``, ... | the items, one file each |
| ``rivals/`` | what robench is compared with, one plain script each |
| ``measuring.py`` | measures items one after the other |
| ``setting.py`` | what the user asked for: device, repeats, sizes |
| ``timing.py`` | times several sides in turns |
| ``report.py`` | the rows of a report, and the machine they were measured on |
| ``process.py`` | runs a command and measures its time and memory |
| ``own_process.py`` | keeps one side in a process of its own |
| ``clips.py``, ``vit_b32.py`` | the CLIP models, as robench and as rivals have them |
| ``limit.py`` | how fast the machine could be |
| ``synthetic.py`` | made-up records in any number |
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
        name: The name that users type.
        summary: What is compared, in one line.
        brief: Whether it takes only minutes; brief items are measured if none is named.
        repeats: Turns of each side, unless the user gives a number.
    """

    name: str
    summary: str
    brief: bool = True
    repeats: int = 5

    def measure(self, setting: Setting) -> Iterator[Row]:
        """Yield rows as they are measured."""
        work: Callable[[Setting], Iterator[Row]] = import_module(f"robench.bench.{self.name}").measure
        return work(setting)


ITEMS = (
    Item(name="startup", summary="CPU seconds until the command line answers"),
    Item(name="attack", summary="PGD-7 on ResNet-20 against torchattacks and foolbox, and the machine's limit"),
    Item(name="whitebox", summary="PGD-10 on CLIPs against torchattacks, foolbox and a plain loop", brief=False),
    Item(name="evaluation", summary="clean evaluation of CLIP against bare transformers and CLIP_benchmark's way"),
    Item(name="training", summary="LoRA, prompts and last blocks against bare loops"),
    Item(name="study", summary="a whole table of methods against two plain scripts", brief=False, repeats=1),
    Item(name="certificate", summary="the certificate's share of a default run", brief=False, repeats=3),
    Item(name="leaderboard", summary="seconds and memory of a table of 100,000 records", brief=False, repeats=3),
    Item(name="memory", summary="peak memory of 1,000, 10,000 and 100,000 images", brief=False, repeats=1),
)
"""All items, in the order in which they are measured."""


def items_named(names: Sequence[str]) -> list[Item]:
    """Return the items `names`, or the brief ones if none is named.

    Raises:
        SpecError: There is no such item.
    """
    known = {item.name: item for item in ITEMS}
    for name in names:
        if name not in known:
            raise SpecError(f"unknown item {name!r}{nearest(name, known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else [item for item in ITEMS if item.brief]
