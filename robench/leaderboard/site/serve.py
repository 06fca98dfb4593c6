"""Serve the page from memory, and update it as records appear."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from robench.errors import DataError, RobenchError
from robench.leaderboard.site.pages import Pages, pages
from robench.leaderboard.tables import leaderboard
from robench.records.store import Store
from robench.run.status import running

LIVE = "live.json"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    "": "text/plain; charset=utf-8",
}
# Records contain text that other people wrote. Should it ever be read as HTML, the browser does not run it.
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"


class Live:
    """The page of a folder of records; it is made again in the background when the folder changes."""

    def __init__(self, results: Path, warn: Callable[[str], None]) -> None:
        """Make the page for the first time.

        Raises:
            DataError: The folder of records does not exist.
        """
        self._results, self._warn = results, warn
        self._lock = threading.Lock()
        self._maker: threading.Thread | None = None
        self._seen = self._look()
        self._pages = self._before = self._make()

    def pages(self) -> Pages:
        """Return the current page; if the folder has changed, a newer one is being made."""
        with self._lock:
            # Ranking thousands of runs takes longer than a reader waits.
            if (self._maker is None or not self._maker.is_alive()) and (seen := self._look()) != self._seen:
                self._seen = seen
                self._maker = threading.Thread(target=self._renew, daemon=True)
                self._maker.start()
            return self._pages

    def file(self, name: str) -> bytes | None:
        """Return one of the page's files; None if it has no such file. No other file can be read."""
        if name == LIVE:
            under_way = [state.model_dump() for state in running(self._results)]
            return json.dumps({"folder": self.pages().folder, "running": under_way}).encode()
        if name in ("", "index.html"):
            return self.pages().index
        # A browser may ask for files of the previous version of the page.
        known = (found for each in (self._pages, self._before) for found in (each.files, each.records))
        make = next((found[name] for found in known if name in found), None)
        try:
            return make() if make else None
        except OSError:  # a record that was removed meanwhile
            return None

    def _renew(self) -> None:
        try:
            self._before, self._pages = self._pages, self._make()
        except (RobenchError, OSError) as error:
            self._warn(str(error))  # the folder is gone; the last page stays
        except Exception as error:  # the page is renewed again when the folder changes again
            self._warn(f"the page was not renewed: {type(error).__name__}: {error}")

    def _make(self) -> Pages:
        records = Store(self._results).read(self._warn)
        return pages(self._results, leaderboard(records), records, live=True)

    def _look(self) -> object:
        folders = (self._results, self._results / "samples")
        files = [path for folder in folders for path in folder.glob("*") if path.suffix in (".json", ".safetensors")]
        return sorted((str(path), stat.st_mtime_ns, stat.st_size) for path in files if (stat := _stat(path)))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # removed since the folder was listed
        return None


def server(live: Live, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the page that is already listening; port 0 takes a free port.

    Raises:
        DataError: The port is taken or not allowed, or the host is unknown.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = live.file(unquote(urlsplit(self.path).path).removeprefix("/"))
            self._answer(HTTPStatus.OK if content is not None else HTTPStatus.NOT_FOUND, content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: HTTPStatus, content: bytes | None) -> None:
            name = urlsplit(self.path).path.rpartition("/")[2] or "index.html"
            content = b"robench: no such file\n" if content is None else content
            kind = Path(name).suffix if status == HTTPStatus.OK else ""
            self.send_response(status)
            self.send_header("Content-Type", TYPES.get(kind, TYPES[""]))
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Print nothing: the page asks every two seconds."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OverflowError:
        raise DataError(f"port {port} does not exist; expected 0 to 65535") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot serve on {host}:{port}: {reason.lower()}; pass another --port or --host") from None
