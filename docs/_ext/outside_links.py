"""Make links that leave docs/ work on the site: Markdown files of the repository become pages, others downloads."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FOLDER = "generated"
PAGES = {
    "benchmarks/README.md": f"{FOLDER}/comparisons",
    "plugins/robench_plugins/weights/clip-tiny/README.md": f"{FOLDER}/cards/clip-tiny",
    "plugins/robench_plugins/weights/clip-tiny-cifar10/README.md": f"{FOLDER}/cards/clip-tiny-cifar10",
    "plugins/robench_plugins/weights/clip-tiny-offline/README.md": f"{FOLDER}/cards/clip-tiny-offline",
    "plugins/robench_plugins/weights/resnet20-leaf-synth/README.md": f"{FOLDER}/cards/resnet20-leaf-synth",
    "CHANGELOG.md": f"{FOLDER}/changelog",
}
"""Markdown files outside docs/, and the page that each becomes."""
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def relink(text: str, home: Path, page: Path, docs: Path) -> str:
    """Return Markdown with relative links that are valid from `page`; they were written for the folder `home`."""

    def replace(found: re.Match[str]) -> str:
        target = (home / found[1]).resolve()
        inside = target.relative_to(docs.parent).as_posix() if target.is_relative_to(docs.parent) else ""
        if inside in PAGES:
            target = docs / f"{PAGES[inside]}.md"
        return f"]({os.path.relpath(target, page.parent)}{found[2] or ''})"

    return LINK.sub(replace, text)


def write_pages(app: Sphinx) -> None:
    """Copy the files that :data:`PAGES` names."""
    docs = Path(app.srcdir)
    for source, name in PAGES.items():
        original, page = docs.parent / source, docs / f"{name}.md"
        text = relink(original.read_text(encoding="utf-8"), original.parent, page, docs)
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")


def relink_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Correct the links of a page of docs/ while it is read."""
    if not docname.startswith(f"{FOLDER}/"):
        page = Path(app.env.doc2path(docname))
        source[0] = relink(source[0], page.parent, page, Path(app.srcdir))


def setup(app: Sphinx) -> dict[str, Any]:
    """Copy pages before Sphinx looks for documents, and correct links while it reads them."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", relink_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
