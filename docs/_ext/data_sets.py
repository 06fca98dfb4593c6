"""Write the table of named sets from the facts that robench reads them by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from robench_plugins.datasets.catalogue import facts

PAGE = "generated/named-sets.txt"


def table() -> str:
    """Return the sets as a Markdown table."""
    lines = ["| name | set | classes | train / test images | size | from | licence | protocols |", "|" + "---|" * 8]
    for name, each in facts().items():
        where = f"`{each['hub']}`" if each["hub"] else f"[its site]({each['site']})"
        pixels = f"{each['size']} px" if each["size"] else "as published"
        split = "" if each["split"] == "test" else f" ({each['split']})"
        lines.append(
            f"| `{name}` | [{each['title']}]({each['site']}), {each['paper']} | {len(each['classes'])} | "
            f"{each['train']:,} / {each['test']:,}{split} | {pixels} | {where} | {each['licence']} | "
            f"{', '.join(each['protocols'])} |"
        )
    sources = sorted({each["names_from"] for each in facts().values()})
    return "\n".join([*lines, "", f"Class names and templates are from: {'; '.join(sources)}.", ""])


def write_table(app: Sphinx) -> None:
    """Write the table if it is missing or outdated."""
    path = Path(app.srcdir) / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != table():
        path.write_text(table(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the table before Sphinx looks for documents."""
    app.connect("builder-inited", write_table)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
