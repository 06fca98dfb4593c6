"""Serve the page from memory, and what is new as runs go on."""

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
from robench.leaderboard import leaderboard
from robench.site.pages import Pages, pages
from robench.status import running
from robench.store import Store

LIVE = "live.json"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    "": "text/plain; charset=utf-8",
}
# Names in records are other people's; should one ever be read as HTML, the browser still runs and loads nothing of it.
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"


class Live:
    """The page of a folder of records, made anew when the folder has changed."""

    def __init__(self, results: Path, warn: Callable[[str], None]) -> None:
        self._results, self._warn = results, warn
        self._lock = threading.Lock()
        self._seen: object = None
        self._pages: Pages | None = None

    def pages(self) -> Pages:
        """Return the page as of now.

        Raises:
            DataError: The folder of records does not exist.
        """
        with self._lock:
            seen = self._look()
            if self._pages is None or seen != self._seen:
                try:
                    records = Store(self._results).read(self._warn)
                    self._pages = pages(self._results, leaderboard(records), records, live=True)
                    self._seen = seen
                except (RobenchError, OSError) as error:
                    if self._pages is None:
                        raise
                    self._warn(str(error))  # the folder went away: what was there is still worth a look
            return self._pages

    def file(self, name: str) -> bytes | None:
        """Return one of the page's files; None if it has no such file. Nothing else can be named."""
        found = self.pages()
        if name == LIVE:
            under_way = [state.model_dump() for state in running(self._results)]
            return json.dumps({"folder": found.folder, "running": under_way}).encode()
        if name in ("", "index.html"):
            return found.index
        make = found.files.get(name) or found.records.get(name)
        try:
            return make() if make else None
        except OSError:  # a record that was moved away meanwhile
            return None

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
    """Return a server of the page that listens already; port 0 takes a free one.

    Raises:
        DataError: The port is taken or not allowed, or there is no such host.
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
            """Say nothing: a page that asks every two seconds would fill the terminal."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OverflowError:
        raise DataError(f"port {port} is not one; expected 0 to 65535") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot serve on {host}:{port}: {reason.lower()}; pass another --port or --host") from None
