"""What a subscriber's reader is answered: validators that tell the truth, over the app."""

from __future__ import annotations

import gzip
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import brotli
import feedparser
import pytest
from starlette.testclient import TestClient

from pipeline.web import conditional
from pipeline.web.app import make_app
from pipeline.web.conditional import accepts
from tests.conftest import CONFIG, article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Newsroom

FORMATS = {"rss": "application/rss+xml; charset=utf-8", "atom": "application/atom+xml; charset=utf-8", "json": "application/feed+json"}


@pytest.fixture
def reader(small_newsroom: Newsroom) -> Iterator[TestClient]:
    """A client of the app over a newsroom with one article."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    with TestClient(make_app(small_newsroom.context, lambda _n: None), headers={"accept-encoding": "identity"}) as client:
        yield client


@pytest.mark.parametrize("extension", FORMATS)
def test_a_feed_is_served_as_stored(reader: TestClient, small_newsroom: Newsroom, extension: str) -> None:
    """The bytes of the origin, the right type, a strong ETag and a date."""
    answer = reader.get(f"/demo/feeds/all.{extension}")
    assert answer.status_code == 200
    assert answer.content == small_newsroom.feed("all", extension)
    assert answer.headers["content-type"] == FORMATS[extension]
    assert answer.headers["etag"].startswith('"')
    assert parsedate_to_datetime(answer.headers["last-modified"])
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("extension", FORMATS)
def test_head_says_the_same_without_a_body(reader: TestClient, extension: str) -> None:
    """RFC 9110 9.3.2."""
    got, head = reader.get(f"/demo/feeds/all.{extension}"), reader.head(f"/demo/feeds/all.{extension}")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == got.headers


def test_an_equal_etag_is_304_without_a_body(reader: TestClient) -> None:
    """With the headers a 200 would have carried."""
    first = reader.get("/demo/feeds/all.rss")
    for match in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        again = reader.get("/demo/feeds/all.rss", headers={"if-none-match": match})
        assert again.status_code == 304
        assert again.content == b""
        for name in ("etag", "cache-control", "vary", "last-modified"):
            assert again.headers[name] == first.headers[name]


def test_if_none_match_decides_alone(reader: TestClient) -> None:
    """A date that would say 304 does not overrule another ETag."""
    first = reader.get("/demo/feeds/all.rss")
    headers = {"if-none-match": '"other"', "if-modified-since": first.headers["last-modified"]}
    assert reader.get("/demo/feeds/all.rss", headers=headers).status_code == 200


def test_if_modified_since_is_believed_once_the_feed_is_still(reader: TestClient, small_newsroom: Newsroom) -> None:
    """Within the same second a second change could hide behind the date; a date that was told before then is of no use later."""
    early = reader.get("/demo/feeds/all.rss").headers["last-modified"]
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": early}).status_code == 200
    small_newsroom.clock.move(4.5)
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": early}).status_code == 200
    date = reader.get("/demo/feeds/all.rss").headers["last-modified"]
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": date}).status_code == 304
    earlier = (parsedate_to_datetime(date) - timedelta(seconds=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": earlier}).status_code == 200
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": "yesterday"}).status_code == 200


def test_a_removal_moves_etag_and_date_forward(reader: TestClient, small_newsroom: Newsroom) -> None:
    """A reader with the old validators sees that it is gone."""
    before = reader.get("/demo/feeds/all.rss")
    small_newsroom.clock.move(10)
    small_newsroom.send("withdrawn", {"id": "a-1"})
    small_newsroom.drain()
    after = reader.get("/demo/feeds/all.rss", headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert not feedparser.parse(after.content).entries
    assert parsedate_to_datetime(after.headers["last-modified"]) > parsedate_to_datetime(before.headers["last-modified"])


def test_a_second_change_within_a_second_has_a_later_date_once_it_is_still(reader: TestClient, small_newsroom: Newsroom) -> None:
    """Than the first one had when it was new: who asks by that date alone holds the first one, and must be given the second.

    So does curl's time condition, which passes over what is not later, whatever its tag.
    """
    small_newsroom.clock.move(10.2)
    dates = []
    for number in (1, 2):
        small_newsroom.send("updated", article(headline=f"Number {number}", updated_at=f"2026-11-23T07:30:0{number}Z"))
        small_newsroom.drain()
        small_newsroom.clock.move(0.2)
        dates.append(parsedate_to_datetime(reader.get("/demo/feeds/all.rss").headers["last-modified"]))
    small_newsroom.clock.move(4)
    dates.append(parsedate_to_datetime(reader.get("/demo/feeds/all.rss").headers["last-modified"]))
    assert dates[0] == dates[1] < dates[2]
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": conditional.http_date(dates[0])}).status_code == 200
    assert reader.get("/demo/feeds/all.rss", headers={"if-modified-since": conditional.http_date(dates[2])}).status_code == 304


def test_twins_follow_when_the_feed_is_still_and_never_lie(reader: TestClient, small_newsroom: Newsroom) -> None:
    """Gzip and brotli decode to the document, have ETags of their own, and go before a newer document comes."""
    plain = reader.get("/demo/feeds/all.rss")
    small_newsroom.clock.move(3)
    small_newsroom.drain()
    for coding, unpack in (("gzip", gzip.decompress), ("br", brotli.decompress)):
        with reader.stream("GET", "/demo/feeds/all.rss", headers={"accept-encoding": coding}) as answer:
            packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == coding
        assert answer.headers["etag"] != plain.headers["etag"]
        assert unpack(packed) == plain.content
    small_newsroom.send("updated", article(headline="New", updated_at="2026-11-23T07:59:00Z"))
    small_newsroom.drain()
    fresh = reader.get("/demo/feeds/all.rss", headers={"accept-encoding": "gzip"})
    assert b"New" in fresh.content
    assert not list(small_newsroom.context.settings.origin.rglob("all.rss.gz"))


def test_readers_read_it_without_a_complaint(reader: TestClient) -> None:
    """Feedparser finds nothing bozo, and the guid names no domain that could change."""
    for extension in ("rss", "atom"):
        parsed = feedparser.parse(reader.get(f"/demo/feeds/all.{extension}").content)
        assert not parsed.bozo
        assert parsed.entries[0].id == "tag:example.org,2026-01-01:newsroom/a-1"


def test_an_unknown_feed_is_a_problem_404(reader: TestClient) -> None:
    """Also for names no feed can have."""
    for path in ("/demo/feeds/none.rss", "/demo/feeds/all.xml", "/other/feeds/all.rss", "/demo/feeds/..%2f..%2fetc", "/demo/feeds/all"):
        answer = reader.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("asked", "target"),
    [("news.rss", "all.rss"), ("top.atom", "all.atom"), ("top.html", "all.html"), ("top-2026-10-1.json", "all.json")],
)
def test_a_name_from_before_this_ledger_leads_on(ended: TestClient, asked: str, target: str) -> None:
    """The configuration says it is a former one, and nothing was ever built under it: 301 to the same format."""
    answer = ended.get(f"/demo/feeds/{asked}")
    assert (answer.status_code, answer.headers["location"]) == (301, f"http://127.0.0.1:8499/demo/feeds/{target}")
    assert (answer.headers["cache-control"], answer.headers["access-control-allow-origin"]) == ("public, max-age=3600", "*")


@pytest.mark.parametrize("asked", ["old.rss", "old.json", "old-2026-10-1.atom"])
def test_a_feed_that_was_closed_before_this_ledger_is_gone(ended: TestClient, asked: str) -> None:
    """410 as for one whose documents stood here, and to HEAD."""
    answer = ended.get(f"/demo/feeds/{asked}")
    assert (answer.status_code, answer.json()["detail"]) == (410, "This feed is closed.")
    assert (answer.headers["cache-control"], answer.headers["access-control-allow-origin"]) == ("no-cache", "*")
    assert ended.head(f"/demo/feeds/{asked}").status_code == 410


@pytest.mark.parametrize("asked", ["feeds/news.ninjs.json", "feeds/old.xml", "feeds/older.rss", "sitemaps/old.rss", "sitemaps/news.xml"])
def test_what_no_former_name_had_is_404_still(ended: TestClient, asked: str) -> None:
    """Another format, another name, another folder."""
    assert ended.get(f"/demo/{asked}").status_code == 404


@pytest.fixture
def ended(make_newsroom: Callable[..., Newsroom]) -> Iterator[TestClient]:
    """A client of an app whose configuration has former names and a closed feed, over a ledger that began after them."""
    former = CONFIG.replace('title = "Everything"', 'title = "Everything"\nformer = ["news", "top"]')
    room = make_newsroom(former + '[sites.demo.feeds.old]\ntitle = "Old"\nclosed = true\n')
    room.send("published", article())
    room.drain()
    with TestClient(make_app(room.context, lambda _n: None), follow_redirects=False) as client:
        yield client


def test_a_torn_document_is_not_served(reader: TestClient, small_newsroom: Newsroom) -> None:
    """After a power cut the file may be anything: rather 503 than half a feed; the check at the start mends it."""
    path = small_newsroom.context.settings.origin / "demo" / "feeds" / "all.rss"
    path.write_bytes(path.read_bytes()[:100])
    reader.app.state.looks.forget("/demo/feeds/all.rss")  # type: ignore[attr-defined] # as after a restart
    assert reader.get("/demo/feeds/all.rss").status_code == 503
    from pipeline.recovery import check_feeds

    assert check_feeds(small_newsroom.context) == ("demo/feed:all",)
    small_newsroom.clock.move(4)
    small_newsroom.drain()
    assert reader.get("/demo/feeds/all.rss").status_code == 200


@pytest.mark.parametrize(
    ("header", "coding", "taken"),
    [
        ("gzip", "gzip", True),
        ("gzip;q=0", "gzip", False),
        ("*", "br", True),
        ("*;q=0, gzip", "br", False),
        ("*;q=0, gzip", "gzip", True),
        ("", "gzip", False),
        ("br;q=abc", "br", False),
        ("GZIP ; q=0.5", "gzip", True),
    ],
)
def test_accept_encoding_is_read_as_the_rfc_says(header: str, coding: str, *, taken: bool) -> None:
    """RFC 9110 12.5.3."""
    assert accepts(header, coding) is taken
