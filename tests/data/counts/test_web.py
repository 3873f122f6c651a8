from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from interp.data.counts.web import API_URL, InfiniGram, InfiniGramError, WebCount
from interp.data.windows import WindowError
from interp.files import OutputError

GOOD = {"count": 12, "approx": False, "latency": 0.5, "token_ids": [3, 4], "tokens": ["a", "b"]}


class Server(ThreadingHTTPServer):
    """Answers on loopback with what it was told to, in order, the last for ever; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[tuple[int, Any, dict[str, str], float]] = []
        self.asked: list[tuple[float, dict[str, Any]]] = []

    def will(self, status: int, body: Any, *, headers: dict[str, str] | None = None, delay: float = 0.0) -> Server:
        self.script.append((status, body, headers or {}, delay))
        return self


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((time.monotonic(), question))
        script = self.server.script
        status, body, headers, delay = script.pop(0) if len(script) > 1 else script[0]
        time.sleep(delay)
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except BrokenPipeError:  # a client that gave up waiting
            pass

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def client(server: Server, tmp_path: Path, **settings: Any) -> InfiniGram:
    options: dict[str, Any] = {"min_interval": 0.0, "first_wait": 0.01, "timeout": 5.0, **settings}
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    return InfiniGram("v4_test", cache=tmp_path / "cache" / "answers.sqlite", url=url, **options)


def test_question_and_answer(server: Server, tmp_path: Path) -> None:
    server.will(200, GOOD)
    assert client(server, tmp_path).count("a b") == WebCount(count=12, approximate=False, n_tokens=2)
    assert [q for _, q in server.asked] == [{"index": "v4_test", "query_type": "count", "query": "a b"}]


def test_approximate_counts_are_flagged(server: Server, tmp_path: Path) -> None:
    server.will(200, {**GOOD, "approx": True}).will(200, GOOD)
    frame = client(server, tmp_path).count_all(["a b", "c"])
    assert frame["approximate"].tolist() == [True, False]
    assert client(server, tmp_path).count("a b").approximate


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, "slow down"),
        (500, "oops"),
        (503, GOOD),
        (200, "{broken"),
        (200, {"latency": 1}),
        (200, [1]),
        (200, {**GOOD, "count": -1}),
        (200, {**GOOD, "count": None}),
    ],
)
def test_a_server_that_stumbles_is_asked_again(server: Server, tmp_path: Path, status: int, body: Any) -> None:
    server.will(status, body).will(status, body).will(200, GOOD)
    assert client(server, tmp_path).count("a b").count == 12
    assert len(server.asked) == 3


def test_a_slow_server_is_given_up_and_asked_again(server: Server, tmp_path: Path) -> None:
    server.will(200, {**GOOD, "count": 1}, delay=1.0).will(200, GOOD)
    assert client(server, tmp_path, timeout=0.2).count("a b").count == 12


def test_attempts_are_limited_and_nothing_wrong_is_kept(server: Server, tmp_path: Path) -> None:
    server.will(500, "oops")
    with pytest.raises(InfiniGramError, match="did not answer for index 'v4_test' in 3 attempts; last: status 500"):
        client(server, tmp_path, n_attempts=3).count("a b")
    assert len(server.asked) == 3
    server.script[:] = [(200, GOOD, {}, 0.0)]
    assert client(server, tmp_path).count("a b").count == 12


def test_pauses_grow_and_follow_the_server(server: Server, tmp_path: Path) -> None:
    server.will(500, "").will(500, "").will(429, "", headers={"Retry-After": "0.5"}).will(200, GOOD)
    client(server, tmp_path, first_wait=0.05).count("a b")
    first, second, third = (b[0] - a[0] for a, b in zip(server.asked, server.asked[1:], strict=False))
    assert first >= 0.05
    assert second >= 0.1
    assert third >= 0.5


def test_requests_are_spaced(server: Server, tmp_path: Path) -> None:
    server.will(200, GOOD)
    start = time.monotonic()
    client(server, tmp_path, min_interval=0.15).count_all(["a", "b", "c"])
    assert time.monotonic() - start >= 2 * 0.15
    assert len(server.asked) == 3


def test_answers_are_kept_on_disk_by_index(server: Server, tmp_path: Path) -> None:
    server.will(200, GOOD)
    first = client(server, tmp_path)
    assert first.count("a b") == first.count("a b") == client(server, tmp_path).count("a b")
    assert len(server.asked) == 1
    other = InfiniGram("v4_other", cache=first.cache, url=first.url, min_interval=0.0)
    other.count("a b")
    assert len(server.asked) == 2


@pytest.mark.parametrize(("status", "body"), [(400, "bad request"), (200, {"error": "Invalid index: v4_test"})])
def test_a_refusal_is_not_repeated(server: Server, tmp_path: Path, status: int, body: Any) -> None:
    server.will(status, body)
    with pytest.raises(InfiniGramError, match="refused index 'v4_test'"):
        client(server, tmp_path).count("a b")
    assert len(server.asked) == 1


def test_no_server_and_no_query(tmp_path: Path) -> None:
    nobody = InfiniGram(
        "v4_test", cache=tmp_path / "a.sqlite", url="http://127.0.0.1:9/", first_wait=0.01, n_attempts=2
    )
    with pytest.raises(InfiniGramError, match="ConnectError"):
        nobody.count("a")
    with pytest.raises(InfiniGramError, match="empty query"):
        nobody.count("")


def test_a_file_of_something_else_is_refused_and_stays(tmp_path):
    other = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE places (name TEXT)")
    text = tmp_path / "text"
    text.write_text("mine, and long enough to be looked at as a database of 512 bytes" * 20)
    damaged = tmp_path / "damaged.sqlite"
    InfiniGram("i", cache=damaged)
    with contextlib.closing(sqlite3.connect(damaged)) as database, database:
        database.execute("INSERT INTO answers VALUES (?, 'i', 'q', '{\"count\": -1}')", (API_URL,))
    for cache, said in (
        (other, "is another database"),
        (text, "not a database"),
        (damaged, "an answer in .* is damaged"),
    ):
        before = cache.read_bytes()
        with pytest.raises(InfiniGramError, match=said):
            InfiniGram("i", cache=cache).count("q")
        assert cache.read_bytes() == before
    for cache in (tmp_path, Path("/dev/null"), text / "below"):
        with pytest.raises(OutputError):
            InfiniGram("i", cache=cache)


@pytest.mark.parametrize("url", ["", "x", "file:///etc/passwd", "http://", "http://[::1", "\ud800"])
def test_an_address_of_no_service_is_refused_before_it_is_asked(url, tmp_path):
    with pytest.raises(InfiniGramError, match="is not an address"):
        InfiniGram("v4", cache=tmp_path / "answers.sqlite", url=url)
    assert not list(tmp_path.iterdir())


def test_half_a_character_is_no_query(tmp_path):
    client = InfiniGram("v4", cache=tmp_path / "answers.sqlite", url="http://127.0.0.1:1/")
    with pytest.raises(WindowError, match="the query has half of a character"):
        client.count("a \ud800")
