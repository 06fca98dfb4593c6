"""Write and read files of other harnesses; the whole record travels in one extra key of each file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from robench.errors import DataError
from robench.evidence.verify import faults_of_stranger, record_faults
from robench.exchange import clip_benchmark, robustbench
from robench.exchange.document import Document
from robench.exchange.published import Reference
from robench.records.limits import MOST_BYTES
from robench.records.record import RunResult
from robench.records.store import first_fault
from robench.registry.registry import Registry
from robench.storage.plain_file import parse_json, read_plain

EXTENSION = "robench"
"""The extra key with the whole record; readers of the other harnesses ignore it."""


class Format(Protocol):
    """What a module about the files of another harness offers.

    Attributes:
        TITLE: The name of the harness.
        FIGURES: Keys with measured figures, which must not be edited; people may fill in the others.
    """

    TITLE: str
    FIGURES: tuple[str, ...]

    def require(self, record: RunResult, registry: Registry) -> None:
        """Raise DataError if the format has no place for such a record."""

    def documents(self, record: RunResult) -> list[Document]:
        """Return the files of a record, without the extra key."""
        ...

    def recognises(self, content: Mapping[str, Any]) -> bool:
        """Tell whether a file has this format."""
        ...

    def reference(self, path: Path, content: Mapping[str, Any]) -> Reference:
        """Return the figures of a file that the harness itself wrote."""
        ...


FORMATS: dict[str, Format] = {"robustbench": robustbench, "clip-benchmark": clip_benchmark}
"""The formats by what ``--format`` calls them."""


def export(record: RunResult, name: str, registry: Registry) -> list[Document]:
    """Return the files of a record in the format `name`, each with the whole record in it.

    Raises:
        DataError: The record did not complete, is not intact, scored validation images, or does not fit the format.
    """
    style = FORMATS[name]
    if record.status != "completed":
        raise DataError(f"run {record.run_id} is {record.status}; only completed runs can be exported")
    if faults := record_faults(record):
        raise DataError(f"run {record.run_id}: {'; '.join(faults)}")
    if record.spec.split != "test":
        raise DataError(f"run {record.run_id} scored {record.spec.split} images; {style.TITLE} expects test images")
    style.require(record, registry)
    carried = {EXTENSION: record.model_dump(mode="json")}
    return [Document(name=each.name, content={**each.content, **carried}) for each in style.documents(record)]


def read_foreign(path: Path) -> RunResult | Reference:
    """Read a file of another harness: the record it carries, or else the figures it reports.

    Raises:
        DataError: The format is unknown, or the figures are not those of the record it carries.
    """
    try:
        content = parse_json(read_plain(path, MOST_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from None
    found = [each for each in FORMATS.values() if isinstance(content, dict) and each.recognises(content)]
    if not found:
        titles = " or ".join(each.TITLE for each in FORMATS.values())
        raise DataError(f"{path}: not a file of {titles}; expected a key 'clean_acc', or the keys 'task' and 'metrics'")
    if EXTENSION not in content:
        return found[0].reference(path, content)
    try:
        record = RunResult.model_validate_json(json.dumps(content[EXTENSION]))
    except ValidationError as error:
        raise DataError(f"{path}: carries no valid record: {first_fault(error)}") from None
    if faults := faults_of_stranger(record):
        raise DataError(f"{path}: carries a record that is not intact: {'; '.join(faults)}")
    # A failed run that somebody exported by hand has no figures to compare.
    known = found[0].documents(record) if record.status == "completed" else []
    if not any(all(each.content.get(key) == content.get(key) for key in found[0].FIGURES) for each in known):
        raise DataError(f"{path}: its figures are not those of the record it carries")
    return record
