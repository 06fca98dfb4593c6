"""How Sphinx builds these pages: ``python -m sphinx -W --keep-going -b html docs docs/_build``, without a network."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "robench"
author = "the authors of robench"
version = release = version_of("robench")
html_title = f"robench {release}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "component_pages",
    "data_sets",
    "outside_links",
    "public_names",
    "short_sidebar",
]
exclude_patterns = ["_build", "_ext"]

myst_heading_anchors = 3
# Two hyphens are a flag, not a dash.
smartquotes = False
nitpicky = True
# Only our own names have pages here; those of torch, numpy and pydantic are elsewhere, and nothing is fetched.
nitpick_ignore_regex = [(r"py:.*", r"(?!robench\.).*")]
# An argument for tests of robench itself, and what robench alone hands on; plugins leave both out.
nitpick_ignore = [
    ("py:class", "robench.registry.registry.Registry"),
    ("py:class", "robench.storage.shared_folder.SharedFolder"),
]
# A type that is whatever the caller makes it.
nitpick_ignore += [("py:class", "robench.contracts.context.T")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["robench.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
