"""Serve the page from memory, and update it as records appear."""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from robench.errors import DataError, RobenchError
from robench.leaderboard.site.pages import Pages, pages
from robench.leaderboard.tables import leaderboard
from robench.records.store import Store
from robench.run.status import running

LIVE = "live.json"
TIMEOUT = 20.0
"""Seconds that a client has to send its request, and to take each part of the answer."""
CLIENTS = 64
"""Connections that are answered at the same time; further ones wait, or are closed after ``TIMEOUT``."""
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
        self._results, self.warn = results, warn
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
            self.warn(str(error))  # the folder is gone; the last page stays
        except Exception as error:  # a record that no reader expects must not end the renewal of the page
            self.warn(f"the page is not renewed: {type(error).__name__}: {error}")

    def _make(self) -> Pages:
        records = Store(self._results).read(self.warn)
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

    It answers GET and HEAD. It refuses requests for a host name that may be another's: a page of a stranger, whose name
    leads to this machine, could otherwise read the records (DNS rebinding). Addresses, names without a dot, `host` and
    the name of this machine are answered.

    Raises:
        DataError: The port is taken or not allowed, or the host is unknown.
    """

    class Server(ThreadingHTTPServer):
        free = threading.BoundedSemaphore(CLIENTS)

        def process_request(self, request: Any, client_address: Any) -> None:
            """Answer in a thread of its own; close the connection if too many are open for too long."""
            if not self.free.acquire(timeout=TIMEOUT):
                self.shutdown_request(request)
                return
            try:
                super().process_request(request, client_address)
            except BaseException:
                self.free.release()
                raise

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.free.release()

        @property
        def names(self) -> set[str]:
            return {name.lower().rstrip(".") for name in (host, self.server_name, platform.node())}

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of clients that went away; of a bug, name it in one line."""
            error = sys.exception()
            if not isinstance(error, OSError):
                live.warn(f"cannot answer a request: {type(error).__name__}: {error}")

    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT
        server: Server

        def handle(self) -> None:
            # A timeout of the socket counts from byte to byte; this one is for the whole request.
            self._limit = threading.Timer(TIMEOUT, self._hang_up)
            self._limit.daemon = True
            self._limit.start()
            try:
                super().handle()
            finally:
                self._limit.cancel()

        def _hang_up(self) -> None:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def parse_request(self) -> bool:
            is_request = super().parse_request()
            self._limit.cancel()
            if not is_request:
                return False
            try:
                asked = urlsplit(self.path)
                hosts = [*self.headers.get_all("Host", []), *([asked.netloc] if asked.netloc else [])]
                is_ours = all(_is_own(urlsplit(f"//{each}").hostname or "", self.server.names) for each in hosts)
                self.file = unquote(asked.path).removeprefix("/")
            except ValueError:
                self.send_error(HTTPStatus.BAD_REQUEST, "the address is malformed")
                return False
            if not is_ours:
                name = ascii(hosts[-1])[:100]
                self.send_error(HTTPStatus.MISDIRECTED_REQUEST, f"{name} is not served here; start with --host NAME")
            return is_ours

        def do_GET(self) -> None:
            content = live.file(self.file)
            if content is None:
                self.send_error(HTTPStatus.NOT_FOUND, "no such file")
            else:
                kind = Path(self.file or "index.html").suffix
                self._answer(HTTPStatus.OK, content, TYPES.get(kind, TYPES[""]))

        def do_HEAD(self) -> None:
            self.do_GET()

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            """Answer with one line of plain text."""
            status = HTTPStatus(code)
            self.close_connection = True
            self._answer(status, f"robench: {message or status.phrase.lower()}\n".encode(), TYPES[""])

        def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
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
        return Server((host, port), Handler)
    except OverflowError:
        raise DataError(f"port {port} does not exist; expected 0 to 65535") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot serve on {host}:{port}: {reason.lower()}; pass another --port or --host") from None


def _is_own(name: str, names: set[str]) -> bool:
    """Return whether no stranger can make the host `name` lead here; an empty one is of a client that names none."""
    name = name.lower().rstrip(".")
    if "." not in name and ":" not in name:  # the public DNS has no such names
        return True
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return name in names or name.endswith(".localhost")
