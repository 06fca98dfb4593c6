"""Citations for the page: robench and the papers of methods, as links and as BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
PAPER = re.compile(r"(?P<authors>.+? et al\.|[^,]+?), (?P<title>.+), (?P<venue>[^,]*?)(?P<year>(?:19|20)\d\d)\b")
"""How components write a reference: ``Hu et al., LoRA, ICLR 2022 (arXiv:2106.09685)``."""
TITLE = "robench: benchmarking robust fine-tuning of vision models"
AUTHORS = "The robench authors"
"""As in ``CITATION.cff``."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One paper.

    Attributes:
        text: The reference as the component writes it.
        url: Where it is to be read; empty if that is unknown.
        bibtex: An entry, or empty if the text does not say authors, title and year.
    """

    text: str
    url: str
    bibtex: str


def papers(reference: str) -> list[Paper]:
    """Return the papers of one reference, which separates them by semicolons."""
    return [_paper(text.strip()) for text in reference.split(";") if ARXIV.search(text) or PAPER.match(text.strip())]


def _paper(text: str) -> Paper:
    arxiv = ARXIV.search(text)
    if arxiv:  # after it stand equations and sections
        text = text[: text.index(")", arxiv.end()) + 1] if ")" in text[arxiv.end() :] else text
    found = PAPER.match(text)
    url = f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else ""
    return Paper(text=text, url=url, bibtex=_entry(found, arxiv[1] if arxiv else "") if found else "")


def _entry(found: re.Match[str], arxiv: str) -> str:
    authors, title, venue, year = (found[part].strip() for part in ("authors", "title", "venue", "year"))
    first = re.sub(r"\W", "", re.split(r" et al\.| and ", authors)[0].split()[-1].lower())
    word = re.sub(r"\W", "", title.split()[0].lower())
    fields = {
        "author": authors.replace(" et al.", " and others"),
        "title": f"{{{title}}}",
        "year": year,
        "howpublished": f"{venue} {year}".strip() if venue else "",
        "eprint": arxiv,
        "archivePrefix": "arXiv" if arxiv else "",
    }
    return _bibtex("misc", f"{first}{year}{word}", fields)


def of_robench(year: str) -> str:
    """Return the BibTeX entry of robench."""
    fields = {"author": f"{{{AUTHORS}}}", "title": f"{{{TITLE}}}", "version": version("robench"), "year": year}
    return _bibtex("software", "robench", fields)


def _bibtex(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{_tex(value)}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _tex(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", text)
