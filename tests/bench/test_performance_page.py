"""The summary on the page of performance has the figures of the tables below it."""

from __future__ import annotations

import re
from pathlib import Path


def test_the_summary_repeats_the_tables(root: Path) -> None:
    page = (root / "docs" / "performance.md").read_text()
    parts = (page.partition(f"<!-- {mark} -->")[2] for mark in ("summary", "bench"))
    summary, tables = (part.partition("<!-- end -->")[0] for part in parts)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in summary.splitlines() if "|" in line][2:]
    assert len(rows) > 10
    for what, _, ratios, target, reached in rows:
        for number in re.findall(r"\d+\.\d+", ratios):
            assert re.search(rf"(?<![\d.]){number}(?![\d.])", tables), (what, number)
        assert reached == ("yes" if target != "none" else "-"), what
    assert "not reached" not in tables
