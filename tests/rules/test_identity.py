"""Identities: made from the newsroom's own id and nothing that can change, and never shared by two."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.ledger.events import Claimed
from pipeline.rules.identity import event_id, feed_identity, identity, short_id
from pipeline.validate import decide
from tests.conftest import article
from tests.rules.valid_articles import ids

if TYPE_CHECKING:
    from pipeline.model.settings import Site, Source

PREFIX = "tag:example.org,2026-01-01:newsroom/"
names = st.from_regex("[a-z0-9-]{1,40}", fullmatch=True)


def made(cms_id: str, space: str = "newsroom") -> str:
    """The identity of an id at the test site."""
    return identity("example.org", "2026-01-01", space, cms_id)


def decided(site: Site, source: Source, data: dict[str, Any]) -> tuple[str, str]:
    """(identity, short id) that a published article is given."""
    body = json.dumps({"type": "article.published", "timestamp": "2026-11-23T08:00:00Z", "data": data}).encode()
    decision = decide(source, site, Claimed(1, "ev_1", body, datetime(2026, 11, 23, 8, tzinfo=UTC), 0, len(body)))
    assert decision.candidate is not None, decision.problems
    return decision.candidate.identity, decision.candidate.short_id


@pytest.mark.parametrize(
    ("cms_id", "quoted"),
    [
        ("48101", "48101"),
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("a%2Fb", "a%252Fb"),
        ("a,b:c@d", "a%2Cb%3Ac%40d"),
        ("a+b~c_d.e-f", "a%2Bb~c_d.e-f"),
        ("tag:x,2026:y", "tag%3Ax%2C2026%3Ay"),
        ("..", ".."),
    ],
)
def test_an_identity_is_a_tag_uri_of_the_id(cms_id: str, quoted: str) -> None:
    """RFC 4151 2.1, with everything percent-encoded that RFC 3986 reserves."""
    assert made(cms_id) == PREFIX + quoted


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://www.example.org/other-slug.html"},
        {"url": "http://www.example.org/?id=7"},
        {"headline": "Another headline"},
        {"body_html": "<p>Other words.</p>"},
        {"language": "fr"},
        {"published_at": "2025-01-01T00:00:00Z"},
        {"updated_at": "2026-11-23T07:30:00Z", "version": 7},
        {"section": ["Sport"], "tags": ["Other"]},
    ],
)
def test_an_identity_depends_on_nothing_that_can_change(changes: dict[str, Any], site: Site, source: Source) -> None:
    """Not on URL, slug, dates or words: the same article stays the same entry."""
    expected = made("a-1")
    assert decided(site, source, article()) == decided(site, source, article(**changes)) == (expected, short_id(expected))


@given(ids)
def test_a_printable_id_can_be_read_back(cms_id: str) -> None:
    """Only unreserved characters and percent signs follow the last slash."""
    assert made(cms_id).startswith(PREFIX)
    quoted = made(cms_id).removeprefix(PREFIX)
    assert re.fullmatch(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+", quoted)
    assert unquote(quoted) == cms_id


@given(st.tuples(names, ids), st.tuples(names, ids))
def test_two_ids_share_neither_identity_nor_short_id(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Nor do two name spaces."""
    assume(first != second)
    one, other = (made(cms_id, space) for space, cms_id in (first, second))
    assert one != other
    assert short_id(one) != short_id(other)


@given(ids, st.sampled_from([str.upper, str.lower, lambda i: i + "0", lambda i: "0" + i, lambda i: i.replace("%", "%25"), unquote]))
def test_ids_that_look_alike_are_not_the_same(cms_id: str, change: Any) -> None:
    """Neither case, leading noughts nor percent signs are taken for equal."""
    other = change(cms_id)
    assert (made(cms_id) == made(other)) == (cms_id == other)


@given(ids)
def test_a_short_id_is_ten_characters_of_base32(cms_id: str) -> None:
    """What a page's path carries: lower case, the same each time."""
    assert re.fullmatch("[a-z2-7]{10}", short_id(made(cms_id)))
    assert short_id(made(cms_id)) == short_id(made(cms_id))


def test_short_ids_stay_what_they_are() -> None:
    """Addresses that are out depend on it."""
    assert short_id("tag:example.org,2026-01-01:newsroom/48101") == "rkdbwic2x4"
    assert event_id("newsroom", "msg_1") == "ev_fcultvc6xezqzn2ryj24th6bfg"


def test_a_feed_has_one_identity_for_all_its_formats() -> None:
    """And at every base URL: neither is asked for."""
    assert feed_identity("example.org", "2026-01-01", "demo", "world") == "tag:example.org,2026-01-01:feed/demo/world"


@given(names | st.just("feed"), ids, names)
def test_an_article_is_never_taken_for_a_feed(space: str, cms_id: str, feed: str) -> None:
    """Whatever its id space is called."""
    assert made(cms_id, space) != feed_identity("example.org", "2026-01-01", "demo", feed)


@given(st.tuples(names, ids), st.tuples(names, ids))
def test_an_event_is_named_for_its_source_and_webhook_id(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Equal for equal pairs only, also where source and id run into each other."""
    one, other = event_id(*first), event_id(*second)
    assert (one == other) == (first == second)
    assert re.fullmatch("ev_[a-z2-7]{26}", one)
