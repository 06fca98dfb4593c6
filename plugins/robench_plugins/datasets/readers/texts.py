"""Class names and prompts from files of the user."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robench import DataError

MOST_BYTES = 64_000_000
"""Largest file of names, prompts or rows."""
MOST_LETTERS = 10_000
"""Longest class name, template or prompt; a template repeats the name, so that two small files could make gigabytes."""
PLACES = ("{}", "{c}")
"""What stands for the class in a template; ``{c}`` is CLIP_benchmark's."""


def read_text(path: Path, what: str) -> str:
    """Return the content of a text file in UTF-8.

    Raises:
        DataError: It is missing, too large, or no text; `what` says what was expected.
    """
    try:
        if not path.is_file():
            raise DataError(f"no file {path}; expected {what}")
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} has more than {MOST_BYTES // 10**6} MB; expected {what}")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8; expected {what}") from None


def read_lines(path: Path, what: str) -> tuple[str, ...]:
    """Return the lines of a text file without the space around them; blank lines at the end are none.

    Raises:
        DataError: As for :func:`read_text`.
    """
    return tuple(line.strip() for line in read_text(path, what).rstrip().splitlines())


def read_json(path: Path, what: str) -> Any:
    """Return the content of a JSON file.

    Raises:
        DataError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_text(path, what))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}; expected {what}") from None


def read_class_names(path: Path, folders: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the class name of each of `folders`, in the order of the labels, and notes on names that are not used.

    A text file has a line for each class. ``n01440764 tench`` names the folder and the class. Names alone stand for
    folders of these names, or else for the folders in their order. A JSON file is a list of names, a map such as
    ``{"n01440764": "tench"}``, or ImageNet's ``{"0": ["n01440764", "tench"]}``.

    Args:
        folders: What the data call the classes, in order.

    Raises:
        DataError: The file does not name all of them, names two alike, or cannot be read.
    """
    what = "a class name on each line, or JSON such as {'n01440764': 'tench'}"
    if path.suffix.lower() == ".json":
        content = read_json(path, what)
        found = _from_map(path, content, what) if isinstance(content, dict) else None
        lines = content if isinstance(content, list) else []
    else:
        found, lines = None, [line.strip() for line in read_text(path, what).splitlines() if line.strip()]
    if not all(isinstance(line, str) and line.strip() for line in lines):
        raise DataError(f"{path} holds names that are no texts; expected {what}")
    if found is None:
        found = _from_lines(path, lines, folders)
    if long := next((name for name in found.values() if len(name) > MOST_LETTERS), None):
        raise DataError(f"{path} has a name of {len(long):,} letters; expected at most {MOST_LETTERS:,}")
    if lacking := [folder for folder in folders if folder not in found]:
        raise DataError(f"{path} has no name for {lacking[0]!r} ({len(lacking)} of {len(folders)} classes lack one)")
    names = {folder: found[folder] for folder in found if folder in set(folders)}
    if not lines or set(names) != set(lines):  # names in the order of the file are an order that the user chose
        names = {folder: found[folder] for folder in folders}
    owner: dict[str, str] = {}
    for folder, name in names.items():
        if name in owner:
            raise DataError(
                f"{path} calls {owner[name]!r} and {folder!r} both {name!r}; expected a name for each class"
            )
        owner[name] = folder
    unused = len(found) - len(names)
    return names, (f"{unused} names of {path.name} not used: the data have no such classes",) if unused else ()


def _from_map(path: Path, content: dict[str, Any], what: str) -> dict[str, str]:
    pairs = [value if isinstance(value, list) and len(value) == 2 else [key, value] for key, value in content.items()]
    if not all(isinstance(text, str) and text.strip() for pair in pairs for text in pair):
        raise DataError(f"{path} maps classes to what are no texts; expected {what}")
    return {folder: name.strip() for folder, name in pairs}


def _from_lines(path: Path, lines: Sequence[str], folders: Sequence[str]) -> dict[str, str]:
    if set(lines) == set(folders):
        return {line: line for line in lines}
    pairs = [parts for line in lines if len(parts := re.split(r"[\s,;]+", line, maxsplit=1)) == 2 and parts[1]]
    if set(folders) <= {folder for folder, _ in pairs}:
        return dict(pairs)
    if all(folder.isdecimal() for folder in folders) and len(lines) > max(map(int, folders)):
        return {str(number): line for number, line in enumerate(lines)} | {f: lines[int(f)] for f in folders}
    if len(lines) != len(folders):
        shown = ", ".join(folders[:3]) + (", ..." if len(folders) > 3 else "")
        raise DataError(f"{path} has {len(lines)} names; the data have {len(folders)} classes ({shown})")
    return dict(zip(folders, lines, strict=True))


def read_prompts(path: Path, names: Mapping[str, str]) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return the prompts of each class, and notes on those that are not used.

    A text file has a template on each line, such as ``a close-up photo of a {}, outdoors.``; all classes get all of
    them. A JSON file is a list of templates, or a map from a class to its prompt or prompts, in which ``{}`` is
    optional.

    Args:
        names: The class names by what the data call the classes, in the order of the labels; either is a key of the
            map.

    Raises:
        DataError: A class has no prompts, a template has no place for the class, or the file cannot be read.
    """
    what = "a template such as 'a photo of a {}.' on each line, or JSON with the prompts of each class"
    if path.suffix.lower() == ".json":
        content = read_json(path, what)
    else:
        content = [line.strip() for line in read_text(path, what).splitlines() if line.strip()]
    if isinstance(content, list):
        templates = _texts(path, content, "its templates", what)
        if without := next((text for text in templates if not any(place in text for place in PLACES)), None):
            raise DataError(
                f"{path}: {without!r} has no place for the class; expected one such as 'a photo of a {{}}.'"
            )
        places = sum(text.count(place) for text in templates for place in PLACES)
        letters = len(names) * sum(map(len, templates)) + places * sum(map(len, names.values()))
        if letters > MOST_BYTES:
            raise DataError(f"{path} makes prompts of {letters / 1e6:,.0f} million letters; expected at most 64")
        return tuple(tuple(_filled(text, name) for text in templates) for name in names.values()), ()
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}; expected {what}")
    found = []
    for key, name in names.items():
        own = content.get(name, content.get(key))
        if own is None:
            raise DataError(f"{path} has no prompts for {name!r}; it has {', '.join(list(content)[:5]) or 'none'}")
        texts = _texts(path, own if isinstance(own, list) else [own], f"the prompts of {name!r}", what)
        found.append(tuple(_filled(text, name) for text in texts))
    unused = [key for key in content if key not in names and key not in names.values()]
    note = f"prompts of {len(unused)} classes in {path.name} not used: {', '.join(unused[:3])}"
    return tuple(found), (note,) if unused else ()


def _texts(path: Path, texts: list[Any], whose: str, what: str) -> list[str]:
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise DataError(f"{path}: {whose} are not texts; expected {what}")
    if max(map(len, texts)) > MOST_LETTERS:
        raise DataError(f"{path}: one of {whose} has more than {MOST_LETTERS:,} letters")
    return texts


def _filled(template: str, name: str) -> str:
    """Put a class into a template; underscores of its name become spaces."""
    said = re.sub("[_ ]+", " ", name)
    if len(template) + len(said) * sum(map(template.count, PLACES)) > 10 * MOST_LETTERS:
        raise DataError(f"a prompt repeats {said[:40]!r} more than {10 * MOST_LETTERS // len(said):,} times")
    for place in PLACES:
        template = template.replace(place, said)
    return template
