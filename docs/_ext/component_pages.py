"""Write a page for every component that robench ships, from what ``robench describe`` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from robench.cli.components import PLURALS
from robench.contracts.types import Component
from robench.registry.describe import Description, describe
from robench.registry.discovery import GROUP
from robench.registry.registry import Registry, discover
from sphinx.application import Sphinx

FOLDER = "generated"
LEADS = {
    "datasets": "Given as `--dataset NAME`.",
    "models": "Given as `--model NAME`, or as the surrogate of an attack, `ATTACK-MODEL`.",
    "tuners": "Given as `--tuner NAME`. Any `ADAPTATION+OBJECTIVE` is a tuner too.",
    "adaptations": "One half of a tuner, what may change: `--tuner ADAPTATION+OBJECTIVE`.",
    "objectives": "The other half of a tuner, what is optimised: `--tuner ADAPTATION+OBJECTIVE`.",
    "corruptions": "Given as `--corruption NAME`. It scores the tuned network on corrupted images.",
    "defences": "Given as `--defence NAME`. A defence answers in place of the tuned network.",
    "constraints": "Named by attacks as their `norm`. A constraint says what an attack may change, and how much.",
    "attacks": "Given as `--attack NAME`, repeatable; `NAME-MODEL` takes gradients from a surrogate.",
    "loggers": "Given as `--log NAME`, repeatable. A logger listens to a run and shows it elsewhere.",
}


def shipped() -> Registry:
    """Return the components that come with robench, and no others that are installed."""
    return discover(entry_points(group=GROUP, name="builtin"))


def write_pages(app: Sphinx) -> None:
    """Write pages that are missing or outdated, and remove those of components that no longer exist."""
    folder, registry = Path(app.srcdir) / FOLDER, shipped()
    pages = {folder / name: text for name, text in all_pages(registry)}
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in {path for plural in PLURALS for path in (folder / plural).glob("*.md")} - pages.keys():
        path.unlink()


def all_pages(registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield a list for every kind and a page for every component, each as a path and Markdown."""
    for plural, kind in PLURALS.items():
        components = [component for _, component in registry.components(kind)]
        yield f"{plural}/index.md", kind_page(plural, components)
        for component in components:
            yield f"{plural}/{component.name}.md", component_page(component, describe(registry, kind, component.name))


def kind_page(plural: str, components: list[Component]) -> str:
    """Return a list of components with one line on each."""
    rows = [f"| [{shown_name(each)}]({each.name}.md) | {cell(each.summary)} |" for each in components]
    tree = ["```{toctree}", ":hidden:", "", *(each.name for each in components), "```"]
    head = [f"# {plural.capitalize()}", "", LEADS[plural], "", "| name | what it is |", "|---|---|"]
    return "\n".join([*head, *rows, "", *tree, ""])


def component_page(component: Component, described: Description) -> str:
    """Return a component's page: what it is, how to type it, its parameters and its source."""
    lines = [f"# {shown_name(component)}", "", f"{sentence(component.summary)}", ""]
    lines += ["```sh", described.example, "```", ""]
    # Docstrings are reStructuredText.
    lines += ["```{eval-rst}", *described.documentation.splitlines(), "```", ""]
    lines += ["## Parameters", ""]
    if described.parameters:
        lines += ["| name | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{each.name}` | {cell(each.type)} | `{cell(each.default)}` | {cell(each.description)} |"
            for each in described.parameters
        ]
    else:
        lines.append("None.")
    lines += ["", *recommended(component), "## Reference", ""]
    lines += [f"{sentence(described.reference)}\n"] if described.reference else []
    lines.append(f"Code: `{described.target}`.")
    lines += [f"\nFetched on first use: {', '.join(f'`{each}`' for each in component.downloads)}."] * bool(
        component.downloads
    )
    return "\n".join([*lines, ""])


def recommended(component: Component) -> list[str]:
    """Return the settings that the component recommends; they hold unless the user types others."""
    if not component.recommends:
        return []
    chosen = "" if component.kind == "dataset" else "; chosen on validation images"
    lines = ["## What it recommends", "", f"Used unless you type something else{chosen}.", ""]
    for key, value in component.recommends.items():
        settings = ",".join(f"{name}={each}" for name, each in value.items()) if isinstance(value, Mapping) else value
        lines.append(f"- {key}: `{settings}`")
    return [*lines, ""]


def shown_name(component: Component) -> str:
    """Return the name that ``robench list`` shows."""
    return component.name + ("-NAME" if component.family else "")


def sentence(text: str) -> str:
    """Return `text` with a capital letter and a full stop."""
    return text[0].upper() + text[1:].rstrip(".") + "."


def cell(text: str) -> str:
    """Return `text` escaped for a table."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for documents."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
