"""Board: server-side request forgery. Of all spellings of all inner addresses none is connected to, and no redirect or second lookup helps."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pipeline.kit import addresses, deadline
from pipeline.kit.http import Http, HttpRefused, HttpUnreachable
from tests.boards import hosts
from tests.boards.board import none_of
from tests.support.peers import OK, Peer, answering, get

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What a socket was about to connect to; nothing is."""
    seen: list[tuple[str, int]] = []

    def dial(address: str, port: int, _share: int) -> socket.socket:
        seen.append((address, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(deadline, "dial", dial)
    return seen


def urls() -> Iterator[str]:
    """Each host with the two schemes, and what is spelled otherwise altogether."""
    for number, host in enumerate(dict.fromkeys(hosts.spellings())):
        yield f"{'https' if number % 2 else 'http'}://{host}{('/', '', ':80/', ':443/x?y#z')[number % 4]}"
    yield from hosts.OTHER_URLS


def _lookup(host: str) -> Sequence[str]:
    """The system's resolver for what it reads as a number; a name is looked up nowhere, and is an inner one here."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError, ValueError):
        host.encode("idna")
        return ("127.0.0.1",)
    return tuple(str(entry[4][0]) for entry in found)


def test_no_spelling_of_an_inner_address_is_dialled(dialled: list[tuple[str, int]]) -> None:
    """Refused before a socket is made, by the numbers the system's own resolver makes of the spelling."""
    tried, failed = list(urls()), list[object]()
    http = Http(resolve=_lookup)
    for url in tried:
        dialled.clear()
        try:
            get(http, url, seconds=3)
        except HttpRefused:
            pass
        except HttpUnreachable as error:
            inner = [address for address, _ in dialled if not addresses.is_public(address)]
            if inner or not dialled:
                failed.append((url, dialled.copy(), str(error)))
        except Exception as error:  # noqa: BLE001 - what the board is there to find
            failed.append((url, repr(error)))
    none_of(tried, failed, least=2000)


def test_a_public_address_may_be_spelled_strangely(dialled: list[tuple[str, int]]) -> None:
    """The guard judges numbers and not looks: where the resolver makes a public address of a spelling, that one is dialled, and it alone."""
    http, through = Http(resolve=_lookup), set()
    for host in hosts._ipv4("93.184.215.14"):
        dialled.clear()
        try:
            get(http, f"http://{host}/", seconds=3)
        except (HttpRefused, HttpUnreachable):
            through |= {address for address, _ in dialled}
    assert "93.184.215.14" in through
    assert all(addresses.is_public(address) for address in through)


def test_a_listener_on_loopback_hears_nothing() -> None:
    """Without any stand-in: a real socket, the system's resolver, the port of the listener, which the operator listed under another name."""
    peer = Peer(answering(OK))
    http = Http([f"listed.example:{peer.port}"])
    tried = [
        f"http://{host}:{peer.port}/" for host in dict.fromkeys(hosts.spellings()) if ":" not in host.strip("[]") or host.startswith("[")
    ]
    failed = []
    for url in tried:
        try:
            failed.append((url, get(http, url, seconds=3)))
        except (HttpRefused, HttpUnreachable):
            continue
    peer.close()
    none_of(tried, failed, least=1500)
    assert peer.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """Wherever it points and however it is spelled: it is an answer, and the place it names hears nothing."""
    inner = Peer(answering(OK))
    targets = [
        f"http://127.0.0.1:{inner.port}/",
        f"//127.0.0.1:{inner.port}/",
        f"http://localhost:{inner.port}/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "/",
        "\x00",
        "http://[",
        "x" * 9000,
    ]
    for target in targets:
        raw = f"HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nRefresh: 0;url={target}\r\nContent-Length: 0\r\n\r\n".encode()
        outer = Peer(answering(raw))
        try:
            assert get(Http([f"127.0.0.1:{outer.port}"]), f"http://127.0.0.1:{outer.port}/").status == status
        except HttpUnreachable as error:
            assert "not HTTP" in str(error) or "failed" in str(error)
        assert outer.connections == 1
        outer.close()
    inner.close()
    assert inner.connections == 0


def test_a_name_that_changes_its_mind_is_asked_once(dialled: list[tuple[str, int]]) -> None:
    """Public at the first lookup, inner at the second; or both in one answer, in any order."""
    public, asked = "93.184.215.14", set()
    inner = dict(enumerate((*hosts.INNER, *hosts.INNER6)))

    def resolve(host: str) -> Sequence[str]:
        kind, _, rest = host.partition("-")
        bad = inner[int(rest.partition(".")[0])]
        first = host not in asked
        asked.add(host)
        return {"changes": (public if first else bad,), "after": (public, bad), "before": (bad, public), "late": (*[public] * 9, bad)}[kind]

    http = Http(resolve=resolve)
    for number in inner:
        dialled.clear()
        with pytest.raises(HttpUnreachable):
            get(http, f"http://changes-{number}.example/")
        assert dialled == [(public, 80)]
        for kind in ("changes", "after", "before", "late"):
            with pytest.raises(HttpRefused):
                get(http, f"http://{kind}-{number}.example/")
        assert len(dialled) == 1
