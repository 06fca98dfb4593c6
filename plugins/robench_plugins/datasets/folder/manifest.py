"""Read a table of photographs: a CSV, JSON or JSON lines file with columns for file, label and split."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robench import DataError

from robench_plugins.datasets.folder.listing import Listing, part_named
from robench_plugins.datasets.readers.folders import files_below, is_named_as_image, note
from robench_plugins.datasets.readers.texts import read_json, read_text

COLUMNS = {
    "file": ("file", "file_name", "filename", "file_path", "filepath", "path", "image", "image_path", "image_file"),
    "label": ("label", "class", "class_name", "classname", "category", "target"),
    "split": ("split", "part", "set", "subset", "partition"),
}
"""What columns may be called, in the order in which they are looked for."""
MOST_COLUMNS = 1000
WHAT = "a table with the columns file, label and, if it is divided, split, as .csv, .tsv, .json or .jsonl"


def list_manifest(path: Path, root: Path) -> Listing:
    """Return the photographs that the table at `path` names, below `root`.

    Raises:
        DataError: The table cannot be read, lacks a column, names one file with two labels, a part that is none, or
            files outside of `root`.
    """
    rows = _rows(path)
    if not rows:
        raise DataError(f"{path} has no rows; expected {WHAT}")
    columns, notes = _columns(path, rows)
    found: dict[Path, tuple[str, str]] = {}
    missing: list[Path] = []
    unlabelled = repeated = 0
    for number, row in enumerate(rows, 1):
        file = _file(path, root, number, row.get(columns["file"]))
        label = _text(path, number, columns["label"], row.get(columns["label"]))
        if not label:
            unlabelled += 1
            continue
        part = ""
        if "split" in columns:
            said = _text(path, number, columns["split"], row.get(columns["split"]))
            part = part_named(said) or ""
            if not part:
                raise DataError(f"{path}, row {number}: split {said!r}; expected train, validation or test")
        if file in found:
            if found[file] != (label, part):
                before = " ".join(found[file]).strip()
                raise DataError(f"{path}, row {number}: {file.name} is {label} {part} here and {before} above")
            repeated += 1
        elif file.is_file():
            found[file] = (label, part)
        else:
            missing.append(file)
    if not found:
        lacking = (
            f"{missing[0]} is no file; pass path=DIR, the folder of all files" if missing else "no row has a label"
        )
        raise DataError(f"{path}: {lacking}")
    others = [file for file in files_below(root)[0] if is_named_as_image(file) and file not in found]
    notes += [f"{unlabelled} rows without a label left out"] if unlabelled else []
    notes += [f"{repeated} repeated rows left out"] if repeated else []
    notes += note("files of the manifest are missing", missing, root)
    notes += note("files that are not in the manifest left out", others, root)
    return Listing(
        files=tuple(found),
        keys=tuple(label for label, _ in found.values()),
        parts=tuple(part for _, part in found.values()),
        notes=tuple(notes),
        loose=True,
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    kind = path.suffix.lower()
    if kind == ".json":
        content = read_json(path, WHAT)
        if isinstance(content, dict) and not any(isinstance(value, dict | list) for value in content.values()):
            content = [{"file": file, "label": label} for file, label in content.items()]
    elif kind in (".jsonl", ".ndjson"):
        content = []
        for number, line in enumerate(read_text(path, WHAT).splitlines(), 1):
            try:
                content += [json.loads(line)] if line.strip() else []
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is no JSON: {error}") from None
    elif kind in (".csv", ".tsv", ".txt"):
        lines = read_text(path, WHAT).splitlines()
        head = lines[0] if lines else ""
        if (columns := 1 + max(head.count(mark) for mark in "\t,;")) > MOST_COLUMNS:
            raise DataError(f"{path} has {columns:,} columns; expected at most {MOST_COLUMNS:,}: {WHAT}")
        try:
            content = list(csv.DictReader(lines, delimiter=max("\t,;", key=head.count), restval=""))
        except csv.Error as error:
            raise DataError(f"{path} cannot be read: {error}; expected {WHAT}") from None
        if wide := next((number for number, row in enumerate(content, 1) if None in row), None):
            raise DataError(f"{path}, row {wide} has more values than there are columns; quote values with commas")
    else:
        raise DataError(f"{path} is no table that robench reads; expected {WHAT}")
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise DataError(f"{path} is no list of rows; expected {WHAT}")
    return content


def _columns(path: Path, rows: Sequence[dict[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """Return which column has the file, the label and the split, and notes on other columns that could have it."""
    there = list(dict.fromkeys(key for row in rows for key in row))
    plain = {column.strip().lower().replace(" ", "_").replace("-", "_"): column for column in reversed(there)}
    columns, notes = {}, []
    for role, names in COLUMNS.items():
        known = [plain[name] for name in names if name in plain]
        if known:
            columns[role] = known[0]
            notes += [f"{path.name}: {role} from column {known[0]}, not {', '.join(known[1:])}"] if known[1:] else []
        elif role != "split":
            raise DataError(
                f"{path} has no column for the {role} (columns: {', '.join(map(str, there))}); call it {names[0]}"
            )
    return columns, notes


def _file(path: Path, root: Path, number: int, value: Any) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise DataError(f"{path}, row {number}: {value!r} is no file name")
    file, top = (
        Path(os.path.normpath(root.absolute() / value.strip().replace("\\", "/"))),
        os.path.normpath(root.absolute()),
    )
    if not file.is_relative_to(top):
        raise DataError(f"{path}, row {number}: {value} is not below {root}; pass path=DIR, the folder of all files")
    return root / file.relative_to(top)


def _text(path: Path, number: int, column: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | float | list | dict):
        raise DataError(f"{path}, row {number}: {column} is {value!r}; expected one name or whole number")
    return str(value).strip()
