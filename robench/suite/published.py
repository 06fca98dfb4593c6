"""What papers report of methods, beside what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from robench.errors import SpecError
from robench.present.grid import NOTHING, Grid, Heading, headings
from robench.suite.definition import Line, Suite
from robench.suite.reading import first_fault, read_toml
from robench.suite.scores import CLEAN, Standing
from robench.suite.table import group_averages

Percent = Annotated[float, Field(ge=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reported(_Part):
    """What one paper reports of a method on the data sets of a protocol, averaged, in percent.

    Attributes:
        model: The network, as papers call it.
        eps: The radius at which images are attacked.
        attack: The attack, as the paper calls it.
        trained: The radius and the data that it was trained with.
        source: The paper, and the table.
        measure: The attack or ensemble of the suite that it compares with; by default the first attack of its radius.
        tuners: Names of tuners here that are this method; `models` are names of models here.
    """

    method: Line
    model: Line
    eps: Line
    attack: Line
    clean: Percent | None = None
    robust: Percent | None = None
    trained: str = Field(default="", max_length=300)
    source: Line
    note: str = Field(default="", max_length=600)
    measure: Line | None = None
    tuners: tuple[Line, ...] = ()
    models: tuple[Line, ...] = ()


class _File(_Part):
    source: str = Field(min_length=1, max_length=2_000)
    reported: tuple[Reported, ...] = Field(min_length=1)


def read_published(suite: Suite, file: Path) -> tuple[Reported, ...]:
    """Return what papers report for `suite`; nothing if it names no file.

    Args:
        file: The file of the suite, which the other lies beside.

    Raises:
        SpecError: The file is missing, or has an unknown key or a wrong value.
    """
    if suite.published is None:
        return ()
    path = file.with_name(suite.published)
    try:
        return _File.model_validate(
            read_toml(path, "file of published figures", "the one that the suite names")
        ).reported
    except ValidationError as error:
        raise SpecError(f"{path}: {first_fault(error)}") from None


def published_grid(suite: Suite, reported: Sequence[Reported], rows: Sequence[Standing]) -> Grid:
    """Return what papers report, and beside it the averages measured here of the same method and model.

    Figures of one method, model and radius that papers disagree about are named in the notes.
    """
    return Grid(
        title=f"{suite.name}: as published",
        notes=("Averages over data sets in percent, as each paper has them.", *disagreements(reported)),
        headings=(
            *headings("method", "model", "attack"),
            Heading(label="clean", details=("published",)),
            Heading(label="attacked", details=("published",)),
            Heading(label="clean", details=("here",)),
            Heading(label="attacked", details=("here",)),
            *headings("source"),
        ),
        rows=tuple(
            (
                each.method,
                each.model,
                f"{each.attack} {each.eps}",
                _text(each.clean),
                _text(each.robust),
                *here,
                each.source,
            )
            for each in reported
            for here in [_measured(suite, each, rows)]
        ),
    )


def disagreements(reported: Sequence[Reported]) -> list[str]:
    """Return a line for each method, model and radius of which papers report different accuracies under attack."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for each in reported:
        if each.robust is not None:
            found.setdefault((each.method, each.model, each.eps), []).append(each.robust)
    return [
        f"{method} {model} at {eps} is reported {len(values)} times, between {min(values):g} and {max(values):g}."
        for (method, model, eps), values in found.items()
        if len(values) > 1 and min(values) < max(values)
    ]


def published_values(reported: Sequence[Reported]) -> list[dict[str, Any]]:
    """Return what papers report as plain values."""
    return [each.model_dump(mode="json") for each in reported]


def _measured(suite: Suite, each: Reported, rows: Sequence[Standing]) -> tuple[str, str]:
    """Return the averages of the first method here that is the same, clean and under the suite's first such attack."""
    for row in rows:
        tuner, model = row.method.tuner.partition(":")[0], row.method.model
        if tuner not in each.tuners or not {model, model.partition(":")[0]} & set(each.models):
            continue
        first = next((attack.name for attack in suite.attacks if f"eps={each.eps}" in attack.attack), None)
        named = each.measure or first
        return _averaged(suite, row, CLEAN), NOTHING if named is None else _averaged(suite, row, named)
    return NOTHING, NOTHING


def _averaged(suite: Suite, row: Standing, attack: str) -> str:
    found = group_averages(suite, row, attack)[0]
    if found.mean is None:
        return NOTHING
    return f"{found.mean.percent:.1f}" + ("" if found.complete else f" over {found.measured_sets} of {found.of} sets")


def _text(percent: float | None) -> str:
    return NOTHING if percent is None else f"{percent:g}"
