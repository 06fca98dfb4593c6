"""The result of ``robench bench``: rows, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from robench.compute.processor import model_name
from robench.compute.software import git_state, versions
from robench.errors import DataError
from robench.present.grid import NOTHING, Grid, headings
from robench.records.record import Record
from robench.storage.plain_file import read_plain

if TYPE_CHECKING:
    import torch

MOST_BYTES = 16_000_000
"""Largest file of a report."""
RIVALS = ("foolbox", "open_clip_torch")
"""Distributions that robench is compared with and does not use itself."""


class Row(Record):
    """One comparison."""

    item: str
    case: str = Field(description="what was measured")
    unit: str = Field(description="of both figures")
    robench: float
    rival: str | None = Field(default=None, description="what robench is compared with; null for nothing")
    rival_figure: float | None = None
    ratio: float | None = Field(
        default=None, description="how many times better robench is: the median over pairs of turns"
    )
    lowest: float | None = Field(default=None, description="the lowest ratio of a pair")
    highest: float | None = None
    target: str = Field(default="", description="the goal")
    met: bool | None = Field(default=None, description="whether the goal is reached; null without one")
    check: str = Field(default="", description="what shows that both sides did the same work")
    same: bool | None = Field(default=None, description="whether they did; null if there is nothing to compare")
    note: str = ""


class Machine(Record):
    """What the figures depend on, besides the code."""

    processor: str
    cores: int = Field(description="logical cores that this process may use")
    threads: int = Field(description="threads that torch uses")
    memory_gib: float
    device: str = Field(description="where networks ran")
    tf32: bool = Field(description="whether float32 products may be computed in TensorFloat-32")
    platform: str
    versions: dict[str, str]
    git: str | None


class Report(Record):
    """The result of one call."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    command: str
    started: str = Field(description="UTC")
    seconds: float
    quick: bool = Field(description="a smoke run, whose figures mean nothing")
    machine: Machine
    rows: tuple[Row, ...]

    def grid(self) -> Grid:
        """Return the rows as a table."""
        machine = self.machine
        notes = [
            f"`{self.command}`, {self.started[:10]}",
            f"{machine.processor}, {machine.cores} cores, {machine.threads} threads, {machine.memory_gib:.0f} GiB; "
            f"{machine.device}; torch {machine.versions['torch']}",
        ]
        if self.quick:
            notes.append("A smoke run: these figures mean nothing.")
        return Grid(
            title="robench bench",
            notes=tuple(notes),
            headings=headings("what", "robench", "rival", "its figure", "times better", "target", "same work?"),
            rows=tuple(_cells(row) for row in self.rows),
        )


def compared(
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    amount: float | None = None,
    least: float | None = None,
    **row: Any,
) -> Row:
    """Return a row that compares two sides, pair by pair.

    Args:
        ours: Seconds of each turn of robench.
        theirs: Seconds of each turn of the rival.
        amount: What one turn does, for figures per second; None for figures in seconds.
        least: The ratio that is aimed for.
        row: The other fields of the row.
    """
    from robench.bench.timing import ratio_of

    ratio = ratio_of(ours, theirs)
    figures = [median(seconds) if amount is None else amount / median(seconds) for seconds in (ours, theirs)]
    target = {} if least is None else {"target": f"{least:g}x", "met": ratio.median >= least}
    return Row(
        robench=figures[0],
        rival_figure=figures[1],
        ratio=ratio.median,
        lowest=ratio.lowest,
        highest=ratio.highest,
        **target,
        **row,
    )


def machine(device: torch.device) -> Machine:
    """Describe this machine and the software on it."""
    import psutil
    import torch

    found = versions()
    for name in RIVALS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    cuda = device.type == "cuda"
    return Machine(
        processor=model_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        device=torch.cuda.get_device_name(device) if cuda else device.type,
        tf32=cuda and torch.get_float32_matmul_precision() != "highest",
        platform=f"{platform.system()} {platform.machine()}",
        versions=found,
        git=git_state(),
    )


def read_report(path: Path) -> Report:
    """Read a report that ``--output`` wrote.

    Raises:
        DataError: The file is missing or is not a report.
    """
    try:
        return Report.model_validate_json(read_plain(path, MOST_BYTES))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is no report of robench bench: {where or 'file'}: {first['msg']}") from None


def _cells(row: Row) -> tuple[str, ...]:
    ratio = NOTHING
    if row.ratio is not None:
        spread = "" if row.lowest == row.highest else f" ({row.lowest:.2f} to {row.highest:.2f})"
        ratio = f"{row.ratio:.2f}{spread}"
    verdict = {None: "", True: ", reached", False: ", not reached"}[row.met]
    same = {None: "", True: "yes: ", False: "NO: "}[row.same]
    return (
        f"{row.item}: {row.case}",
        f"{_number(row.robench)} {row.unit}",
        row.rival or NOTHING,
        NOTHING if row.rival_figure is None else f"{_number(row.rival_figure)} {row.unit}",
        ratio,
        f"{row.target}{verdict}" if row.target else NOTHING,
        "; ".join(part for part in (same + row.check, row.note) if part) or NOTHING,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
