"""robench serve: a real server on a free port, asked by a client and by a browser."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from robench.cli import main
from robench.contracts.context import Progress
from robench.leaderboard.site import serve as serving
from robench.leaderboard.site.serve import Live, server
from robench.run.status import StatusFile

from tests.helpers.results import result
from tests.helpers.site_fixtures import Page, add, chromium


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    add(folder, result(tuner="first"))
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def address(results: Path) -> Iterator[tuple[str, int]]:
    with server(Live(results, pytest.fail), "127.0.0.1", 0) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield "127.0.0.1", listening.server_port
        listening.shutdown()


def ask(address: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=False)  # the path as it is, without a client's tidying
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())
    finally:
        connection.close()


def eventually(found: Callable[[], Any], wanted: Any) -> None:
    """Wait until `found`, which another thread is working on, gives what is wanted."""
    deadline = time.monotonic() + 30
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, f"{last} never became {wanted}"
        time.sleep(0.02)


def rows(address: tuple[str, int]) -> list[str]:
    folder = json.loads(ask(address, "/live.json")[1])["folder"]
    _, text, _ = ask(address, f"/{folder}/board.js")
    return [row["tuner"] for row in json.loads(text.removeprefix("robench.show(").removesuffix(");\n"))["rows"]]


def test_the_page_and_all_it_names_are_served(address: tuple[str, int], results: Path) -> None:
    status, page, headers = ask(address, "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    for name in re.findall(r'(?:src|href)="([^"#:]+)"', page):
        status, text, _ = ask(address, f"/{name}?once")
        assert status == 200 and text, name
    (record,) = results.glob("*.json")
    status, text, headers = ask(address, f"/records/{record.name}")
    assert (status, text, headers["Content-Type"]) == (200, record.read_text(), "application/json")
    status, text, headers = ask(address, "/", "HEAD")
    assert (status, text, headers["Content-Length"]) == (200, "", str(len(page.encode())))


def test_a_new_record_appears_and_one_that_goes_is_gone(address: tuple[str, int], results: Path) -> None:
    assert rows(address) == ["first"]
    second = add(results, result(tuner="second", clean=20))
    eventually(lambda: rows(address), ["first", "second"])
    (results / f"{second.run_id}.json").unlink()
    eventually(lambda: rows(address), ["first"])


def test_a_run_under_way_is_told(address: tuple[str, int], results: Path) -> None:
    assert json.loads(ask(address, "/live.json")[1])["running"] == []
    file = StatusFile(results)
    spec = result(tuner="next").spec
    file.robench_run_started(spec, spec.run_id())
    (found,) = json.loads(ask(address, "/live.json")[1])["running"]
    assert found["run_id"] == spec.run_id() and found["name"] == "clip-tiny, next on leaf-synth, seed 0"
    file.robench_run_finished()
    assert json.loads(ask(address, "/live.json")[1])["running"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/records/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/records/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/records/..\\..\\secret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/records/",
        "/records/\x00",
        "/.running/",
        "/%ff",
    ],
)
def test_nothing_else_can_be_named(address: tuple[str, int], path: str) -> None:
    status, text, _ = ask(address, path.replace("\x00", "%00"))
    assert status == 404 and text == "robench: no such file\n"


def test_nothing_can_be_written(address: tuple[str, int]) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(address, "/", method)[0] == 501


def test_a_damaged_record_is_named_once_and_the_rest_is_shown(tmp_path: Path) -> None:
    add(tmp_path, result())
    (tmp_path / "0123456789ab.json").write_text("{")
    said: list[str] = []
    live = Live(tmp_path, said.append)
    assert live.pages() is live.pages()
    assert len(said) == 1 and "0123456789ab" in said[0]


def test_a_folder_without_records_is_served_until_there_are_some(tmp_path: Path) -> None:
    live = Live(tmp_path, pytest.fail)
    empty = live.pages()
    assert not empty.records
    add(tmp_path, result())
    eventually(lambda: len(live.pages().records), 1)


def test_a_folder_that_goes_away_leaves_what_was_shown(results: Path) -> None:
    said: list[str] = []
    live = Live(results, said.append)
    before = live.pages()
    for path in results.iterdir():
        path.unlink()
    results.rmdir()
    eventually(lambda: [live.pages() is before, len(said)], [True, 1])
    assert "no results at" in said[0]


@pytest.mark.slow
def test_the_browser_keeps_up(address: tuple[str, int], results: Path, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as browser:
        page = Page(browser).open("http://{}:{}/".format(*address))
        assert page.names() == ["first"]
        page.choose("order", "clean:desc")
        file = StatusFile(results)
        spec = result(tuner="next").spec
        file.robench_run_started(spec, spec.run_id())
        file._written = -1e9  # a second has passed
        file.robench_run_progress(Progress(stage="attack pgd", done=30, total=120))
        shown = page.until("const under = document.querySelector('#running'); return !under.hidden && under.innerText")
        assert "next on leaf-synth" in shown and "attack pgd" in shown and "30 of 120" in shown
        assert page.js("return document.querySelector('progress').value") == 30
        file.robench_run_finished()
        add(results, result(tuner="next", clean=95))
        page.until("return document.querySelectorAll('#tables .name').length === 2")
        assert page.names() == ["next", "first"], "the order chosen is kept"
        page.until("return document.querySelector('#running').hidden")
        assert "1 new run" in page.one("#news").text
        page.all("#tables .unfold")[0].click()
        page.one("#tables tr.run a").click()
        page.until("return document.querySelector('#detail-title')?.textContent.includes('next')")
        assert page.complaints() == []
        origin = "http://{}:{}/".format(*address)
        assert all(url.startswith((origin, "data:", "about:")) for url in page.requests())


def serve(*arguments: str) -> subprocess.Popen[str]:
    # What is started in the background of a script, as these tests may be, ignores Ctrl-C.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heard}; from robench.cli import main; main()", "serve", *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_ctrl_c_ends_it_cleanly(results: Path) -> None:
    process = serve("--results", str(results), "--port", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    port = re.match(r"http://127\.0\.0\.1:(\d+)/ shows", line)
    assert port is not None and ask(("127.0.0.1", int(port[1])), "/")[0] == 200
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0 and error == "robench: ended\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "{taken}"], "cannot serve on 127.0.0.1:{taken}: address already in use; pass another --port"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--host", "not-a-host.invalid"], "cannot serve on not-a-host.invalid:8000"),
        (["--results", "nowhere"], "no results at nowhere"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    arguments: list[str], message: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        given: list[Any] = [text.format(taken=port) for text in arguments]
        if "--results" not in given:
            given += ["--results", str(results)]
        elif "--port" not in given:
            given += ["--port", "0"]
        with pytest.raises(SystemExit) as exit_:
            main(["serve", *given])
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and message.format(taken=port) in error and error.count("\n") == 1


def raw(address: tuple[str, int], data: bytes) -> bytes:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize("target", ["http://[::1", "//[x/", "http://a]/live.json"])
def test_a_malformed_address_is_answered(address: tuple[str, int], target: str) -> None:
    assert raw(address, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).startswith(b"HTTP/1.0 4")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "EVIL.example.", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "[::1"],
)
def test_names_of_other_hosts_are_refused(address: tuple[str, int], host: str) -> None:
    answer = raw(address, f"GET /live.json HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.0 4") and b"folder" not in answer
    answer = raw(address, f"GET /live.json HTTP/1.1\r\nHost: localhost\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.0 4")
    assert raw(address, f"GET http://{host}/live.json HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.0 4")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "[::1]:1", "192.0.2.7", "desktop", "a.localhost"])
def test_addresses_and_own_names_are_answered(address: tuple[str, int], host: str) -> None:
    assert raw(address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).startswith(b"HTTP/1.0 200")


def test_clients_that_go_away_leave_no_traceback(address: tuple[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    big = max(re.findall(r'src="([^"]+)"', ask(address, "/")[1]), key=lambda name: "chart" in name)
    linger = struct.pack("ii", 1, 0)  # closes by a reset
    for _ in range(10):
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(f"GET /{big} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            connection.recv(1)
    assert ask(address, "/")[0] == 200
    time.sleep(0.3)
    assert capfd.readouterr().err == ""


def test_a_client_that_sends_its_request_too_slowly_is_cut_off(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "TIMEOUT", 0.3)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        start = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - start < 8:
                connection.sendall(b"X")
                time.sleep(0.05)
        assert time.monotonic() - start < 5


def test_few_connections_are_answered_at_the_same_time(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "CLIENTS", 2)
    with server(Live(results, pytest.fail), "127.0.0.1", 0) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        address = "127.0.0.1", listening.server_port
        before = threading.active_count()
        idle = [socket.create_connection(address, timeout=10) for _ in range(8)]
        time.sleep(0.3)
        assert threading.active_count() - before <= 4  # two that answer, each with its timer
        for connection in idle:
            connection.close()
        assert ask(address, "/")[0] == 200
        listening.shutdown()


@pytest.mark.skipif(sys.platform == "win32", reason="makes links")
def test_a_record_replaced_by_a_link_is_not_followed(results: Path, address: tuple[str, int]) -> None:
    (record,) = results.glob("*.json")
    before = record.read_text()
    record.unlink()
    record.symlink_to(results.parent / "secret.txt")
    for _ in range(3):
        assert "secret" not in ask(address, f"/records/{record.name}")[1]
    record.unlink()
    assert json.loads(before)
