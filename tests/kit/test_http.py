"""The outgoing client: when it stops, what it reads, what it never tells."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import subprocess
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline.kit.http import Answer, Http, HttpRefused, HttpUnreachable, retry_after
from tests.support.peers import OK, Peer, answering, dripping, get

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def test_redirects_are_answers(peer: Callable[..., Peer]) -> None:
    """Never followed, and the endless body of one is not read beyond the cap."""
    server = peer(answering(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 50_000))
    answer = get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/", most=100)
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")
    assert (len(answer.body), answer.truncated) == (100, True)
    assert server.connections == 1


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n", b""],
    ids=["body", "header", "until close", "status line"],
)
def test_one_byte_after_the_other_ends_at_the_deadline(peer: Callable[..., Peer], head: bytes) -> None:
    """Wherever the dripping begins; the request may have taken effect."""
    server = peer(dripping(head))
    began = time.monotonic()
    with pytest.raises(HttpUnreachable, match="in time") as caught:
        get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/", seconds=0.5, most=10**6)
    assert 0.4 < time.monotonic() - began < 1.5
    assert caught.value.sent


def test_a_dripping_handshake_ends_at_the_deadline(peer: Callable[..., Peer]) -> None:
    """The request itself had not left."""
    server = peer(dripping(b"\x16\x03\x03\x40\x00"))
    began = time.monotonic()
    with pytest.raises(HttpUnreachable) as caught:
        get(Http([f"127.0.0.1:{server.port}"]), f"https://127.0.0.1:{server.port}/", seconds=0.5)
    assert time.monotonic() - began < 1.5
    assert not caught.value.sent


def test_a_peer_that_does_not_read_ends_at_the_deadline(peer: Callable[..., Peer]) -> None:
    """A large body into a full window."""
    server = peer(lambda _connection: time.sleep(5))
    began = time.monotonic()
    with pytest.raises(HttpUnreachable) as caught:
        Http([f"127.0.0.1:{server.port}"]).request(
            "PUT", f"http://127.0.0.1:{server.port}/", body=b"x" * 20_000_000, deadline=0.5, max_bytes=10
        )
    assert time.monotonic() - began < 1.5
    assert caught.value.sent


def test_a_lookup_that_hangs_ends_at_the_deadline() -> None:
    """The system's resolver takes no timeout; ours does."""

    def resolve(_host: str) -> Sequence[str]:
        time.sleep(3)
        return ()

    began = time.monotonic()
    with pytest.raises(HttpUnreachable) as caught:
        get(Http(resolve=resolve), "http://slow.example/", seconds=0.3)
    assert time.monotonic() - began < 1
    assert not caught.value.sent


def test_nothing_was_sent_where_nothing_was_reached(peer: Callable[..., Peer]) -> None:
    """A refused connection and an unknown name may be repeated without a thought."""
    server = peer(answering(OK))
    server.close()
    with pytest.raises(HttpUnreachable, match="refused") as caught:
        get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/")
    assert not caught.value.sent

    def resolve(_host: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(HttpUnreachable, match="looked up") as caught:
        get(Http(resolve=resolve), "http://nowhere.example/")
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "closed"),
        (b"rubbish\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "127.0.0.1"),
    ],
)
def test_half_an_answer_is_none(peer: Callable[..., Peer], reply: bytes, words: str) -> None:
    """Closed, cut or garbled after the request arrived: ambiguous."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    server = peer(behave)
    with pytest.raises(HttpUnreachable, match=words) as caught:
        get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/")
    assert caught.value.sent


@pytest.mark.parametrize(("most", "size"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_no_more_than_asked_for_is_read(peer: Callable[..., Peer], most: int, size: int) -> None:
    """And it is said when there was more."""
    server = peer(answering(OK))
    answer = get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/", most=most)
    assert (len(answer.body), answer.truncated) == (size, most < 2)


def test_a_compressed_answer_is_not_inflated(peer: Callable[..., Peer]) -> None:
    """We ask for identity; who compresses all the same does not make us pay for it."""
    server = peer(answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"))
    assert get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/").body == b"\x1f\x8b\x08\x00"


def test_connections_are_used_again_but_not_when_stale(peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection for several requests, a new one after idling, and never a cookie."""
    seen: list[bytes] = []
    server = peer(answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", seen))
    http = Http([f"127.0.0.1:{server.port}"])
    url = f"http://127.0.0.1:{server.port}/"
    for _ in range(5):
        get(http, url)
    assert server.connections == 1
    monkeypatch.setattr("pipeline.kit.http._IDLE_SECONDS", -1.0)
    get(http, url)
    get(http, url)
    assert server.connections == 2
    assert not any(b"cookie" in request.lower() for request in seen)


def test_connections_that_nobody_uses_are_closed_though_nothing_else_is_asked(
    peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd was told at once; nobody waits for the next time with a socket for each."""
    monkeypatch.setattr("pipeline.kit.http._IDLE_SECONDS", 0.3)
    together, ended = threading.Barrier(8), threading.Semaphore(0)

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        together.wait(30)
        connection.sendall(OK)
        assert connection.recv(65536) == b""
        ended.release()

    server = peer(behave)
    http = Http([f"127.0.0.1:{server.port}"])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(http, f"http://127.0.0.1:{server.port}/", seconds=30).status, range(8)))
    assert answers == [200] * 8
    assert all(ended.acquire(timeout=30) for _ in range(8))


def test_the_environment_is_not_asked(peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither proxies nor .netrc."""
    seen: list[bytes] = []
    server = peer(answering(OK, seen))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert get(Http([f"127.0.0.1:{server.port}"]), f"http://127.0.0.1:{server.port}/").status == 200
    assert b"authorization" not in seen[0].lower()


def test_errors_and_logs_keep_secrets(peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture) -> None:
    """Neither query nor headers nor body, in messages, tracebacks or log lines at any level."""
    caplog.set_level(logging.DEBUG)

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)

    server = peer(behave)
    texts = []
    for url in (f"http://127.0.0.1:{server.port}/p?token=canary", "http://u:canary@h/", "http://127.0.0.1/?canary", "http://h:1/?canary"):
        with pytest.raises((HttpRefused, HttpUnreachable)) as caught:
            Http([f"127.0.0.1:{server.port}"]).request(
                "POST", url, headers={"Authorization": "Bearer canary"}, body=b"canary", deadline=2, max_bytes=9
            )
        error: BaseException | None = caught.value
        while error is not None:
            texts.append(str(error))
            error = error.__cause__ or error.__context__
        # Line by line the traceback shows this file's own source; what the errors say is what counts.
        texts += traceback.format_exception_only(caught.value)
    assert "/p" in texts[0]
    talking = peer(answering(OK))
    assert get(Http([f"127.0.0.1:{talking.port}"]), f"http://127.0.0.1:{talking.port}/p?token=canary").status == 200
    assert not [text for text in texts + [record.getMessage() for record in caplog.records] if "canary" in text]


def test_many_threads_share_it(peer: Callable[..., Peer]) -> None:
    """Deadlines are each request's own: a slow one next door changes nothing."""
    fast, slow = peer(answering(OK)), peer(dripping(b"HTTP/1.1 200 OK\r\n\r\n"))
    http = Http([f"127.0.0.1:{fast.port}", f"127.0.0.1:{slow.port}"])

    def one(number: int) -> str:
        try:
            return str(
                get(
                    http,
                    f"http://127.0.0.1:{(slow if number % 4 == 0 else fast).port}/",
                    seconds=1.0 if number % 4 == 0 else 30.0,
                    most=10**6,
                ).status
            )
        except HttpUnreachable:
            return "late"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, range(40)))
    assert [o for i, o in enumerate(outcomes) if i % 4] == ["200"] * 30
    assert [o for i, o in enumerate(outcomes) if i % 4 == 0] == ["late"] * 10


def test_a_forked_child_makes_its_own_connections(peer: Callable[..., Peer]) -> None:
    """Two processes on one socket would read each other's answers."""
    server = peer(answering(OK))
    http = Http([f"127.0.0.1:{server.port}"])
    url = f"http://127.0.0.1:{server.port}/"
    get(http, url)
    child = os.fork()
    if child == 0:
        os._exit(0 if get(http, url).body == b"ok" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert get(http, url).body == b"ok"
    assert server.connections == 2


def test_closing_it_is_not_the_end(peer: Callable[..., Peer]) -> None:
    """The next request opens anew."""
    server = peer(answering(OK))
    http = Http([f"127.0.0.1:{server.port}"])
    for _ in range(2):
        assert get(http, f"http://127.0.0.1:{server.port}/").status == 200
        http.close()
    assert server.connections == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for news.example and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=news.example",
        "-addext",
        "subjectAltName=DNS:news.example",
        "-keyout",
        str(folder / "key"),
        "-out",
        str(folder / "cert"),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl here to make a certificate with")
    return str(folder / "cert"), str(folder / "key")


def test_tls_is_verified_against_the_name(peer: Callable[..., Peer], certificate: tuple[str, str]) -> None:
    """The name goes out as SNI and is what the certificate must hold, though an address was connected to."""
    names: list[object] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecure")

    server = peer(behave)
    allow = [f"news.example:{server.port}", f"other.example:{server.port}"]
    trusting = Http(allow, resolve=lambda _host: ("127.0.0.1",), ca_file=certificate[0])
    assert get(trusting, f"https://news.example:{server.port}/").body == b"secure"
    assert names == ["news.example"]
    for http, host in ((trusting, "other.example"), (Http(allow, resolve=lambda _host: ("127.0.0.1",)), "news.example")):
        with pytest.raises(HttpUnreachable, match="not trusted") as caught:
            get(http, f"https://{host}:{server.port}/")
        assert not caught.value.sent


def test_a_dripping_answer_over_tls_ends_at_the_deadline(peer: Callable[..., Peer], certificate: tuple[str, str]) -> None:
    """TLS records in time, the answer not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            dripping(b"HTTP/1.1 200 OK\r\n\r\n")(secure)

    server = peer(behave)
    http = Http([f"news.example:{server.port}"], resolve=lambda _host: ("127.0.0.1",), ca_file=certificate[0])
    began = time.monotonic()
    with pytest.raises(HttpUnreachable) as caught:
        get(http, f"https://news.example:{server.port}/", seconds=0.6, most=10**6)
    assert time.monotonic() - began < 1.6
    assert caught.value.sent


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 5 "}, 5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:17:40 GMT"}, 60),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT", "date": "Thu, 01 Jan 1970 00:00:10 GMT"}, 20),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 604800),
        ({"retry-after": "\u0661\u0662"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    """Seconds or a date; rubbish is as if nothing was said."""
    assert retry_after(Answer(503, headers, b""), now=1000.0) == expected
