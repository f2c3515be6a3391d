"""What only a server can get wrong, and what follows from each answer."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from pipeline.backends import Backend, open_backend
from pipeline.kit.http import Http
from pipeline.model.errors import ConfigError, Permanent, Transient
from tests.support.put_server import Fault, PutServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "Bearer canary-5f3a"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PutServer]:
    """A server that behaves."""
    with PutServer(tmp_path, TOKEN) as made:
        yield made


@pytest.fixture
def backend(server: PutServer) -> Backend:
    """A backend over it."""
    return open_backend("http", root_or_url=server.url, http=Http([server.authority]), token=TOKEN)


def test_a_put_carries_token_and_media_type(server: PutServer, backend: Backend) -> None:
    """And the name of the program; reading asks past caches."""
    backend.put("a/page.html", b"x", "text/html; charset=utf-8", 1)
    backend.get("a/page.html")
    put, get = server.seen
    assert (put.method, put.path, put.headers["authorization"]) == ("PUT", "/a/page.html", TOKEN)
    assert put.headers["content-type"] == "text/html; charset=utf-8"
    assert put.headers["user-agent"].startswith("Pressrun/")
    assert (get.headers["cache-control"], get.headers["accept-encoding"]) == ("no-cache", "identity")


def test_another_header_can_carry_the_token(tmp_path: Path) -> None:
    """As some gateways want it."""
    with PutServer(tmp_path, "abc", token_header="X-Api-Key") as server:
        http = Http([server.authority])
        open_backend("http", root_or_url=server.url, http=http, token="abc", token_header="X-Api-Key").put("a", b"1", "text/plain", 1)
        with pytest.raises(Permanent, match="401"):
            open_backend("http", root_or_url=server.url, http=http, token="abc").put("a", b"2", "text/plain", 1)
        assert (tmp_path / "a").read_bytes() == b"1"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """Only when the server asks for it, each once."""
    with PutServer(tmp_path, TOKEN, need_mkcol=True) as server:
        backend = open_backend("http", root_or_url=server.url, http=Http([server.authority]), token=TOKEN)
        backend.put("a/b/c", b"1", "text/plain", 1)
        backend.put("a/b/d", b"2", "text/plain", 1)
        assert [seen.method for seen in server.seen] == ["PUT", "MKCOL", "MKCOL", "PUT", "PUT"]
        assert (tmp_path / "a" / "b" / "c").read_bytes() == b"1"


@pytest.mark.parametrize("method", ["put", "get", "stat", "delete"])
@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault.ERROR, Transient, "500"),
        (Fault.BUSY, Transient, "429"),
        (Fault.REFUSE, Permanent, "403"),
        (Fault.REDIRECT, Permanent, "302"),
        (Fault.RESET, Transient, "closed"),
    ],
)
def test_what_follows_from_an_answer(
    server: PutServer, backend: Backend, fault: Fault, error: type[Exception], words: str, method: str
) -> None:
    """Retry what may pass, give up what will not; redirects are never followed."""
    server.fault = fault
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: backend.put("a", b"x", "text/plain", 1),
        "get": lambda: backend.get("a"),
        "stat": lambda: backend.stat("a"),
        "delete": lambda: backend.delete("a", 1),
    }
    with pytest.raises(error, match=words) as caught:
        acts[method]()
    assert type(caught.value) is error
    assert len(server.seen) == 1
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "least", "most"), [("7", 7, 7), ("0", 0, 0), ("soon", None, None), ("-3", None, None), ("9" * 12, 604800, 604800)]
)
def test_retry_after_in_seconds(server: PutServer, backend: Backend, said: str, least: float | None, most: float | None) -> None:
    """Carried with the error; nonsense is as if nothing was said."""
    server.fault, server.retry_after = Fault.BUSY, said
    with pytest.raises(Transient) as caught:
        backend.put("a", b"x", "text/plain", 1)
    assert caught.value.retry_after == (None if least is None else pytest.approx(least, abs=(most or 0) - least))


def test_retry_after_as_a_date(server: PutServer, backend: Backend) -> None:
    """Counted from the answer's own Date; one that has passed means now."""
    server.fault = Fault.BUSY
    for ahead, expected in ((90, 90), (-90, 0)):
        server.retry_after = formatdate(time.time() + ahead, usegmt=True)
        with pytest.raises(Transient) as caught:
            backend.put("a", b"x", "text/plain", 1)
        assert caught.value.retry_after == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.DRIP])
def test_a_deaf_or_dripping_server_costs_one_deadline(
    server: PutServer, backend: Backend, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transient, after the whole deadline and not after one byte more."""
    monkeypatch.setattr("pipeline.backends.http._SECONDS", 0.6)
    server.fault = fault
    began = time.monotonic()
    with pytest.raises(Transient, match="in time"):
        backend.put("a", b"x", "text/plain", 1)
    assert time.monotonic() - began < 2


def test_truncation_and_lies_show_when_read_back(server: PutServer, backend: Backend) -> None:
    """The server says 201; only comparing bytes finds it out, and a repeat mends it."""
    server.fault = Fault.TRUNCATE
    backend.put("a", b"0123456789", "text/plain", 1)
    assert backend.get("a") == b"01234"
    server.fault = Fault.LIE
    backend.put("a", b"0123456789", "text/plain", 1)
    assert backend.get("a") != b"0123456789"
    server.fault = Fault.CUT
    with pytest.raises(Transient, match="too early"):
        backend.get("a")
    server.fault = Fault.NONE
    assert backend.get("a") == b"0123456789"


def test_gone_counts_as_deleted(server: PutServer, backend: Backend) -> None:
    """404 and 410 both answer a delete, and reading finds nothing."""
    backend.put("a/index.html", b"notice", "text/html", 1)
    backend.put("a/.gone", b"", "text/plain", 1)
    assert backend.get("a/index.html") is None
    assert backend.stat("a/index.html") is None
    backend.delete("b", 1)
    assert server.seen[-1].method == "DELETE"


def test_a_server_that_is_not_there_is_transient(tmp_path: Path) -> None:
    """Refused connections pass when it comes back; a private address not on the list never does."""
    with PutServer(tmp_path) as server:
        url, authority = server.url, server.authority
    with pytest.raises(Transient, match="refused"):
        open_backend("http", root_or_url=url, http=Http([authority])).put("a", b"", "text/plain", 1)
    with pytest.raises(Permanent, match="80 and 443"):
        open_backend("http", root_or_url=url, http=Http()).put("a", b"", "text/plain", 1)
    with pytest.raises(Permanent, match="public internet"):
        open_backend("http", root_or_url="http://127.0.0.1/", http=Http()).put("a", b"", "text/plain", 1)


@pytest.mark.parametrize("url", ["", "mirror", "ftp://h/", "http://h", "https://h/x", "https://h/?a=/", "https:///"])
def test_a_target_that_is_no_folder_of_a_server_is_refused(url: str) -> None:
    """When the backend is opened, not at the first delivery."""
    with pytest.raises(ConfigError, match="slash"):
        open_backend("http", root_or_url=url, http=Http())
