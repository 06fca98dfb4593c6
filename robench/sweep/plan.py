"""Read the definition of a sweep, a TOML file, and plan every run before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from robench.errors import RobenchError, SpecError, nearest
from robench.records.record import RunResult
from robench.registry.registry import Registry
from robench.run.plan import Plan, Request, plan
from robench.suite.definition import Suite
from robench.suite.parts import missing_sets, parts_of
from robench.suite.places import Places, read_places
from robench.suite.reading import read_toml
from robench.suite.shelf import find_suite

Percent = Annotated[float, Field(ge=0, le=100)]

OF_THE_COMMAND = {
    name: f"--{name.replace('_', '-')}"
    for name in ("checks", "compile", "device", "log", "plugin", "results", "cache_dir", "quiet")
} | {"save_adapter": "--save-adapters"}
"""Options of ``robench run`` that a file has not, because they do not decide figures, and the sweep's own for them."""
MOST_RUNS = 10_000
"""Most runs of a sweep; rows times seeds of a small file may be millions."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(_Part):
    """What a study reports for a row, in percent."""

    clean: Percent | None = None
    adversarial: Percent | None = None


class Choice(_Part):
    """How one of several settings is chosen: by accuracy on validation images, of `datasets` of a suite or of all."""

    datasets: tuple[str, ...] = ()
    attacks: tuple[str, ...] = Field(min_length=1)
    test_size: Annotated[int, Field(ge=1)] | Literal["all"] = 500
    seed: Annotated[int, Field(ge=0)] = 0
    by: Literal["mean", "clean", "attacked"] = "mean"


class _File(_Part):
    title: str = Field(pattern=r"^[^\n]+$")
    note: str = ""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    data: tuple[str, ...] = ()
    choose: Choice | None = None
    common: dict[str, Any] = {}
    rows: tuple[dict[str, Any], ...] = Field(min_length=1)


_HINTS = get_type_hints(Request)
_SETTINGS: dict[str, Any] = {
    field.name: (_HINTS[field.name], None if field.default is MISSING else field.default)
    for field in fields(Request)
    if field.name != "seed"  # given by the file's seeds
}
_Settings = create_model("_Settings", __base__=_Part, **_SETTINGS)
_LISTS: dict[str, Any] = {
    name: (Annotated[tuple[kind, ...], Field(min_length=1)], None)  # type: ignore[valid-type]
    for name, (kind, _) in _SETTINGS.items()
}
_Candidates = create_model("_Candidates", __base__=_Part, **_LISTS)
_Row = create_model(
    "_Row",
    __base__=_Settings,
    name=(str, Field(min_length=1)),
    published=(Published, Published()),
    choose=(_Candidates, None),
)
_PARTS: Mapping[int | str, Iterable[str]] = {
    "published": Published.model_fields,
    "choose": (*Choice.model_fields, *_SETTINGS),
}
"""The keys of parts within a file or a row."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a comparison: its name, the settings of its runs, and what a study reports for it.

    Attributes:
        candidates: Settings of which one is chosen on validation images; none if nothing is to be chosen.
        over: What wins over the settings and over what a suite says.
        only: The data sets of its suite that count; all if empty.
        chosen: The candidate that was chosen, in words, and among how many; empty if nothing was.
    """

    name: str
    settings: Mapping[str, Any]
    published: Published
    candidates: tuple[Mapping[str, Any], ...] = ()
    over: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    chosen: str = ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A definition; every row is run with every seed.

    Attributes:
        suites: The suites that rows name, by that name.
        places: Where the data sets of suites lie.
        choice: How one of the candidates of a row is chosen; None if no row has any.
    """

    path: Path
    title: str
    note: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    choice: Choice | None = None
    suites: Mapping[str, Suite] = field(default_factory=dict)
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a sweep: a row with a seed, on a suite one of several."""

    row: str
    request: Request
    plan: Plan

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.request.seed

    @property
    def run_id(self) -> str:
        """The ID of the run, by which its record is found."""
        return self.plan.spec.run_id()


def read_sweep(path: Path) -> Sweep:
    """Read a definition.

    Raises:
        SpecError: The file does not exist, is not TOML, or has an unknown key or a wrong value; named with its row.
    """
    content = read_toml(path, "sweep", "a file such as benchmarks/*.toml")
    file = _read(_File, content, str(path))
    common = _read(_Settings, file.common, f"{path}: common").model_dump(exclude_unset=True)
    rows = []
    for number, values in enumerate(file.rows, start=1):
        read = _read(_Row, values, f"{path}: row {values.get('name', number)!r}")
        own = read.model_dump(exclude_unset=True, exclude={"name", "published", "choose"})
        name, published, given = read.name, read.published, read.choose  # type: ignore[attr-defined]  # made at run time
        lists = {} if given is None else given.model_dump(exclude_unset=True)
        candidates = tuple(dict(zip(lists, each, strict=True)) for each in product(*lists.values())) if lists else ()
        rows.append(Row(name=name, settings={**common, **own}, published=published, candidates=candidates))
    if (runs := len(rows) * len(file.seeds)) > MOST_RUNS:
        raise SpecError(f"{path} asks for {runs:,} runs; expected at most {MOST_RUNS:,}: divide it into several files")
    _refuse_repeats(path, "row name", [row.name for row in rows])
    _refuse_repeats(path, "seed", file.seeds)
    _refuse_unfair(path, rows, file.choose)
    return Sweep(
        path=path,
        title=file.title,
        note=file.note,
        seeds=file.seeds,
        rows=tuple(rows),
        choice=file.choose,
        places=read_places(file.data),
    )


def plan_sweep(registry: Registry, sweep: Sweep) -> list[Job]:
    """Plan every run, seed by seed, so that an unfinished sweep has all rows for some of the seeds.

    Raises:
        SpecError: A row cannot be planned, or two rows are the same run.
    """
    jobs: dict[str, Job] = {}
    runs = {row.name: _runs(registry, sweep, row) for row in sweep.rows}
    for seed in sweep.seeds:
        for row in sweep.rows:
            for settings in runs[row.name]:
                request = Request(**settings, seed=seed)
                with _named(sweep, row):
                    job = Job(row=row.name, request=request, plan=plan(registry, request))
                if (twin := jobs.setdefault(job.run_id, job)) is not job:
                    where = f"{sweep.path}: row {row.name!r}"
                    raise SpecError(f"{where} is the same run as row {twin.row!r}; leave one of them out")
    return list(jobs.values())


def _runs(registry: Registry, sweep: Sweep, row: Row) -> list[Mapping[str, Any]]:
    """Return the settings of the runs of a row with one seed: one, or those that its suite asks for."""
    if row.settings.get("suite") is None:
        if row.only:
            raise SpecError(f"{sweep.path}: [choose] names datasets of a suite, and row {row.name!r} is on none")
        return [{**row.settings, **row.over}]
    with _named(sweep, row):
        name = row.settings["suite"]
        whole = sweep.suites.get(name) or find_suite(registry, name).suite
        suite = whole.reduced(None, row.only)
        own = {key: value for key, value in row.settings.items() if key != "suite"}
        missing = missing_sets(registry, suite, sweep.places)
        return [{**part.settings, **row.over} for part in parts_of(registry, suite, own, sweep.places, missing)]


@contextmanager
def _named(sweep: Sweep, row: Row) -> Iterator[None]:
    """Name the file and the row in an error."""
    try:
        yield
    except RobenchError as error:
        raise SpecError(f"{sweep.path}: row {row.name!r}: {error}") from error


def latest_completed(records: Iterable[RunResult]) -> dict[str, RunResult]:
    """Return the latest completed record of each run, by the hash of the spec."""
    oldest_first = sorted(records, key=lambda record: record.provenance.started)
    return {record.spec.run_id(): record for record in oldest_first if record.status == "completed"}


_Model = TypeVar("_Model", bound=BaseModel)


def _read(model: type[_Model], values: Mapping[str, Any], where: str) -> _Model:
    for key in values:
        if key in OF_THE_COMMAND:
            raise SpecError(
                f"{where}: {key!r} does not decide figures; expected {OF_THE_COMMAND[key]} on the command line"
            )
        if key not in model.model_fields:
            raise SpecError(f"{where}: unknown key {key!r}{nearest(key, model.model_fields)}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SpecError(
                f"{where}: unknown key {key!r}{nearest(str(first['loc'][-1]), _PARTS[first['loc'][0]])}"
            ) from None
        got = "" if first["type"] == "missing" else f" (got {first['input']!r})"
        raise SpecError(f"{where}: {key}: {first['msg']}{got}") from None


def _refuse_unfair(path: Path, rows: Iterable[Row], choice: Choice | None) -> None:
    """Refuse candidates that nothing says how to choose from, and rows of which some have more than others."""
    counts = {row.name: len(row.candidates) for row in rows if row.candidates}
    if not counts:
        return
    name, most = next(iter(counts.items()))
    if choice is None:
        raise SpecError(f"{path}: row {name!r} has candidates; expected a part [choose] with attacks = [...]")
    if other := next((each for each, count in counts.items() if count != most), None):
        raise SpecError(
            f"{path}: row {name!r} chooses among {most}, row {other!r} among {counts[other]}; "
            "give every row the same number, or the comparison favours one"
        )


def _refuse_repeats(path: Path, what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise SpecError(f"{path}: {what} {value!r} is given twice; leave one out")
        seen.add(value)
