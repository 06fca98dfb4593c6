"""Public names are documented as users import them, ``robench.ImageSet``, wherever in the package they live."""

from __future__ import annotations

import re
from typing import Any

import robench
from docutils.nodes import Element, Text, document, reference
from pydantic import BaseModel
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

MADE = re.compile(r"<factory>|<function (?:<lambda>|[^<>])*>")
DEFAULT = re.compile(r"``(?:\w+Path\()?'(.*)'\)?``")


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element) -> reference | None:
    """Lead a reference to ``robench.images.image_set.ImageSet``, or to ``ImageSet``, to ``robench.ImageSet``."""
    head, _, tail = node.get("reftarget", "").rpartition(".")
    owner = head.rpartition(".")[2]
    name = f"{owner}.{tail}" if owner in robench.__all__ else tail
    if node.get("refdomain") != "py" or name.partition(".")[0] not in robench.__all__:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"robench.{name}", node, content)


def shorten(
    app: Sphinx, what: str, name: str, obj: object, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None]:
    """Leave out signatures that say nothing, of models and errors, and make the others readable."""
    if isinstance(obj, type) and issubclass(obj, BaseModel | Exception):
        return "", None
    # Sphinx sets a signature well only if it is Python.
    return MADE.sub("...", signature or ""), returned


def as_typed(app: Sphinx, context: Any, lines: list[str]) -> None:
    """Show the help of commands as the terminal does: an asterisk there is an asterisk, a default what one types."""
    lines[:] = [DEFAULT.sub(r"``\1``", line.replace("*", r"\*")) for line in lines]


def dashes(app: Sphinx, tree: document) -> None:
    """Make dashes of what Sphinx writes between a name and its meaning; other hyphens stay as they are typed."""
    for text in [each for each in tree.findall(Text) if each == " -- "]:
        text.parent.replace(text, Text(" \N{EN DASH} "))


def setup(app: Sphinx) -> dict[str, Any]:
    """Resolve names that autodoc writes by their homes."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", shorten)
    app.connect("doctree-read", dashes)
    for event in ("description", "usage", "options", "arguments", "envvars", "epilog"):
        app.connect(f"sphinx-click-process-{event}", as_typed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
