"""What tests of the page share: folders of records, and a browser."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from robench.leaderboard.site.pages import pages
from robench.leaderboard.site.write import write_pages
from robench.leaderboard.tables import leaderboard
from robench.records.record import Check, RunResult
from robench.records.samples import samples_path
from robench.records.store import Store
from robench.storage.whole_file import write_new

from tests.helpers.results import result, samples

HOSTILE = "<img src=x onerror=\"document.title='owned'\">&\"'</script><b>"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def add(results: Path, record: RunResult) -> RunResult:
    results.mkdir(exist_ok=True)
    write_new(results / f"{record.run_id}.json", record.model_dump_json(indent=1) + "\n")
    return record


def checked(record: RunResult, *verdicts: str) -> RunResult:
    checks = tuple(Check(name=f"check {each}", attack="", verdict=each, reason=f"because {each}") for each in verdicts)
    return record.model_copy(update={"checks": checks})


def renamed(record: RunResult, name: str) -> RunResult:
    """Return the record with a tuner, a warning, a command and a check's reason of `name`."""
    tuner = record.spec.tuner.model_copy(update={"label": name, "name": name})
    spec = record.spec.model_copy(update={"tuner": tuner})
    plugins = {"tuner hostile": name}
    return record.model_copy(
        update={
            "spec": spec,
            "run_id": spec.run_id(),
            "warnings": (name,),
            "checks": (Check(name=name, attack=name, verdict="fail", reason=name),),
            "provenance": record.provenance.model_copy(update={"command": name, "plugins": plugins}),
        }
    )


def synthetic(results: Path) -> list[RunResult]:
    """Fill a folder with two tables: one of five runs, of which one fails its checks, and one of two."""
    two = (("pgd-resnet20", 50, 100), ("pgd", 0, 100))
    records = [
        checked(result(tuner="best", clean=90, attacks=(("pgd-resnet20", 80, 100), ("pgd", 60, 100))), "pass"),
        checked(result(tuner="second", clean=95, attacks=(("pgd-resnet20", 50, 100), ("pgd", 20, 100))), "warn"),
        checked(
            result(tuner="second", seed=1, clean=94, attacks=(("pgd-resnet20", 50, 100), ("pgd", 19, 100))), "pass"
        ),
        renamed(result(tuner="hostile", clean=70, attacks=two), HOSTILE),
        result(tuner="none", clean=99, attacks=two),
        result(tuner="elsewhere", clean=60, n=80, attacks=(("pgd", 10, 80),), test_images="ef" * 8),
        result(tuner="best", clean=70, n=80, attacks=(("pgd", 30, 80),), test_images="ef" * 8),
    ]
    for record in records:
        add(results, record)
    samples().save(samples_path(results, records[0].run_id))
    return records


def write(results: Path, folder: Path, **more: Any) -> Path:
    records = Store(results).read(lambda warning: pytest.fail(warning))
    return write_pages(pages(results, leaderboard(records, **more), records), folder)


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """Start a fresh Chromium, or skip the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with chromedriver is installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1440,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_script_timeout(60)
    try:
        yield started
    finally:
        started.quit()


class Page:
    """A page in the browser, in the words of a reader."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def open(self, address: str) -> Page:
        self.browser.get("about:blank")  # the same page with another #run would not be loaded anew
        for log in ("browser", "performance"):
            self.browser.get_log(log)
        self.browser.get(address)
        self.until("return document.body.dataset.ready === 'true'")
        return self

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any, seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := self.js(script, *arguments)):
            assert time.monotonic() < deadline, f"never became true: {script}"
            time.sleep(0.02)
        return found

    def all(self, selector: str) -> Sequence[Any]:
        found: Sequence[Any] = self.browser.find_elements("css selector", selector)
        return found

    def one(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def names(self) -> list[str]:
        """The methods in view, as they stand."""
        found: list[str] = self.js(
            """return [...document.querySelectorAll('#tables .name')].filter((each) => each.checkVisibility())
            .map((each) => each.textContent)"""
        )
        return found

    def open_all(self) -> None:
        """Unfold every table."""
        self.js("robench.choose({open: robench.board.tables.map((table) => table.id).join(',')}); robench.drawTables()")

    def choose(self, field: str, value: str) -> None:
        self.js(
            """const field = document.querySelector('#filters').elements[arguments[0]]; field.value = arguments[1];
            field.dispatchEvent(new Event(field.tagName === 'INPUT' ? 'input' : 'change', {bubbles: true}));""",
            field,
            value,
        )

    def media(self, **features: str) -> None:
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})

    def width(self, pixels: int) -> None:
        metrics = {"width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": pixels < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[str]:
        """What the console says since the page was opened."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
