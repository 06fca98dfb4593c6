"""Document public names as users import them, ``robench.ImageSet``, wherever they are defined."""

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
    """Resolve ``robench.images.image_set.ImageSet``, or ``ImageSet``, to ``robench.ImageSet``."""
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
    """Leave out the signatures of models and errors, which say nothing, and make the others readable."""
    if isinstance(obj, type) and issubclass(obj, BaseModel | Exception):
        return "", None
    # Sphinx formats a signature well only if it is valid Python.
    return MADE.sub("...", signature or ""), returned


def as_typed(app: Sphinx, context: Any, lines: list[str]) -> None:
    """Show the help of commands as the terminal does: asterisks as they are, and defaults as one types them."""
    lines[:] = [DEFAULT.sub(r"``\1``", line.replace("*", r"\*")) for line in lines]


def dashes(app: Sphinx, tree: document) -> None:
    """Replace the hyphens that Sphinx writes between a name and its meaning by a dash; other hyphens stay."""
    for text in [each for each in tree.findall(Text) if each == " -- "]:
        text.parent.replace(text, Text(" \N{EN DASH} "))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the functions above to Sphinx."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", shorten)
    app.connect("doctree-read", dashes)
    for event in ("description", "usage", "options", "arguments", "envvars", "epilog"):
        app.connect(f"sphinx-click-process-{event}", as_typed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
