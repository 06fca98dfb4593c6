"""Show in the sidebar only the section that a page is in; whole, it has a line for each of 200 components."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def collapse(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Fold the branches of the table of contents that `page` is not in."""
    if whole := context.get("toctree"):
        context["toctree"] = lambda **options: whole(**{**options, "collapse": True})


def setup(app: Sphinx) -> dict[str, Any]:
    """Fold the sidebar before the theme draws it."""
    app.connect("html-page-context", collapse, priority=400)  # the theme draws at 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
