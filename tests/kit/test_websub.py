"""The words of WebSub: what a form asks for, and what is said to callbacks."""

from __future__ import annotations

import contextlib
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.kit import websub

GOOD = {"hub.mode": "subscribe", "hub.topic": "https://news.example/feed", "hub.callback": "https://reader.example/x?y=1"}


def body(**changes: str) -> bytes:
    """A form."""
    return urlencode({**GOOD, **{name.replace("_", ".", 1): value for name, value in changes.items()}}).encode()


def test_a_request_is_read() -> None:
    """With everything, and with nothing but what is needed."""
    full = websub.parse(body(hub_lease_seconds="600", hub_secret="\u20ac s", x="y"))
    assert full == websub.Subscription("subscribe", GOOD["hub.topic"], GOOD["hub.callback"], 600, "\u20ac s")
    assert websub.parse(body()) == websub.Subscription("subscribe", GOOD["hub.topic"], GOOD["hub.callback"])
    assert websub.parse(
        b"hub.mode=publish&hub.url=http://a.example/&hub.topic=http://b.example/&hub.url=http://a.example/"
    ) == websub.Publish(("http://a.example/", "http://b.example/"))


@pytest.mark.parametrize(
    ("asked", "read"), [("1", 1), ("007", 7), ("9" * 12, 10**12 - 1), ("9" * 13, 10**12), ("1" * 5000, 10**12), ("0" * 5000 + "5", 5)]
)
def test_a_lease_is_a_number_however_long(asked: str, read: int) -> None:
    """Whoever asks for longer than anybody grants is granted the longest, and not told that it is no number."""
    found = websub.parse(body(hub_lease_seconds=asked))
    assert isinstance(found, websub.Subscription)
    assert found.lease_seconds == read


@pytest.mark.parametrize("asked", ["0", "000", "-1", "1.5", "１０", "1e3", " 5"])
def test_what_is_no_positive_number_is_no_lease(asked: str) -> None:
    """Section 5.1."""
    with pytest.raises(websub.BadRequest, match="positive number"):
        websub.parse(body(hub_lease_seconds=asked))


@given(st.binary(max_size=300))
@example(b"hub.mode=publish&hub.url=http://[x/")
@example(b"hub.mode=publish&hub.url=http://a:x/")
def test_any_bytes_are_a_request_or_refused(given_: bytes) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(websub.BadRequest):
        websub.parse(given_)


@pytest.mark.parametrize(("length", "good"), [(199, True), (200, False), (300, False)])
def test_a_secret_has_less_than_200_bytes(length: int, good: bool) -> None:  # noqa: FBT001
    """Bytes, not characters."""
    secrets = ["x" * length, "\u20ac" * (length // 3) + "x" * (length % 3)]
    for secret in secrets:
        if good:
            read = websub.parse(body(hub_secret=secret))
            assert isinstance(read, websub.Subscription)
            assert read.secret == secret
        else:
            with pytest.raises(websub.BadRequest):
                websub.parse(body(hub_secret=secret))


@given(
    st.sampled_from(["", "?", "?a=b", "?a", "?hub.mode=mine&a=%2F"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
)
def test_a_callbacks_own_query_comes_first_and_is_not_touched(query: str, topic: str) -> None:
    """Section 5.3.1: what is appended must not overwrite anything."""
    url = websub.verification_url(f"https://reader.example/x{query}", "subscribe", topic, "c", 60)
    assert url.startswith(f"https://reader.example/x{query}")
    asked = parse_qsl(urlsplit(url).query, keep_blank_values=True)[-4:]
    assert asked == [("hub.mode", "subscribe"), ("hub.topic", topic), ("hub.challenge", "c"), ("hub.lease_seconds", "60")]


def test_other_words() -> None:
    """A lease only where one is asked for; a denial has its reason; a publication both names of its topic."""
    assert "lease" not in websub.verification_url("https://r.example/", "unsubscribe", "t", "c", 60)
    assert parse_qs(urlsplit(websub.denial_url("https://r.example/", "t", "gone & over")).query)["hub.reason"] == ["gone & over"]
    assert dict(parse_qsl(websub.publication("http://a.example/?b&c").decode())) == {
        "hub.mode": "publish",
        "hub.url": "http://a.example/?b&c",
        "hub.topic": "http://a.example/?b&c",
    }
    assert websub.links(["h1", "h2"], "t") == '<h1>; rel="hub", <h2>; rel="hub", <t>; rel="self"'
    assert websub.signature("key", b"The quick brown fox jumps over the lazy dog") == (
        "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    )
