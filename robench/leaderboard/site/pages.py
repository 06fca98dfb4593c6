"""All files of the page by name, each made when it is asked for; written to a folder or served, they are the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.resources import files as packaged
from pathlib import Path
from typing import Any

from robench.errors import DataError
from robench.leaderboard.site.detail import detail
from robench.leaderboard.site.overview import overview
from robench.leaderboard.tables import Table
from robench.present.harmless import script
from robench.records.record import RunResult
from robench.records.samples import read_samples, samples_path

GENERATOR = "robench leaderboard"
"""The generator that the page names; it marks a folder as one that robench wrote."""
STYLES = ("assets/page.css",)
SCRIPTS = (
    "vendor/chart.umd.min.js",
    "assets/dom.js",
    "assets/state.js",
    "assets/filters.js",
    "assets/columns.js",
    "assets/table.js",
    "assets/export.js",
    "assets/labels.js",
    "assets/plots.js",
    "assets/curves.js",
    "assets/matrix.js",
    "assets/views.js",
    "assets/detail.js",
    "assets/page.js",
)
LIVE = "assets/live.js"
BESIDE = ("vendor/LICENSE-chart.js",)


@dataclass(frozen=True, kw_only=True)
class Pages:
    """All files of a page.

    Attributes:
        index: The page itself.
        folder: The folder of scripts and data, ``assets/`` and a hash of their content, so that an open page never
            mixes two versions.
        files: By the path of each file in `folder`, a function that makes it.
        records: By the path of each record to download, a function that reads it.
    """

    index: bytes
    folder: str
    files: dict[str, Callable[[], bytes]]
    records: dict[str, Callable[[], bytes]]


def pages(
    results: Path,
    tables: Sequence[Table],
    records: Sequence[RunResult],
    *,
    live: bool = False,
    reference: RunResult | None = None,
) -> Pages:
    """Return the page of the runs in `tables`.

    Args:
        results: The folder of records.
        tables: As :func:`robench.leaderboard.tables.leaderboard` ranks them.
        records: At least the records of the tables.
        live: Whether the page asks its server for new records.
        reference: The run that errors on corrupted images are divided by, if any.
    """
    by_id = {record.run_id: record for record in records}
    shown = {run.run_id: by_id[run.run_id] for table in tables for row in table.rows for run in row.runs}
    content = overview(tables, shown, reference)
    if not tables:
        content["results"] = str(results)
    ours = packaged("robench.leaderboard.site")
    names = (*STYLES, *SCRIPTS, *BESIDE, *([LIVE] if live else []))
    static = {name: ours.joinpath(name).read_bytes() for name in names}
    folder = f"assets/{_digest(content, static, results, shown)}"
    made: dict[str, Callable[[], bytes]] = {f"{folder}/{Path(k).name}": partial(bytes, v) for k, v in static.items()}
    made[f"{folder}/board.js"] = partial(_script, "show", {**content, "folder": folder})
    made |= {f"{folder}/runs/{run_id}.js": partial(_run, results, record) for run_id, record in shown.items()}
    return Pages(
        index=_index(folder, live),
        folder=folder,
        files=made,
        records={f"records/{run_id}.json": partial(_record, results, record) for run_id, record in shown.items()},
    )


def _index(folder: str, live: bool) -> bytes:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("robench.leaderboard.site", "."), autoescape=True)
    scripts = [*SCRIPTS, *([LIVE] if live else []), "board.js"]
    return (
        environment.get_template("index.html.j2")
        .render(
            generator=GENERATOR,
            version=version("robench"),
            date=_date(datetime.now(UTC)),
            styles=[f"{folder}/{Path(name).name}" for name in STYLES],
            scripts=[f"{folder}/{Path(name).name}" for name in scripts],
            live=live,
        )
        .encode()
    )


def _date(day: datetime) -> str:
    return f"{day.day} {day:%B %Y}"


def _digest(content: Any, static: dict[str, bytes], results: Path, shown: dict[str, RunResult]) -> str:
    """Return a hash of everything the files are made from; sample images, which are large, count by their date."""
    found = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, data in static.items():
        found.update(name.encode() + data)
    for run_id, record in shown.items():
        samples = samples_path(results, run_id)
        dated = f"{samples.stat().st_mtime_ns}" if samples.exists() else ""
        found.update(f"{record.model_dump_json()}{dated}".encode())
    return found.hexdigest()[:12]


def _record(results: Path, record: RunResult) -> bytes:
    """Return the file of a record, or the record as it was read if its name leads elsewhere by now."""
    path = results / f"{record.run_id}.json"
    try:
        if path.resolve(strict=True).parent == results.resolve() and path.is_file():
            with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
                return file.read()
    except (OSError, RuntimeError):  # a link to itself
        pass
    return f"{record.model_dump_json(indent=1)}\n".encode()


def _run(results: Path, record: RunResult) -> bytes:
    path = samples_path(results, record.run_id)
    if not path.exists():
        return _script("opened", detail(record, "No sample images of this run are kept beside its record."))
    from robench.leaderboard.site.gallery import gallery

    try:
        return _script("opened", detail(record, gallery(record, read_samples(path, record))))
    except DataError as error:
        return _script("opened", detail(record, str(error)))


def _script(function: str, content: Any) -> bytes:
    """Return a script that calls a function of the page; a page opened from disk may load scripts, but not JSON."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return f"robench.{function}({script(text)});\n".encode()
