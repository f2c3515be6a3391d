"""Clients that drip: whatever part of a request they drip, they are closed in time; those that only rest are not."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.web import deadlines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

PATIENCE = 30.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


async def _read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def _ignore(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture(params=[HttpToolsProtocol, H11Protocol])
def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server over each of uvicorn's protocols, with a limit of a moment."""
    monkeypatch.setattr(deadlines, "SECONDS", 0.4)
    app = Starlette(routes=[Route("/", _ignore, methods=["GET", "POST"]), Route("/read", _read, methods=["POST"])])
    config = uvicorn.Config(app, http=deadlines.bounded(request.param), log_config=None, timeout_keep_alive=20)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)
    listener.close()


def closed(line: socket.socket, drip: bytes) -> bytes:
    """Send one byte after the other until the other side closes; what it said. Fails where it never does."""
    line.settimeout(0.05)
    ends, said, left = time.monotonic() + PATIENCE, b"", list(drip)
    while time.monotonic() < ends:
        try:
            if left:
                line.send(bytes([left.pop(0)]))
            if (data := line.recv(1000)) == b"":
                return said
            said += data
        except TimeoutError:
            continue
        except OSError:
            return said
    pytest.fail("it is still open")


@pytest.mark.parametrize(
    ("first", "drip", "said"),
    [
        (b"", b"", b" 408 "),
        (b"", b"GET / HTTP/1.1\r\nHost: " + b"x" * 500, b" 408 "),
        (b"", b"\r\n" * 300, b" 40"),  # one of them refuses it at once, with 400
        (POST % b"read", b"x" * 9, b""),
        (POST % b"", b"x" * 9, b" 200 "),
        (GET, b"GET / HTTP/1.1\r\nHost: " + b"x" * 500, b" 408 "),
    ],
    ids=["nothing", "a head", "empty lines", "a body that is read", "a body nobody reads", "a second head"],
)
def test_whoever_drips_is_closed(port: int, first: bytes, drip: bytes, said: bytes) -> None:
    """However it drips, its time is up at the same moment."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as line:
        line.sendall(first)
        assert said in closed(line, drip)


def test_whoever_rests_between_requests_stays(port: int) -> None:
    """Several times as long as a request may take: the connection serves the next one."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as line:
        for _ in range(3):
            line.sendall(GET)
            answer: Any = b""
            while not answer.endswith(b"hello"):
                answer += line.recv(1000)
            time.sleep(deadlines.SECONDS * 2)
