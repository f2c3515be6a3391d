"""OPML 2.0: what a reader needs to take in every feed of a site at once."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import atoma
import pytest
from lxml import etree

from pipeline.formats.opml import Listed, opml
from tests.formats.conftest import GOLDEN, MADE, regolded

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = Listed("Everything & more", "https://news.example/feeds/all.rss?a=1&b=2", "https://news.example/", "en", "All <of> it")
RUSSIA = Listed("Россия", "https://news.example/feeds/russia.atom", "https://news.example/", "ru", version="")
CREATED = datetime(2026, 1, 1, 12, tzinfo=UTC)


def made(*feeds: Listed) -> bytes:
    """The list of these feeds."""
    return opml("The Example News", "The Example News Ltd", "https://news.example/", CREATED, MADE, feeds)


def test_every_feed_is_listed_with_what_readers_need() -> None:
    """`text` and `xmlUrl` are required, the rest tells people what they take in; what is empty is not there."""
    group = etree.fromstring(made(ALL, RUSSIA)).find("body/outline")
    assert group is not None
    assert {str(name): str(value) for name, value in group.attrib.items()} == {"text": "The Example News"}
    listed = [{str(name): str(value) for name, value in one.attrib.items()} for one in group]
    assert listed == [
        {
            "type": "rss",
            "text": "Everything & more",
            "title": "Everything & more",
            "version": "RSS2",
            "xmlUrl": "https://news.example/feeds/all.rss?a=1&b=2",
            "htmlUrl": "https://news.example/",
            "language": "en",
            "description": "All <of> it",
        },
        {
            "type": "rss",
            "text": "Россия",
            "title": "Россия",
            "xmlUrl": "https://news.example/feeds/russia.atom",
            "htmlUrl": "https://news.example/",
            "language": "ru",
        },
    ]


def test_the_head_says_whose_it_is_and_since_when() -> None:
    """Dates as RFC 822, in UTC; no `docs`, which the W3C validator does not know."""
    head = etree.fromstring(made(ALL)).find("head")
    assert head is not None
    assert [(str(child.tag), child.text) for child in head] == [
        ("title", "The Example News"),
        ("dateCreated", "Thu, 01 Jan 2026 12:00:00 +0000"),
        ("dateModified", "Mon, 23 Nov 2026 10:00:00 +0000"),
        ("ownerName", "The Example News Ltd"),
        ("ownerId", "https://news.example/"),
    ]


def test_equal_instants_make_equal_bytes() -> None:
    """Whatever offset they came with; and nothing of the clock is in it."""
    moscow = timezone(timedelta(hours=3))
    assert opml("T", "O", "", CREATED.astimezone(moscow), MADE, [ALL]) == opml("T", "O", "", CREATED, MADE, [ALL])
    assert b"ownerId" not in opml("T", "O", "", CREATED, MADE, [ALL])


def test_a_reader_takes_all_of_them_in() -> None:
    """The feeds come back as they were listed."""
    told = atoma.parse_opml_bytes(made(ALL, RUSSIA))
    assert (told.title, told.owner_name, told.date_modified) == ("The Example News", "The Example News Ltd", MADE.replace(microsecond=0))
    (group,) = told.outlines
    assert [(one.text, one.xml_url) for one in group.outlines] == [(ALL.title, ALL.url), (RUSSIA.title, RUSSIA.url)]


def test_naughty_strings_come_back(naughty: tuple[str, ...]) -> None:
    """In titles and descriptions; tabs and line ends as references, which attributes keep."""
    illegal = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
    texts = [text for text in (illegal.sub("", string) for string in naughty) if text]
    root = etree.fromstring(made(*(replace(ALL, title=text, description=text) for text in texts)))
    listed = root.findall("body/outline/outline")
    assert [(one.get("text"), one.get("description")) for one in listed] == [(text, text) for text in texts]


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\ufffe", "\ud800"], ids=ascii)
def test_an_illegal_character_is_refused(bad: str) -> None:
    """ValueError, as in every format."""
    with pytest.raises(ValueError, match=r".+"):
        made(replace(ALL, title=f"a{bad}"))


def test_the_golden_list_does_not_change() -> None:
    """Byte for byte."""
    document = made(ALL, RUSSIA)
    assert document == regolded(GOLDEN / "site.opml.xml", document)


def test_the_w3c_validator_has_nothing_to_say(w3c: Callable[[bytes, str], list[object]]) -> None:
    """It judges OPML too."""
    assert w3c(made(replace(ALL, description="All of it"), RUSSIA), "https://news.example/feeds/opml.xml") == []
