"""Where the outgoing client will not go, and what it will not send."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kit import addresses
from pipeline.kit.http import Http, HttpRefused, HttpUnreachable
from tests.support.peers import OK, Peer, answering, get

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_SPELLINGS = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.01 0 0.0.0.0 localhost LOCALHOST localhost.
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::]
[2001:0:7f00:1::] [fec0::1] [fe80::1] [fc00::1] [fd00:ec2::254] [ff02::1] [100::1] [5f00::1] [2001:db8::1] [3fff::1]
169.254.169.254 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 100.100.100.200 192.0.0.9 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1
203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 0.1.2.3 127.255.255.254 ①②⑦.⓪.⓪.① 127。0。0。1
"""
SPELLINGS = _SPELLINGS.split()


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_an_inner_address_is_reached(host: str, peer: Callable[..., Peer]) -> None:
    """Ports 80 and 443 of whatever it resolves to; nobody is connected to."""
    for url in (f"http://{host}/", f"https://{host}/x?y"):
        with pytest.raises((HttpRefused, HttpUnreachable)) as caught:
            get(Http(), url, seconds=3)
        if isinstance(caught.value, HttpUnreachable):
            assert "looked up" in str(caught.value)  # this resolver does not know the spelling


def test_the_corpus_is_not_small() -> None:
    """At least as many spellings as plain requests was tried with."""
    assert len(set(SPELLINGS)) >= 24


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_listed_port_does_not_open_other_spellings(host: str, peer: Callable[..., Peer]) -> None:
    """The allow-list is read as it is spelled: `127.0.0.1:p` does not mean `localhost:p`."""
    server = peer(answering(OK))
    if host == "127.0.0.1":
        assert get(Http([f"127.0.0.1:{server.port}"]), f"http://{host}:{server.port}/").body == b"ok"
        return
    with pytest.raises((HttpRefused, HttpUnreachable)):
        get(Http([f"127.0.0.1:{server.port}"]), f"http://{host}:{server.port}/", seconds=3)
    assert server.connections == (1 if host in {"①②⑦.⓪.⓪.①", "127。0。0。1"} and server.connections else 0)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_are_public(address: str) -> None:
    """The guard refuses nothing that is handed out for the internet."""
    assert addresses.is_public(address)


@given(st.ip_addresses())
def test_what_is_public_is_nobodys_own(ip: object) -> None:
    """Both can be false (multicast), never both true; IPv6 outside 2000::/3 is never public."""
    assert not (addresses.is_public(str(ip)) and addresses.is_own(str(ip)))


@given(st.ip_addresses(v=4))
def test_an_address_wrapped_in_ipv6_is_never_public(ip: object) -> None:
    """Mapped, compatible, NAT64 and 6to4: all of them lead to IPv4 on some network."""
    number = int(ip)  # type: ignore[call-overload]
    high, low = number >> 16, number & 0xFFFF
    for form in (f"::ffff:{ip}", f"::{ip}", f"64:ff9b::{ip}", f"2002:{high:x}:{low:x}::1"):
        assert not addresses.is_public(form)


def test_no_link_local_address_is_ones_own() -> None:
    """Metadata services stay closed even where private addresses are allowed."""
    for address in ("169.254.169.254", "fe80::1", "fd00:ec2::254", "224.0.0.1", "0.0.0.0", "rubbish"):
        assert not addresses.is_own(address)
    assert all(addresses.is_own(a) for a in ("127.0.0.1", "10.1.2.3", "::1", "fd12::1"))


def test_one_inner_address_among_many_refuses_all() -> None:
    """A name that resolves to a public and a private address is an attack or a mistake."""
    with pytest.raises(HttpRefused):
        get(Http(resolve=lambda _host: ("93.184.215.14", "127.0.0.1")), "http://two.example/")


def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes between check and use (rebinding) is asked for once only."""
    answers = iter([("93.184.215.14",), ("127.0.0.1",), ("127.0.0.1",)])
    dialled: list[str] = []

    def dial(address: str, _port: int, _share: int) -> socket.socket:
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("pipeline.kit.http.deadline.dial", dial)
    http = Http(resolve=lambda _host: next(answers))
    with pytest.raises(HttpUnreachable) as caught:
        get(http, "http://rebind.example/")
    assert dialled == ["93.184.215.14"]
    assert not caught.value.sent
    with pytest.raises(HttpRefused):
        get(http, "http://rebind.example/")
    assert dialled == ["93.184.215.14"]


def test_every_address_is_tried_and_the_host_name_is_kept(peer: Callable[..., Peer]) -> None:
    """The second address answers; the peer still sees the name."""
    seen: list[bytes] = []
    server = peer(answering(OK, seen))
    http = Http([f"news.example:{server.port}"], resolve=lambda _host: ("::1", "127.0.0.1"))
    assert get(http, f"http://news.example:{server.port}/p?q=1").status == 200
    assert seen[0].startswith(b"GET /p?q=1 HTTP/1.1\r\n")
    assert f"host: news.example:{server.port}".encode() in seen[0].lower()


def test_private_addresses_when_asked_for(peer: Callable[..., Peer]) -> None:
    """On any port; and what is open for one request stays closed for the next, pooled connections included."""
    server = peer(answering(OK))
    http = Http(resolve=lambda _host: ("127.0.0.1",))
    url = f"http://inner.example:{server.port}/"
    assert get(http, url, private=True).body == b"ok"
    with pytest.raises(HttpRefused, match="80 and 443"):
        get(http, url)
    with pytest.raises(HttpRefused):
        get(http, "http://inner.example/")
    with pytest.raises(HttpRefused):
        get(http, "http://169.254.169.254/", private=True)


def test_ipv6_pairs_can_be_listed(peer: Callable[..., Peer]) -> None:
    """Spelled with brackets, as in the URL."""
    try:
        server = peer(answering(OK), socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert get(Http([f"[::1]:{server.port}"]), f"http://[::1]:{server.port}/").status == 200


BAD_URLS = [
    "",
    "x",
    "//h/",
    "ftp://h/",
    "file:///etc/passwd",
    "gopher://h/",
    "javascript:alert(1)",
    "http://",
    "http:///x",
    "http://h:99999/",
    "http://u@h/",
    "http://u:p@h/",
    "http://h\\@e/",
    "http://h/\r\nX: y",
    "http://h/\0",
    "http://h /",
    " http://h/",
    "http://h/\ud800",
    "http://[::1",
    "http://%31%32%37.0.0.1/",
    "http://[fe80::1%25eth0]/",
    "http://h:22/",
    "http://h:6379/",
    "https://h:8443/",
    "http://h:x/",
    "http://" + "a" * 5000 + "/",
    "http://h\u00a0/",
    "http://a..b/",
    "http://" + "a" * 64 + ".example/",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_are_never_requested(url: str) -> None:
    """Refused before any lookup."""
    asked: list[str] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ("127.0.0.1",)

    with pytest.raises(HttpRefused):
        get(Http(resolve=resolve), url)
    if len(url) < 70 or "a" * 100 in url:
        assert asked in ([], ["a..b"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nY: b"),
        ("X", "a\nb"),
        ("X", "a\0"),
        ("X", "a\rb"),
        ("X\r\nY", "b"),
        ("X Y", "b"),
        ("", "b"),
        ("X", "\u0100"),
        ("Host", "other"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("X", "a" * 9000),
        ("X:", "b"),
    ],
)
def test_headers_that_are_never_sent(name: str, value: str) -> None:
    """Line ends, names that decide where a message ends, characters outside RFC 9110; the value is not repeated."""
    with pytest.raises(HttpRefused) as caught:
        Http().request("GET", "http://h.example/", headers={name: value}, deadline=1, max_bytes=1)
    assert len(value) < 3 or value not in str(caught.value)


@pytest.mark.parametrize("method", ["get", "GET ", "G\r\nET", "", "GET /"])
def test_methods_that_are_never_sent(method: str) -> None:
    """Capital letters only."""
    with pytest.raises(HttpRefused):
        Http().request(method, "http://h.example/", deadline=1, max_bytes=1)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1./", "http://127.1./", "http://example.org:0/", "http://168.63.129.16/", "http://168.63.129.16./"]
)
def test_what_can_be_seen_to_lead_nowhere_is_refused_before_it_is_dialled(url: str) -> None:
    """An address with the root's dot, a port that is none, an address in the public range that is a cloud's own."""
    with pytest.raises(HttpRefused):
        Http().check(url)
