"""The facts of the sets that the field scores on, and a component for each of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from robench import Component


@cache
def facts() -> dict[str, dict[str, Any]]:
    """Return what ``named.json`` says of each set."""
    found: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("named.json").read_text(encoding="utf-8"))
    return found


def named_components() -> list[Component]:
    """Return every named set as a component."""
    return [
        Component(
            kind="dataset",
            name=name,
            target="robench_plugins.datasets.named:Named",
            summary=f"{each['title']}, {len(each['classes'])} classes, {each['test']:,} test images"
            + (f" ({', '.join(each['protocols'])})" if each["protocols"] else ""),
            reference=f"{each['paper']}; {each['site']}",
            defaults={"set": name, "size": each["size"] or "native"},
            downloads=(f"hf-dataset:{each['hub']}",) if each["hub"] else (),
        )
        for name, each in facts().items()
    ]
