"""The page of the leaderboard: its files, and what a reader does with it in a real browser, opened from disk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robench.cli import main
from robench.errors import DataError
from robench.leaderboard.site import pages as pages_module
from robench.leaderboard.site.pages import pages
from robench.leaderboard.site.write import write_pages
from robench.leaderboard.tables import leaderboard
from robench.records.record import RunResult
from robench.records.store import Store

from tests.helpers.results import result
from tests.helpers.site_fixtures import HOSTILE, Page, add, chromium, synthetic, write


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


@pytest.mark.slow
def test_rows_stand_in_tables_with_ranks_ties_intervals_and_verdicts(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    assert page.names() == ["best", "second", "second", HOSTILE, "none", "best", "elsewhere"]
    assert [rank.text for rank in page.all("#table .rank")] == ["1", "2=", "2=", "4=", "4=", "1", "2"]
    assert [group.text.split(",")[0] for group in page.all("#table .group strong")] == ["leaf-synth"] * 2
    assert [badge.text for badge in page.all("#table .tabulator-cell[tabulator-field=checks]")][:4] == [
        "✓ pass",
        "▲ warn",
        "✓ pass",
        "✕ fail",
    ]
    first = page.one("#table .tabulator-cell[tabulator-field=clean] .rate")
    assert first.text == "90.0 82.6\u201394.5"
    track, low, wide = page.js(
        """const bar = arguments[0].querySelector('.bar').getBoundingClientRect();
        const whisker = arguments[0].querySelector('u').getBoundingClientRect();
        return [bar.width, (whisker.left - bar.left) / bar.width, whisker.width / bar.width]""",
        first,
    )
    assert track > 50 and low == pytest.approx(0.826, abs=0.01) and wide == pytest.approx(0.119, abs=0.02)


def test_sorting_keeps_tables_apart(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    page.one("#table .tabulator-col[tabulator-field=clean]").click()
    assert page.names() == ["none", "second", "second", "best", HOSTILE, "best", "elsewhere"]
    header = page.one("#table .tabulator-col[tabulator-field=worst]")
    header.send_keys("\ue007")  # enter
    assert page.names()[:2] == ["best", "second"] and header.get_attribute("aria-sort") == "descending"
    header.send_keys("\ue007")
    assert page.names()[4:] == ["best", "elsewhere", "best"] and header.get_attribute("aria-sort") == "ascending"
    page.choose("order", "rank:asc")
    assert page.names()[0] == "best"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("dataset", "leaf-synth", 7),
        ("model", "no such model", 0),
        ("tuner", "SEC", 2),
        ("threat", "Linf 8/255 transfer", 5),
        ("n", "80", 2),
        ("checks", "pass", 2),
        ("plugin", HOSTILE, 1),
    ],
)
def test_filters_leave_the_rows_that_match(
    page: Page, site: tuple[str, Any], field: str, value: str, left: int
) -> None:
    page.open(site[0])
    page.choose(field, value)
    assert len(page.names()) == left
    assert page.one("#count").text.startswith(f"{left} of 7 rows")
    page.one("#filters button[type=reset]").click()
    assert len(page.names()) == 7


def test_a_row_opens_by_click_and_shows_all_there_is(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(address)
    page.one("#table .tabulator-cell[tabulator-field=seconds]").click()
    page.until("return document.querySelector('#detail-title') !== null")
    assert page.js("return location.hash") == f"#{records[0].run_id}"
    shown = page.one("#detail").text
    assert "clip-tiny, best on leaf-synth" in shown and "check pass" in shown and "because pass" in shown
    assert "class_2" in shown and "There are no other seeds" in shown
    images = "[...document.querySelectorAll('#detail .gallery img')]"
    page.until(f"return {images}.every((image) => image.complete)")
    assert page.js(f"return {images}.map((image) => image.naturalWidth)") == [8] * (4 * 5)
    link = page.one("#detail a[download]")
    name = link.get_attribute("href").removeprefix("file://")
    assert json.loads(Path(name).read_text())["run_id"] == records[0].run_id
    page.one("#detail .close").click()
    page.until("return !document.querySelector('#detail').open && location.hash === ''")


def test_a_row_opens_by_keyboard_and_closes_by_escape(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(address)
    link = page.all("#table .name a")[1]
    page.js("arguments[0].focus({focusVisible: true})", link)
    assert page.js("return getComputedStyle(arguments[0]).outlineStyle", link) == "solid"
    link.send_keys("\ue007")
    page.until("return document.querySelector('#detail').open")
    assert records[1].run_id in page.one("#detail").text and "seed 1" in page.one("#detail").text
    page.js("return document.activeElement").send_keys("\ue00c")
    page.until("return !document.querySelector('#detail').open")
    assert page.js("return document.activeElement.textContent") == "second"


def test_a_table_folds_by_keyboard(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    page.one("#table .toggle").send_keys("\ue007")
    assert page.names() == ["best", "elsewhere"]
    toggle = page.until("const at = document.activeElement; return at.matches('.toggle') && at")
    assert toggle.get_attribute("aria-expanded") == "false"
    toggle.send_keys(" ")
    assert len(page.names()) == 7 and page.complaints() == []


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
    assert not page.js("return document.querySelectorAll('img[onerror], #table b b').length")


def test_dark_mode_changes_colours_and_both_are_readable(page: Page, site: tuple[str, Any]) -> None:
    found = []
    for scheme in ("light", "dark"):
        page.media(prefers_color_scheme=scheme)
        page.open(site[0])
        rows = page.js(
            """return ['#about', '#ranked', '#table .name a', '#table .name .quiet', '#table small', '#table .label',
            '#count', '#filters select', '#table .band .figures b', '#table .band small', '#table .group .quiet',
            '#pareto figcaption'].map((selector) => {
              const element = document.querySelector(selector);
              let behind = element;
              while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
              return [selector, getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]})"""
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
@pytest.mark.parametrize("which", ["synthetic", "committed"])
def test_a_phone_scrolls_down_only(page: Page, site: tuple[str, list[RunResult]], committed: Path, which: str) -> None:
    page.width(390)
    address = site[0] if which == "synthetic" else committed.as_uri()
    page.open(address)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    assert page.js("return document.querySelector('.tabulator-tableholder').scrollWidth") <= 390
    assert "worst case" in page.one("#table .card").text, "what is hidden is told in the row itself"
    run_id = page.js("return robench.board.rows[0].run")
    page.open(f"{address}#{run_id}")
    page.until("return document.querySelector('#detail-title')")
    assert page.js("return document.querySelector('#detail').scrollWidth") <= 390


def test_the_committed_records_make_a_page_without_a_complaint_or_a_request(
    page: Page, committed: Path, root: Path
) -> None:
    page.open(committed.as_uri())
    tables = leaderboard(Store(root / "results").read(lambda warning: pytest.fail(warning)))
    n = sum(len(table.rows) for table in tables)
    assert page.one("#count").text == f"{n:,} of {n:,} rows in {len(tables)} tables"
    for run_id in page.js("return robench.board.rows.map((row) => row.run)")[::24]:
        page.js("location.hash = arguments[0]", run_id)
        page.until("return document.querySelector('#detail code')?.textContent === arguments[0]", run_id)
    page.js("document.querySelector('#detail').close()")
    for section in ("pareto", "security", "transfer"):
        assert page.one(f"#{section}").is_displayed()
    assert page.all("#pareto figcaption a") and page.all("#transfer tbody tr")
    assert page.complaints() == []
    requests = page.requests()
    assert any("runs/" in url for url in requests), "nothing was heard of requests at all"
    assert {url.partition(":")[0] for url in requests} <= {"file", "data", "about"}


def test_plots_follow_the_filters_and_lead_to_rows(page: Page, site: tuple[str, list[RunResult]]) -> None:
    address, records = site
    page.open(address)
    best = [link.get_attribute("href").rpartition("#")[2] for link in page.all("#pareto figcaption a")]
    assert best == [records[4].run_id, records[1].run_id, records[0].run_id]
    page.choose("tuner", "second")
    assert len(page.all("#pareto figcaption a")) == 1
    page.choose("tuner", "no such tuner")
    assert not page.one("#pareto").is_displayed()


def test_printing_shows_every_row(page: Page, site: tuple[str, Any]) -> None:
    page.open(site[0])
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    printed = page.js("return document.querySelector('.tabulator-print-table').textContent")
    assert HOSTILE in printed and "elsewhere" in printed and "[object" not in printed
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert page.complaints() == []


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
    ours += [path for path in committed.parent.glob("assets/*/*.js") if ".min." not in path.name]
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
    wanted = [(row["rank"], row["run_id"]) for table in json.loads(text) for row in table["rows"]]
    assert [(row["rank"], row["run"]) for row in rows] == wanted
    assert len(list((tmp_path / "site" / "records").iterdir())) == len(wanted)


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
