"""The page of the leaderboard: its files, and what a reader does with it in a real browser, opened from disk."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robench.cli import main
from robench.errors import DataError
from robench.leaderboard.site import pages as pages_module
from robench.leaderboard.site.cite import of_robench, papers
from robench.leaderboard.site.pages import pages
from robench.leaderboard.site.write import write_pages
from robench.leaderboard.tables import leaderboard
from robench.records.record import RunResult
from robench.records.store import Store

from tests.helpers.results import asked, result
from tests.helpers.site_fixtures import HOSTILE, Page, add, chromium, synthetic, write
from tests.leaderboard.test_views import corrupted, sure

ENTER, ESCAPE = "\ue007", "\ue00c"
OVERLAPS = """
const shown = [...document.querySelectorAll('body *')].filter((each) => !each.children.length && each.textContent.trim()
  && !each.closest('.away, .skip, option, select, textarea, svg, script, noscript') && each.checkVisibility());
const boxes = shown.map((each) => {
  const range = document.createRange();
  range.selectNodeContents(each);
  return [each, range.getBoundingClientRect()];
}).filter(([, box]) => box.width && box.height).sort(([, a], [, b]) => a.top - b.top);
const found = [];
for (const [at, [one, a]] of boxes.entries()) {
  for (let next = at + 1; next < boxes.length && boxes[next][1].top < a.bottom; next++) {
    const [two, b] = boxes[next];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    const whole = [one, two].every((each) => each.getClientRects().length === 1);
    if (wide > 2 && high > 5 && whole) found.push(`${one.textContent} | ${two.textContent}`);
  }
  const cut = one.closest('td, th, summary, label, p, li');
  if (cut && a.right > cut.getBoundingClientRect().right + 1) found.push(`cut: ${one.textContent}`);
}
return found;
"""
"""Texts that cover each other, or reach out of their cell."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(browser: Any) -> Page:
    page = Page(browser)
    page.width(1440)
    page.media(prefers_color_scheme="light")
    return page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[RunResult]]:
    folder = tmp_path_factory.mktemp("site")
    records = synthetic(folder / "results")
    return write(folder / "results", folder / "site").as_uri(), records


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    return write(root / "results", tmp_path_factory.mktemp("committed") / "site")


def copied(page: Page) -> str:
    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.browser.execute_cdp_cmd("Browser.grantPermissions", grant)
    text = page.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert isinstance(text, str)
    return text


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.js(f"return [...document.querySelectorAll({selector!r})].map((each) => each.textContent)")
    return found


def sort_by(page: Page, key: str) -> str | None:
    """Press a heading, and return what it tells a screen reader then."""
    heading = f'[data-key="{key}"]'
    page.js(f"document.querySelector('{heading}').click()")
    order: str | None = page.js(f"return document.querySelector('{heading}').closest('th').getAttribute('aria-sort')")
    return order


def test_a_table_tells_its_result_and_has_a_row_a_method(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    assert page.names() == ["best", "second", HOSTILE, "untuned"], "the largest table is open, the other folded"
    assert texts(page, "#tables .rank > :first-child") == ["1", "2", "3\u20134", "3\u20134"]
    ranks = texts(page, "#tables .rank .away")
    assert ranks[0] == "rank 1" and ranks[2].startswith("rank 3 to 4: not told apart")
    first, second = texts(page, "#tables summary")
    assert "Best worst case at Linf 8/255: best, 60.0 %" in first and "4 methods; checks: 1 of 4 pass" in first
    assert "1 with warnings (because warn)" in first
    assert "✕ 1 failed" in first and "2 methods" in second
    assert texts(page, "#tables td.plain .badge")[:3] == ["✓ pass", "▲ warn", "✕ fail"]
    figures = page.one("#tables td.clean .rate")
    assert figures.text == "90.0 82.6\u201394.5"
    track, low, wide = page.js(
        """const bar = arguments[0].querySelector('.bar').getBoundingClientRect();
        const whisker = arguments[0].querySelector('u').getBoundingClientRect();
        return [bar.width, (whisker.left - bar.left) / bar.width, whisker.width / bar.width]""",
        figures,
    )
    assert track > 50 and low == pytest.approx(0.826, abs=0.01) and wide == pytest.approx(0.119, abs=0.02)
    headings = texts(page, "#tables thead th")
    assert any("pgd-resnet20" in text and "Linf 8/255, transfer, n=100" in text for text in headings)


def test_a_method_unfolds_its_runs_and_what_is_behind_it(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(address)
    page.all("#tables .unfold")[1].send_keys(ENTER)
    assert texts(page, "#tables tr.run code") == [records[1].run_id, records[2].run_id]
    shown = page.one("#tables tr.more").text
    assert "warn check warn: because warn (in 1 of 2 runs" in shown.replace("▲ ", "").replace("\n", " ")
    assert "robench run --dataset leaf-synth" in shown and "--seed" not in shown
    page.one("#tables .unfold[aria-expanded=true]").send_keys(ENTER)
    assert not page.all("#tables tr.run")


def test_headings_sort_each_table_and_tell_the_truth(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    page.open_all()
    assert sort_by(page, "clean") == "descending"
    assert page.names() == ["untuned", "second", "best", HOSTILE, "best", "elsewhere"]
    assert page.js("return document.querySelectorAll('#tables [aria-sort]').length") == 2, "one heading a table"
    assert sort_by(page, "clean") == "ascending" and page.names()[:2] == [HOSTILE, "best"]
    assert sort_by(page, "attack pgd-resnet20") == "descending"
    orders = page.js("return [...document.querySelectorAll('[aria-sort]')].map((each) => each.textContent.trim())")
    assert "pgd-resnet20" in orders[0] and orders[1].startswith("#"), "a table without this attack stays as ranked"
    assert page.names()[:2] == ["best", "second"]


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("q", "SECOND", 1),
        ("q", "{run}", 1),
        ("q", "no such method", 0),
        ("attack", "pgd-resnet20", 4),
        ("threat", "Linf 8/255 transfer", 4),
        ("checks", "pass", 2),
        ("plugin", HOSTILE, 1),
    ],
)
def test_search_and_filters_leave_the_methods_that_match(
    page: Page, site: tuple[str, list[RunResult]], field: str, value: str, left: int
) -> None:
    address, records = site
    page.open(address)
    page.choose(field, value.format(run=records[2].run_id) if field == "q" else value)
    assert len(page.names()) == left and page.one("#count").text.startswith(f"{left} of 6 methods")
    if not left:
        assert "No method passes" in page.one("#tables").text and not page.one("#pareto").is_displayed()
    page.js("document.querySelector('#filters').reset()")
    assert len(page.names()) == 4 and page.one("#count").text == ""


def test_choices_stand_in_the_address_and_the_back_button_undoes_them(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    page.choose("checks", "pass")
    sort_by(page, "clean")
    page.choose("q", "best elsewhere")
    address = page.js("return location.href")
    assert "checks=pass" in address and "sort=clean%3Adesc" in address and "q=best+elsewhere" in address
    page.choose("q", "best")
    before, address = page.names(), page.js("return location.href")
    page.open(address)
    assert page.names() == before and page.one("#filters input[name=q]").get_attribute("value") == "best"
    page.choose("q", "")
    page.choose("checks", "")
    page.browser.back()
    page.until("return document.querySelector('#filters').elements.checks.value === 'pass'")


def test_what_is_shown_is_copied_and_downloaded(page: Page, site: tuple[str, list[RunResult]]) -> None:
    page.open(site[0])
    page.open_all()

    def exported(name: str) -> str:
        page.js("document.querySelector('#export').close(); robench.openExport(null, arguments[0])", name)
        text: str = page.js("return document.querySelector('#export textarea').value")
        return text

    rows = list(csv.DictReader(io.StringIO(exported("CSV"))))
    assert [row["method"] for row in rows] == [*page.names()]
    assert (rows[0]["pgd"], rows[0]["rank_low"], rows[0]["worst Linf 8/255 measured"]) == ("60", "1", "yes")
    markdown = exported("Markdown")
    assert markdown.count("| --- |") >= 2 and "90.0 (82.6-94.5)" in markdown and "<img" not in markdown
    latex = exported("LaTeX")
    assert "\\toprule" in latex and "\\bottomrule" in latex and latex.count("\\begin{tabular}") == 2
    assert "\\&" in latex and "94.5 {\\footnotesize $\\pm$ 0.7}" in latex, "the mean of both seeds of `second`"
    assert exported("BibTeX").startswith("@software{robench,")
    page.one("#export .actions button").click()
    page.until("return document.querySelector('#export .actions button').textContent === 'Copied'")
    assert copied(page).startswith("@software{robench,")


def test_a_run_opens_from_its_method_and_shows_all_there_is(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(address)
    page.one("#tables tbody.method td.clean").click()
    page.one("#tables tr.run a").click()
    page.until("return document.querySelector('#detail-title') !== null")
    assert page.js("return location.hash") == f"#{records[0].run_id}"
    shown = page.one("#detail").text
    assert "clip-tiny, best on leaf-synth" in shown and "All 1 checks pass" in shown
    assert "class_2" in shown and "There are no other seeds" in shown
    images = "[...document.querySelectorAll('#detail .gallery img')]"
    page.until(f"return {images}.every((image) => image.complete)")
    assert page.js(f"return {images}.map((image) => image.naturalWidth)") == [8] * (4 * 5)
    link = page.one("#detail a[download]")
    name = link.get_attribute("href").removeprefix("file://")
    assert json.loads(Path(name).read_text())["run_id"] == records[0].run_id
    page.js("return document.activeElement").send_keys(ESCAPE)
    page.until("return !document.querySelector('#detail').open && location.hash === ''")


def test_a_query_attack_has_its_curve_in_the_run(page: Page, tmp_path: Path) -> None:
    add(tmp_path / "results", record := asked())
    page.open(f"file://{write(tmp_path / 'results', tmp_path / 'site')}#{record.run_id}")
    page.until("return document.querySelector('#detail canvas.queries') !== null")
    section = "document.querySelector('#detail canvas.queries').closest('section')"
    rows = page.js(f"return [...{section}.querySelectorAll('tr')].map((row) => row.innerText.split(/\\s+/))")
    assert rows[0][-5:] == ["0", "1", "10", "100", "500"]
    assert rows[1][0] == "square" and rows[1][-5:] == ["90.0", "90.0", "90.0", "10.0", "10.0"]
    drawn = page.js(
        f"const chart = Chart.getChart({section}.querySelector('canvas')); return chart.data.datasets[0].data"
    )
    assert [(point["x"], point["y"]) for point in drawn] == [(0.5, 90), (40, 10), (500, 10)]


def test_problems_stand_first_in_a_certificate(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(f"{address}#{records[1].run_id}")
    page.until("return document.querySelector('#detail-title')")
    titles = texts(page, "#detail h3")
    assert titles[0] == "Checks" and "1 of 1 checks did not pass" in page.one("#detail").text


def test_tables_fold_and_unfold_by_keyboard(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    page.one("#tables summary").send_keys(ENTER)
    page.until("return !document.querySelector('#tables details').open")
    assert page.names() == []
    page.all("#tables summary")[1].send_keys(ENTER)
    page.until("return document.querySelectorAll('#tables details')[1].querySelectorAll('.name').length === 2")
    assert page.names() == ["best", "elsewhere"] and page.complaints() == []


def test_the_command_is_copied(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(f"{address}#{records[0].run_id}")  # a link to a run opens it
    page.until("return document.querySelector('#detail .copy')")
    page.one("#detail .copy").click()
    page.until("return document.querySelector('#detail .copy').textContent === 'Copied'")
    assert copied(page) == records[0].provenance.command


def test_what_is_not_on_the_page_is_said(page: Page, site: tuple[str, Any]) -> None:
    page.open(f"{site[0]}#000000000000")
    assert "no such run" in page.until("return document.querySelector('#detail[open]')?.textContent")


def test_names_that_are_html_are_shown_as_they_are(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(f"{address}#{records[3].run_id}")
    page.until("return document.querySelector('#detail-title')")
    assert page.one("#detail .command code").text == HOSTILE
    assert page.one("#detail .warning").text == f"Warning: {HOSTILE}"
    assert HOSTILE in page.one("#detail .checks").text and page.one("#detail-title").text.count(HOSTILE) == 1
    assert page.js("return document.title") == "robench leaderboard"
    assert not page.js("return document.querySelectorAll('img[onerror], #tables b b').length")


def test_dark_mode_changes_colours_and_both_are_readable(page: Page, site: tuple[str, Any]) -> None:
    found = []
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme)
        page.open(site[0])
        rows = page.js(
            """return ['#about', 'nav a', '.unfold', '.under', '.facts', '#tables small', '#tables .main small',
            '#tables .main b', 'td.against', '.reading', '.verdict.fail', '.verdict.warn', '#filters select',
            '#pareto figcaption', '#help dd'].map((selector) => {
              const element = document.querySelector(selector);
              let behind = element;
              while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
              const canvas = document.createElement('canvas').getContext('2d');
              const plain = (colour) => {
                canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
                canvas.fillRect(0, 0, 1, 1);
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return `rgb(${[...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).join(', ')})`;
              };
              const [ink, paper] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
              return [selector, plain(ink), plain(paper)]})"""
        )
        for selector, ink, paper in rows:
            assert contrast(ink, paper) >= 4.5, (scheme, selector, ink, paper)
        found.append(luminance(page.js("return getComputedStyle(document.body).backgroundColor")))
    assert found[0] > 0.9 and found[1] < 0.1


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, two: str) -> float:
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"), [(1400, "light"), (1400, "dark"), (1024, "light"), (768, "light"), (390, "light")]
)
def test_the_first_screen_is_read_at_every_width(
    page: Page, committed: Path, width: int, scheme: str, tmp_path: Path
) -> None:
    """Pytest keeps the pictures, for a person to look at, in its folder of this test."""
    page.width(width)
    page.media(prefers_color_scheme=scheme)
    page.open(committed.as_uri())
    page.until("return document.querySelector('#tables tbody') !== null")
    page.browser.save_screenshot(str(tmp_path / f"{width}-{scheme}.png"))
    assert page.js("return document.documentElement.scrollWidth") <= width
    result, row = page.js(
        """return ['.result > span', 'tbody.method']
        .map((each) => document.querySelector(each).getBoundingClientRect().bottom)"""
    )
    assert result <= 300, "the best method is named in the first 300 pixels"
    assert row <= 700, "the first row is seen without scrolling"
    assert page.js(OVERLAPS) == []
    kinds = page.js("return [...document.querySelectorAll('thead th')].map((each) => each.classList[0])")
    assert {"clean", "worst"} <= set(kinds)
    page.js("document.querySelector('.unfold').click()")
    page.until("return document.querySelector('tr.more') !== null")
    assert page.js("return document.documentElement.scrollWidth") <= width and page.js(OVERLAPS) == []


@pytest.mark.slow
def test_a_page_is_printed_whole_with_ten_methods_a_sheet_or_more(page: Page, committed: Path, tmp_path: Path) -> None:
    page.open(committed.as_uri())
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    methods = page.js("return robench.board.rows.length")
    assert len(page.names()) == methods, "every method is printed"
    page.js("window.dispatchEvent(new Event('afterprint'))")
    a4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
    printed = base64.b64decode(page.browser.execute_cdp_cmd("Page.printToPDF", a4)["data"])
    (tmp_path / "page.pdf").write_bytes(printed)
    assert 1 < len(re.findall(rb"/Type\s*/Page[^s]", printed)) <= 1 + methods / 10
    page.width(703)  # what A4 leaves between its margins, at 96 pixels an inch
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    try:
        assert page.js("return document.documentElement.scrollWidth") <= 703 and page.js(OVERLAPS) == []
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_committed_records_make_a_page_without_a_complaint_or_a_request(
    page: Page, committed: Path, root: Path
) -> None:
    page.open(committed.as_uri())
    tables = leaderboard(Store(root / "results").read(lambda warning: pytest.fail(warning)))
    n = sum(len(table.rows) for table in tables)
    about = page.one("#about").text
    assert f"Accuracy of {n} vision models and tuning methods" in about
    records = [json.loads(path.read_text()) for path in (root / "results").glob("*.json")]
    assert {record["provenance"]["versions"]["robench"] for record in records} <= set(re.findall(r"[\d.]+\d", about))
    newest = max(record["provenance"]["started"] for record in records)[:10]
    assert about.endswith(f"{int(newest[8:])} {date.fromisoformat(newest):%B %Y}.")
    assert len(page.all("#tables details.board")) == len(tables)
    for run_id in page.js("return robench.board.rows.flatMap((row) => row.runs.map((run) => run.run))")[::24]:
        page.js("robench.choose({run: arguments[0]})", run_id)
        page.until("return document.querySelector('#detail code')?.textContent === arguments[0]", run_id)
    page.js("document.querySelector('#detail').close()")
    for section in ("pareto", "security", "transfer", "papers"):
        assert page.one(f"#{section}").is_displayed()
    assert page.all("#transfer tbody tr") and page.all("#papers li a[href^='https://arxiv.org/']")
    assert page.complaints() == []
    requests = page.requests()
    assert any("runs/" in url for url in requests), "nothing was heard of requests at all"
    assert {url.partition(":")[0] for url in requests} <= {"file", "data", "about"}


def test_plots_follow_the_filters(page: Page, site: tuple[str, list[RunResult]]) -> None:
    page.open(site[0])
    caption = page.one("#pareto figcaption").text
    assert "untuned (clean 99.0, attacked 0.0); second (clean 94.5" in caption and "best (clean 90.0" in caption
    page.choose("q", "second")
    assert "best (clean" not in page.one("#pareto figcaption").text


def test_labels_of_a_plot_cover_neither_each_other_nor_a_point(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    placed = page.js(
        """const area = {left: 0, right: 300, top: 0, bottom: 300};
        const points = [...Array(20).keys()]
          .map((at) => ({x: 100 + 6 * (at % 5), y: 100 + 9 * at, label: `method ${at}`}));
        const boxes = robench.placed(points, (text) => 7 * text.length, area);
        return [boxes, robench.apart([50, 52, 51, 290, 291], 15, area)]
        """
    )
    boxes, heights = placed
    assert boxes and heights[0] < heights[2] < heights[1] and max(heights) <= 300
    assert min(np.diff(sorted(heights))) >= 15
    for at, one in enumerate(boxes):
        for two in boxes[at + 1 :]:
            apart = abs(one["y"] - two["y"]) >= 13 or one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
            assert apart, (one, two)


def test_views_stand_beside_the_tables_and_follow_the_filters(page: Page, tmp_path: Path) -> None:
    records = [
        sure(corrupted(result(tuner="best", clean=90), 80, 60)),
        result(tuner="plain", clean=95, attacks=(("pgd-resnet20", 40, 100), ("pgd", 0, 100))),
    ]
    for record in records:
        add(tmp_path / "results", record)
    page.open(write(tmp_path / "results", tmp_path / "site").as_uri())
    options = texts(page, "#beside option")
    assert options[:3] == [
        "every threat, a method a row",
        "accuracy on corrupted images, without an adversary: common",
        "calibration, clean images",
    ]
    assert [text.partition(" ")[0] for text in texts(page, "#beside tbody tr:first-child td")][:1] == ["90.0"]
    assert texts(page, "#beside tbody tr:last-child td")[-1] == "\u2013not measured"
    page.js(
        "const choice = document.querySelector('#beside select'); choice.value = 2; "
        "choice.dispatchEvent(new Event('change'))"
    )
    assert texts(page, "#beside thead th")[2].startswith("ECE")
    page.choose("q", "best")
    assert len(page.all("#beside tbody tr")) == 1
    assert page.complaints() == []


def test_an_empty_page_says_what_to_do(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    page.open(write(folder, tmp_path / "site").as_uri())
    assert "No results yet" in page.one("#tables").text and not page.one("#pareto").is_displayed()
    assert page.one("#tables code").text.startswith("robench run --tuner tecoa") and page.complaints() == []


def test_papers_are_read_from_references() -> None:
    first, second = papers("Hu et al., LoRA, ICLR 2022 (arXiv:2106.09685); Madry et al., Towards models, ICLR 2018")
    assert first.url == "https://arxiv.org/abs/2106.09685" and not second.url
    assert "author = {Hu and others}" in first.bibtex and "eprint = {2106.09685}" in first.bibtex
    assert second.bibtex.startswith("@misc{madry2018towards,") and papers("the control") == []


def test_robench_is_cited_as_its_own_file_says(root: Path) -> None:
    cited = dict(re.findall(r"^(\w+): \"?(.*?)\"?$", (root / "CITATION.cff").read_text(), flags=re.M))
    (author,) = re.findall(r"- name: (.*)", (root / "CITATION.cff").read_text())
    entry = of_robench("2026")
    for text in (cited["title"], cited["version"], author):
        assert f"{{{text}}}" in entry


def test_security_curves_start_at_the_clean_accuracy(tmp_path: Path) -> None:
    record = result(attacks=(("pgd", 10, 100), ("pgd:eps=2/255", 50, 100)))
    scores = (record.attacks[0], record.attacks[1].model_copy(update={"eps": "2/255"}))
    record = record.model_copy(update={"attacks": scores})
    (curve,) = board_of(tmp_path, add(tmp_path, record))["curves"]
    assert [point[:2] for point in curve["lines"][0]["points"]] == [[0, 90], [2, 50], [8, 10]]


def board_of(results: Path, *records: RunResult) -> dict[str, Any]:
    made = pages(results, leaderboard(records), records)
    text = made.files[f"{made.folder}/board.js"]().decode()
    content: dict[str, Any] = json.loads(text.removeprefix("robench.show(").removesuffix(");\n"))
    return content


def test_nothing_the_page_loads_is_elsewhere(committed: Path) -> None:
    ours = [committed, *committed.parent.glob("assets/*/*.css")]
    # Papers among the data are links, which a reader follows or not.
    ours += [
        path for path in committed.parent.glob("assets/*/*.js") if ".min." not in path.name and path.name != "board.js"
    ]
    assert len(ours) > 8
    for path in ours:
        assert not re.search(r"https?://|url\((?!data:)|@import", path.read_text()), path.name
    for name in re.findall(r'(?:src|href)="([^"#]+)"', committed.read_text()):
        assert name.startswith("data:") or (committed.parent / name).is_file(), name


def test_the_page_holds_the_rows_that_the_terminal_shows(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--results", str(root / "results"), "--sort", "clean", "--filter", "tuner=lora*"]
    for more in (["--format", "html", "--output", str(tmp_path / "site")], ["--json"]):
        with pytest.raises(SystemExit) as exit_:
            main(["leaderboard", *chosen, *more])
        assert not exit_.value.code
    path, _, text = capsys.readouterr().out.partition("\n")
    (board,) = Path(path).parent.glob("assets/*/board.js")
    rows = json.loads(board.read_text().removeprefix("robench.show(").removesuffix(");\n"))["rows"]
    wanted = [
        (row["rank_low"], row["rank_high"], row["name"], [run["run_id"] for run in row["runs"]])
        for table in json.loads(text)
        for row in table["rows"]
    ]
    shown = [(*row["rank"], row["name"], [run["run"] for run in row["runs"]]) for row in rows]
    assert sorted(shown) == sorted(wanted) and shown[0] in wanted
    assert len(list((tmp_path / "site" / "records").iterdir())) == sum(len(runs) for *_, runs in wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "htm"], "unknown value 'htm'; did you mean 'html'"),
        (["--format", "csv", "--output", "x"], "--output x is for --format html, not for csv"),
        (["--format", "html", "--filter", "tuner=nothing"], "no completed run"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(
    arguments: list[str], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["leaderboard", "--results", str(root / "results"), *arguments])
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and message in error and error.count("\n") == 1


def test_a_folder_without_runs_gives_a_page_that_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").mkdir()
    words = ["leaderboard", "--format", "html", "--results", str(tmp_path / "results"), "--cache-dir", str(tmp_path)]
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--output", str(tmp_path / "site")])
    assert not exit_.value.code and "the page says how to make one" in capsys.readouterr().err
    board = next((tmp_path / "site" / "assets").glob("*/board.js")).read_text()
    assert (tmp_path / "site" / "index.html").is_file() and '"rows":[]' in board


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    record = add(tmp_path / "results", result())
    made = pages(tmp_path / "results", leaderboard([record]), [record])
    (tmp_path / "mine").mkdir()
    for name in ("notes.txt", "index.html"):
        (tmp_path / "mine" / name).write_text("<title>mine</title>")
        with pytest.raises(DataError, match="is not empty and holds no page of robench"):
            write_pages(made, tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["index.html", "notes.txt"]
    with pytest.raises(DataError, match="is a file"):
        write_pages(made, tmp_path / "mine" / "notes.txt")


def test_a_page_is_written_over_an_earlier_one_and_what_else_is_there_stays(tmp_path: Path) -> None:
    results, folder = tmp_path / "results", tmp_path / "site"
    old = add(results, result(tuner="old"))
    write(results, folder)
    others = [folder / "CNAME", folder / "assets" / "mine" / "logo.svg", folder / "records" / "0123456789ab.json"]
    others.append(next((folder / "assets").glob("*/runs")) / "notes.txt")
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (results / f"{old.run_id}.json").unlink()
    new = add(results, result(tuner="new"))
    index = write(results, folder)
    assert {path.name for path in (folder / "records").iterdir()} == {f"{new.run_id}.json", others[2].name}
    (assets,) = (path.parent for path in (folder / "assets").glob("*/manifest.txt"))
    assert assets.name in index.read_text() and all(path.read_text() == "mine" for path in others)
    assert list(others[3].parents[1].rglob("*.*")) == [others[3]], (
        "of the earlier page only the file of another is left"
    )
    before = index.stat().st_ino, sorted(path.stat().st_ino for path in assets.rglob("*"))
    write(results, folder)
    assert sorted(path.stat().st_ino for path in assets.rglob("*")) == before[1], "the same page is the same files"


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_earlier_page_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    results, folder = tmp_path / "results", tmp_path / "site"
    add(results, result(tuner="old"))
    write(results, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    add(results, result(tuner="new"))

    def fail(*_: object) -> bytes:
        raise fault

    monkeypatch.setattr(pages_module, "detail", fail)
    for target in (folder, tmp_path / "fresh"):
        with pytest.raises((DataError, KeyboardInterrupt)):
            write(results, target)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    monkeypatch.undo()
    assert write(results, tmp_path / "fresh").is_file(), "a failed first attempt is not in the way of the next"
