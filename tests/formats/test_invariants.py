"""What holds for the bytes of every format alike, whatever they say: addresses absolute, dates real, nothing twice, nothing of the run."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from lxml import etree

from pipeline.formats import FORMATS, Format
from pipeline.model.entry import Address
from tests.formats.conftest import MADE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.model.entry import Entry, FeedHead

every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
# Where an address stands: elements of XML, attributes of XML and HTML, members of JSON.
ELEMENTS = {"link", "loc", "url", "uri", "logo"}
ATTRIBUTES = {"href", "src", "url", "domain", "scheme"}
MEMBERS = {"url", "href", "image", "home_page_url", "feed_url", "next_url", "schema", "uri"}
# Where a date stands.
DATED = {"pubDate", "lastBuildDate", "published", "updated", "created", "modified", "lastmod", "publication_date"}
DATE_MEMBERS = {"date_published", "date_modified", "firstCreated", "versionCreated", "updated"}
WEEKDAY = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) [A-Z][a-z]{2} (\d{4}) (\d\d:){2}\d\d \+0000")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


@pytest.fixture
def document(fmt: Format, head: FeedHead, make_shown: Callable[..., Entry]) -> bytes:
    """Three articles under a head with everything a head can say."""
    url = f"https://news.example/{fmt.folder}/russia.{fmt.extension}"
    whole = replace(
        head,
        self_url=url,
        prev_archive_url=f"https://news.example/{fmt.folder}/russia-2026-10-2.{fmt.extension}",
        publication="The Example News",
        addresses=(Address(fmt.name, fmt.title, url, fmt.media_type), Address("rss", "RSS", "https://news.example/r.rss", "a/b")),
        logo_url="https://news.example/logo.png",
    )
    return fmt.document(whole, [fmt.entry(make_shown(number), whole) for number in range(3)])


def members(value: object) -> Iterator[tuple[str, object]]:
    """Every member of every object, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner)


def addresses(fmt: Format, document: bytes) -> list[str]:
    """Everything that stands where an address should."""
    if "json" in fmt.media_type:
        return [str(value) for name, value in members(json.loads(document)) if name in MEMBERS]
    found = []
    for element in etree.fromstring(document).iter():
        found += [str(value) for name, value in element.attrib.items() if name in ATTRIBUTES and value != "urn:ebu"]
        if etree.QName(element).localname in ELEMENTS and (element.text or "").strip():
            found.append(str(element.text))
    return found


def dates(fmt: Format, document: bytes) -> list[str]:
    """Everything that stands where a date should."""
    if "json" in fmt.media_type:
        return [str(value) for name, value in members(json.loads(document)) if name in DATE_MEMBERS]
    elements = list(etree.fromstring(document).iter())
    stated = [str(element.text) for element in elements if etree.QName(element).localname in DATED]
    return stated + [element.get("datetime", "") for element in elements if element.tag == "time"]


@every_format
def test_every_address_is_absolute(fmt: Format, document: bytes) -> None:
    """Http or https with a host, or a tag URI: a reader has no base to resolve anything against."""
    found = addresses(fmt, document)
    assert len(found) > 2
    for address in found:
        parts = urlsplit(address)
        assert (parts.scheme in {"http", "https"} and parts.netloc) or parts.scheme == "tag", address


@every_format
def test_every_date_is_real_and_says_its_offset(fmt: Format, document: bytes) -> None:
    """RFC 822 with the weekday of that day, or RFC 3339; none after the feed's own last change."""
    found = dates(fmt, document)
    assert len(found) >= 3
    for date in found:
        if WEEKDAY.fullmatch(date):
            when = parsedate_to_datetime(date)
            assert when.strftime("%a") == date[:3]
        else:
            assert RFC_3339.fullmatch(date), date
            when = datetime.fromisoformat(date)
        assert when <= MADE


@every_format
def test_no_entry_stands_twice_and_the_newest_is_first(fmt: Format, document: bytes) -> None:
    """By identity, or by link where that is all there is."""
    seen = fmt.read(document)
    keys = [one.identity or one.link for one in seen]
    assert len(set(keys)) == len(keys) == 3
    assert [one.modified for one in seen] == sorted((one.modified for one in seen if one.modified), reverse=True)


@every_format
def test_the_document_is_utf_8_without_a_mark_or_a_control_character(fmt: Format, document: bytes) -> None:
    """What some readers choke on; and XML says its encoding."""
    text = document.decode("utf-8")
    assert not text.startswith("\ufeff")
    assert not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if "json" not in fmt.media_type and fmt.name != "html":
        assert text.startswith("<?xml version='1.0' encoding='UTF-8'?>\n")


@every_format
def test_nothing_of_the_clock_or_the_machine_is_in_it(
    fmt: Format, document: bytes, head: FeedHead, make_shown: Callable[..., Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No year but the articles' own, and the same bytes in another time zone."""
    assert set(re.findall(rb"20\d\d(?=-\d\d-\d\dT| \d\d:\d\d)", document)) == {b"2026"}
    try:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "Pacific/Kiritimati")
            time.tzset()
            assert all(fmt.entry(make_shown(number), head) in document for number in range(3))
    finally:
        time.tzset()
