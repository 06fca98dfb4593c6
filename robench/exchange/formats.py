"""Files of other harnesses: written from records as far as they map, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from robench.errors import DataError
from robench.evidence.verify import record_faults
from robench.exchange import clip_benchmark, robustbench
from robench.exchange.document import Document
from robench.exchange.published import Reference
from robench.records.record import RunResult
from robench.registry.registry import Registry

EXTENSION = "robench"
"""The one key that the formats do not have: the whole record, which their readers pass over."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format of another harness.

    Attributes:
        title: The harness.
        require: Raise DataError if a record is not of its kind.
        documents: Its files of a record, without the extension.
        figures: Keys that are measured, which nobody may edit; others are for people to fill in.
        recognises: Tell whether a file is of it.
        reference: What a file of its own says.
    """

    title: str
    require: Callable[[RunResult, Registry], None]
    documents: Callable[[RunResult], list[Document]]
    figures: tuple[str, ...]
    recognises: Callable[[Mapping[str, Any]], bool]
    reference: Callable[[Path, Mapping[str, Any]], Reference]


FORMATS = {
    "robustbench": Format(
        title="RobustBench",
        require=robustbench.require,
        documents=robustbench.documents,
        figures=robustbench.FIGURES,
        recognises=robustbench.recognises,
        reference=robustbench.reference,
    ),
    "clip-benchmark": Format(
        title="CLIP_benchmark",
        require=clip_benchmark.require,
        documents=clip_benchmark.documents,
        figures=clip_benchmark.FIGURES,
        recognises=clip_benchmark.recognises,
        reference=clip_benchmark.reference,
    ),
}


def export(record: RunResult, name: str, registry: Registry) -> list[Document]:
    """Return the files of a record in the format `name`, each with the record in its extension.

    Raises:
        DataError: The record did not complete, is not sound, scored validation images, or is not of the format's kind.
    """
    made = FORMATS[name]
    if record.status != "completed":
        raise DataError(f"run {record.run_id} is {record.status}; only completed runs have figures")
    if faults := record_faults(record):
        raise DataError(f"run {record.run_id}: {'; '.join(faults)}")
    if record.spec.split != "test":
        raise DataError(f"run {record.run_id} scored {record.spec.split} images; {made.title} means test images")
    made.require(record, registry)
    carried = {EXTENSION: record.model_dump(mode="json")}
    return [Document(name=each.name, content={**each.content, **carried}) for each in made.documents(record)]


def read_foreign(path: Path) -> RunResult | Reference:
    """Read a file of another harness: the record that it carries, or the figures that it reports.

    Raises:
        DataError: It is of neither format, or its figures are not those of the record it carries.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from None
    found = [each for each in FORMATS.values() if isinstance(content, dict) and each.recognises(content)]
    if not found:
        titles = " or ".join(each.title for each in FORMATS.values())
        raise DataError(f"{path}: not a file of {titles}: no 'clean_acc', and no 'task' with 'metrics'")
    if EXTENSION not in content:
        return found[0].reference(path, content)
    return _carried(path, content, found[0])


def _carried(path: Path, content: Mapping[str, Any], form: Format) -> RunResult:
    try:
        record = RunResult.model_validate_json(json.dumps(content[EXTENSION]))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise DataError(f"{path}: carries no valid record: {where}: {first['msg']}") from None
    if faults := record_faults(record):
        raise DataError(f"{path}: carries a record that is not sound: {'; '.join(faults)}")
    # One exported by hand from a failed run would have no figures to compare.
    known = form.documents(record) if record.status == "completed" else []
    if not any(all(each.content.get(key) == content.get(key) for key in form.figures) for each in known):
        raise DataError(f"{path}: its figures are not those of the record it carries")
    return record
