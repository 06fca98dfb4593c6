"""The public names are what plugins rest on: a change to them is a decision, made in tests/public_api.txt."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import robench
from pydantic import BaseModel

SNAPSHOT = Path(__file__).parent / "public_api.txt"


def described() -> Iterator[str]:
    """Yield a line for each public name, and for each public member of the classes that are robench's own."""
    for name in robench.__all__:
        value = getattr(robench, name)
        if not isinstance(value, type):
            ours = inspect.isfunction(value) and value.__module__.startswith("robench")
            yield f"{name}{_signature(value) if ours else ''}"
            continue
        bases = ", ".join(base.__name__ for base in value.__bases__)
        yield f"class {name}({bases})"
        if issubclass(value, BaseModel):
            for field, info in value.model_fields.items():
                yield f"  {name}.{field}{' (required)' if info.is_required() else ''}"
        elif not issubclass(value, Exception):
            yield f"  {name}{_signature(value)}"
        for member, found in vars(value).items():
            if not member.startswith(("_", "model_", "robench_")) and (callable(found) or isinstance(found, property)):
                yield f"  {name}.{member}{'' if isinstance(found, property) else _signature(found)}"


def _signature(value: object) -> str:
    try:
        parameters = inspect.signature(value).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    words = [
        stars.get(each.kind, "") + each.name + ("" if each.default is inspect.Parameter.empty else "=...")
        for each in parameters
    ]
    keyword = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if keyword:
        words.insert(len(words) - len(keyword), "*")
    return f"({', '.join(words)})"


def test_the_public_interface_is_the_one_that_was_decided() -> None:
    now = "\n".join(described()) + "\n"
    if os.environ.get("ROBENCH_DECIDE_API"):
        SNAPSHOT.write_text(now)
    assert now == SNAPSHOT.read_text(), (
        "the public interface changed. If that is meant: keep the old name working and warning (robench._RENAMED), say "
        "it in CHANGELOG.md, and run this test once with ROBENCH_DECIDE_API=1"
    )


def test_every_public_name_is_documented() -> None:
    undocumented = [name for name in robench.__all__ if name != "Field" and not inspect.getdoc(getattr(robench, name))]
    assert not undocumented


def test_a_name_that_changed_goes_on_to_work_and_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(robench._RENAMED, "Attack", ("Attacker", "0.3"))
    monkeypatch.setitem(robench._RENAMED, "Part", ("Component", "0.3"))
    with pytest.warns(DeprecationWarning, match=r"robench\.Attack is called robench\.Attacker now; .* version 0\.3"):
        assert robench.Attack is robench.Attacker
    with pytest.warns(DeprecationWarning, match="Component"):
        assert robench.Part is robench.Component
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = robench.Nothing


def test_importing_robench_imports_nothing_heavy() -> None:
    program = "import sys, robench; print([name for name in ('torch', 'pandas', 'pydantic') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
