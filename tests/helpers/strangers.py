"""Records as strangers might write them: every place of a record with every hostile value, before every reader."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robench.cli import main
from robench.records.spec import RunSpec

Place = tuple[str | int, ...]
ESCAPES = "x\x1b]0;owned\x07\x1b[2J\x1b]52;c;cHduZWQ=\x07\x9b31m\r"
HOSTILE: dict[str, Any] = {
    "markup": "[/foo][bold]x[/b]",
    "open markup": "[link=http://e]x",
    "escapes": ESCAPES,
    "direction": "a\u202eb\u2066c\u200bd\u2028e",
    "formula": '=HYPERLINK("http://e")',
    "another formula": "@SUM(1)|x",
    "table": "a|b\n<img src=x onerror=alert(1)> [c](http://e) `d`",
    "latex": r"\input{/etc/passwd} $x_{y}^{z$ % # & ~",
    "quotes": "\"';</script><b>",
    "a number as text": "1e999999999",
    "long": "x" * 300_000,
    "empty": "",
    "spaces": " \t ",
    "huge": 10**30,
    "large": 2**40,
    "63 bits": 2**63,
    "negative": -1,
    "zero": 0,
    "one": 1,
    "fraction": 0.5,
    "large float": 1e308,
    "nan": float("nan"),
    "infinity": float("inf"),
    "true": True,
    "null": None,
    "list": [],
    "dict": {},
    "list of dict": [{}],
    "deep": json.loads("[" * 150 + "]" * 150),
}
"""What a place of a record is replaced by, by name."""

READERS: dict[str, tuple[str, ...]] = {
    "table": ("leaderboard", "--runs"),
    "methods": ("leaderboard",),
    "latex": ("leaderboard", "--format", "latex"),
    "markdown": ("leaderboard", "--format", "markdown", "--classes"),
    "csv": ("leaderboard", "--format", "csv"),
    "json": ("leaderboard", "--json"),
    "html": ("leaderboard", "--format", "html", "--output", "{there}/site"),
    "show": ("show", "{bad}"),
    "show json": ("show", "{bad}", "--json"),
    "compare": ("compare", "{good}", "{bad}"),
    "compare json": ("compare", "{good}", "{bad}", "--json"),
    "verify": ("verify",),
    "merge": ("merge", "{results}"),
    "report": ("report", "{good}", "{bad}", "--output", "{there}/report", "--format", "markdown"),
    "figures": ("show", "{bad}", "--output", "{there}/figures"),
}
"""The commands that read records."""
SLOW = ("html", "report", "figures")
LISTS_ALL = ("table", "markdown", "csv", "json")
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def places(content: Any, here: Place = ()) -> Iterator[Place]:
    """Yield every place in nested lists and dicts; of a list of figures only the first two."""
    if here:
        yield here
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places(value, (*here, key))
    elif isinstance(content, list):
        for number, value in enumerate(content[:2]):
            yield from places(value, (*here, number))


def changed(record: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """Return a copy of a record with `value` at `place`, under the run ID that its spec has then, if it has one."""
    made = copy.deepcopy(record)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    if place[0] == "spec" and place[-1] == "label":
        _relabel(made, place, value)
    if place[0] == "spec":
        with contextlib.suppress(Exception):
            made["run_id"] = RunSpec.model_validate(made["spec"]).run_id()
    return made


def _relabel(made: dict[str, Any], place: Place, value: Any) -> None:
    """Give the score of an attack the label of the attack, so that the record does not contradict itself."""
    if len(place) == 4 and place[1] == "attacks" and isinstance(number := place[2], int):
        before = made["attacks"][number]["label"]
        made["attacks"][number]["label"] = value
        for worst in made["worst_case"]:
            worst["attacks"] = [value if each == before else each for each in worst["attacks"]]


def fault(folder: Path, good: dict[str, Any], bad: dict[str, Any], reader: str) -> str | None:
    """Return what a reader did wrong with a folder of a good and a bad record; None if it did right."""
    shutil.rmtree(folder, ignore_errors=True)
    results = folder / "results"
    results.mkdir(parents=True)
    name = bad["run_id"] if re.fullmatch(r"[0-9a-f]{12}(-\d{1,9})?", str(bad["run_id"]), re.ASCII) else "0" * 12
    (results / f"{name}.json").write_text(json.dumps(bad))
    (results / f"{good['run_id']}.json").write_text(json.dumps(good))
    words = [word.format(good=good["run_id"], bad=name, there=folder, results=results) for word in READERS[reader]]
    where = folder / "mine" if reader == "merge" else results
    words += ["--results", str(where)]
    words += ["--cache-dir", str(folder / "cache")] if words[0] in ("leaderboard", "verify") else []
    code, out, err = run(words)
    if code not in (0, 1, 2):
        return f"exit {code}: {err[-300:]}"
    if "unexpected" in err or "Traceback" in err:
        return err[-300:]
    if found := HIDDEN.search(out + err):
        return f"{found[0]!r} was printed"
    if reader in LISTS_ALL and (code or good["run_id"] not in out):
        return f"exit {code}: the good record is not shown: {err[-300:]}"
    if "--json" in words and not code:
        json.loads(out.partition("\n{")[0] if reader == "show json" else out, parse_constant=_no_constant)
    if reader == "csv" and re.search(r'(^|,)"?[=@]', out, re.MULTILINE):
        return "a cell of CSV is a formula"
    if reader == "markdown" and ("<img" in out or "](http" in out):
        return "Markdown has HTML or a link"
    if reader == "verify" and code not in (0, 1):
        return f"exit {code}: {err[-300:]}"
    return None


def run(words: list[str]) -> tuple[int, str, str]:
    """Return the exit code and what robench printed on standard output and standard error."""
    out, err = io.StringIO(newline=""), io.StringIO(newline="")
    code: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as end:
            code = end.code or 0
    return int(code), out.getvalue(), err.getvalue()


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
