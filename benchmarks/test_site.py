"""How long the leaderboard's page takes with 5,000 rows, in a Chromium: python -m pytest benchmarks/test_site.py -s"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from robench.leaderboard.site.pages import pages
from robench.leaderboard.site.write import write_pages
from robench.leaderboard.tables import leaderboard
from robench.records.record import RunResult
from tests.helpers.results import result
from tests.helpers.site_fixtures import Page, add, chromium

ROWS = 5000
# A click and what it changes, until the browser has drawn it.
DRAWN = """const done = arguments[arguments.length - 1]; const start = performance.now();
{script}; requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));"""


def made(results: Path, tables: int) -> list[RunResult]:
    """Make 5,000 records of `tables` tables."""
    return [
        add(
            results,
            result(
                tuner=f"tuner-{number % 40}:lr={number}",
                clean=50 + number % 47,
                attacks=(("pgd-resnet20", number % 53, 100), ("pgd", number % 31, 100)),
                test_images=f"{number % tables:016x}",
                seed=number % 3,
                trainable=number,
            ),
        )
        for number in range(ROWS)
    ]


def timed(name: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    found = work()
    print(f"{name:48} {time.perf_counter() - start:6.2f} s")
    return found


# One table is ranked by seconds: to rank 5,000 rows of one table by accuracy is to compare 12 million pairs.
@pytest.mark.parametrize(("tables", "sort"), [(250, "worst"), (1, "seconds")])
def test_5000_rows_open_sort_and_filter(tmp_path: Path, tables: int, sort: str) -> None:
    print(f"\n{ROWS:,} rows in {tables} tables")
    records = made(tmp_path / "results", tables)
    ranked = timed("ranking", lambda: leaderboard(records, sort=sort))
    content = timed("making the page's data", lambda: pages(tmp_path / "results", ranked, records))
    index = timed("writing the page", lambda: write_pages(content, tmp_path / "site"))
    with chromium(tmp_path / "profile") as browser:
        page = Page(browser)
        timed("opening, until the table is there", lambda: page.open(index.as_uri()))
        assert "Accuracy of 5,000 vision models" in page.one("#about").text
        clicks = {
            "sorting by clean accuracy": "document.querySelector('[data-key=clean]').click()",
            "sorting by the worst case": "document.querySelector('[data-key^=worst]').click()",
            "sorting by name": "document.querySelector('[data-key=name]').click()",
            "searching": """const field = document.querySelector('#filters').elements.q;
                field.value = 'tuner-7:'; field.dispatchEvent(new Event('input', {bubbles: true}))""",
            "showing all again": "document.querySelector('#filters').reset()",
            "unfolding a method": "document.querySelector('.unfold').click()",
        }
        for name, script in clicks.items():
            print(f"{name:48} {browser.execute_async_script(DRAWN.format(script=script)) / 1000:6.2f} s")
            if name == "sorting by clean accuracy":
                first = page.js("return document.querySelector('#tables td.clean .rate b').textContent")
                assert float(first) == max(row.clean.percent for row in ranked[0].rows)
            if name == "searching":
                assert page.one("#count").text.startswith("125 of 5,000 methods")
        assert page.complaints() == []
