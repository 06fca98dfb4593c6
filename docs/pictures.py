"""Make ``docs/leaderboard.png`` anew: ``python docs/pictures.py``.

It writes the leaderboard of the committed records as a page and takes a picture of it, which needs Chromium,
chromedriver and selenium. The picture keeps a hash of what it shows; ``tests/test_pictures.py`` says when it is old.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "leaderboard.png"
COMMAND = "python docs/pictures.py"
FILTERS = ("dataset=leaf-synth", "model=clip-tiny")
"""One table, so that a reader sees all of it."""
WIDTH, SCALE = 1200, 1.4
"""Pixels of the page, and of the picture for each of them."""
MARGIN = 8
KEY = "robench:shows"
"""Under which name the PNG keeps the hash."""
MEASURE = """
const table = document.querySelector('#tables details');
const [box, rows] = [table.getBoundingClientRect(), table.querySelector('tbody:last-of-type').getBoundingClientRect()];
return [box.top, rows.bottom];
"""
"""Return where the first table begins, and where its last row ends."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-sync")


def write_page(folder: Path) -> Path:
    """Write the page that the picture is taken of into `folder`, and return it."""
    filters = [word for text in FILTERS for word in ("--filter", text)]
    words = ["leaderboard", "--results", "results", "--format", "html", "--output", str(folder), *filters]
    subprocess.run([sys.executable, "-m", "robench", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder / "index.html"


def fingerprint(page: Path) -> str:
    """Return a hash of what is seen of a page: its rows, scripts, styles and words, and how the picture is taken."""
    (assets,) = (page.parent / "assets").iterdir()
    # Neither the lines around the tables, with version and date, nor the name of the folder are seen.
    words = re.sub("<(header|footer)>.*?</\\1>", "", page.read_text("utf-8"), flags=re.S)
    found = hashlib.sha256(repr((words.replace(assets.name, ""), WIDTH, SCALE)).encode())
    for file in sorted(each for each in assets.iterdir() if each.suffix in {".js", ".css"}):
        text = file.read_bytes().replace(assets.name.encode(), b"")
        found.update(file.name.encode() + text.replace(f"version = {{{version('robench')}}}".encode(), b""))
    return found.hexdigest()[:16]


def kept(picture: Path) -> str:
    """Return the hash of what a picture shows, or an empty text if it keeps none."""
    with Image.open(picture) as image:
        return str(image.info.get(KEY, ""))


def photograph(page: Path) -> bytes:
    """Return a PNG of the table of a page."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        sys.exit("this needs selenium: pip install -e '.[test]'")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        sys.exit("this needs Chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        started = webdriver.Chrome(options=options, service=Service(driver))
        try:
            # So high that the page draws all of its rows.
            metrics = {"width": WIDTH, "height": 4000, "deviceScaleFactor": SCALE, "mobile": False}
            started.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            light = [{"name": "prefers-color-scheme", "value": "light"}]
            started.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})
            started.get(page.as_uri())
            deadline = time.monotonic() + 120
            while not started.execute_script("return document.body.dataset.ready === 'true'"):
                if time.monotonic() > deadline:
                    sys.exit("the page was not drawn within two minutes")
                time.sleep(0.1)
            top, bottom = started.execute_script(MEASURE)
            clip = {"x": 0, "y": top - MARGIN, "width": WIDTH, "height": bottom - top + 2 * MARGIN, "scale": 1}
            taken = started.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": clip})
        finally:
            started.quit()
    return base64.b64decode(taken["data"])


def main() -> None:
    """Make the picture anew."""
    with tempfile.TemporaryDirectory() as folder:
        page = write_page(Path(folder) / "page")
        taken, shows = photograph(page), fingerprint(page)
    text = PngInfo()
    text.add_text(KEY, shows)
    with Image.open(io.BytesIO(taken)) as image:
        image.convert("RGB").quantize(256).save(PICTURE, pnginfo=text, optimize=True)
        print(f"{PICTURE.relative_to(ROOT)}: {image.width} x {image.height}, {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
