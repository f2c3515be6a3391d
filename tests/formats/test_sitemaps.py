"""Sitemaps, news sitemaps and the index at the level of bytes: sitemaps.org and Google's pages on images and news."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from pipeline.formats import FORMATS, Format, news, sitemap
from pipeline.model.article import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

SITEMAP, NEWS = FORMATS["sitemap"], FORMATS["news"]
# https://www.w3.org/TR/NOTE-datetime, with seconds and in UTC.
W3C = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
both = pytest.mark.parametrize("fmt", [SITEMAP, NEWS], ids=lambda fmt: fmt.name)


def names(element: etree._Element) -> list[str]:
    """The names of all below, in document order, with the prefix of this page's own."""
    short = {sitemap.SITEMAP: "", sitemap.IMAGE: "image:", news.NEWS: "news:"}
    found = [etree.QName(one) for one in element.iterdescendants()]
    return [short[name.namespace or ""] + name.localname for name in found]


def test_a_page_has_its_address_its_last_change_and_its_photographs(
    head: FeedHead, story: Article, make_entry: Callable[..., Entry]
) -> None:
    """In the order of the schema, nothing Google withdrew in 2022, and no priority or frequency it never read."""
    entry = make_entry(0, story)
    (url,) = etree.fromstring(SITEMAP.document(head, [SITEMAP.entry(entry, head)]))
    assert names(url) == ["loc", "lastmod", *["image:image", "image:loc"] * 3]
    assert url.findtext(f"{{{sitemap.SITEMAP}}}loc") == entry.link
    assert url.findtext(f"{{{sitemap.SITEMAP}}}lastmod") == "2026-11-23T10:00:00.500000Z"
    assert [one.text for one in url.iter(f"{{{sitemap.IMAGE}}}loc")] == [image.url for image in story.images]


def test_a_page_lists_no_more_photographs_than_google_reads(head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """A thousand."""
    many = replace(story, images=tuple(Image(f"https://img.example/{n}.jpg") for n in range(1001)))
    assert SITEMAP.entry(make_entry(0, many), head).count(b"<image:image>") == 1000


def test_a_news_page_has_the_four_elements_google_requires(head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """The original date, though the story was corrected since; the publication as readers know it."""
    (url,) = etree.fromstring(NEWS.document(head, [NEWS.entry(make_entry(), replace(head, publication="Example"))]))
    assert names(url) == [
        "loc",
        "lastmod",
        "news:news",
        "news:publication",
        "news:name",
        "news:language",
        "news:publication_date",
        "news:title",
    ]
    told = {etree.QName(one).localname: one.text for one in url.iter(f"{{{news.NEWS}}}*")}
    assert (told["name"], told["language"]) == ("Example", "en")
    assert (told["publication_date"], told["title"]) == ("2026-11-23T08:05:00.250000Z", make_entry().article.headline)


@pytest.mark.parametrize(
    ("publication", "publisher", "name"),
    [
        ("", "The Publisher", "The Publisher"),
        ("The Example News", "X", "The Example News"),
        ("The Example News (subscription) ", "X", "The Example News"),
        ("News (UK) Today", "X", "News (UK) Today"),
        ("(News)", "X", "(News)"),
    ],
)
def test_a_publications_name_has_no_aside(head: FeedHead, publication: str, publisher: str, name: str) -> None:
    """As it stands on news.google.com, without the parenthesised part."""
    assert news.publication_name(replace(head, publication=publication, publisher=publisher)) == name


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"),
        ("EN-gb", "en"),
        ("sr-Latn-RS", "sr"),
        ("haw", "haw"),
        ("zh", "zh-cn"),
        ("zh-Hans-HK", "zh-cn"),
        ("zh-Hant", "zh-tw"),
        ("zh-TW", "zh-tw"),
        ("zh-SG", "zh-cn"),
    ],
)
def test_languages_are_googles(tag: str, code: str) -> None:
    """ISO 639 of two or three letters; Chinese by its script."""
    assert news.language_code(tag) == code


@both
def test_dates_are_w3c_and_equal_instants_are_equal_bytes(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """In UTC, whatever offset they came with."""
    made = fmt.entry(make_entry(), head)
    stated = re.findall(r"(?:lastmod|publication_date)>([^<]+)<", made.decode())
    assert stated
    assert all(W3C.fullmatch(date) for date in stated)
    moscow = timezone(timedelta(hours=3))
    assert fmt.entry(replace(make_entry(), modified_at=make_entry().modified_at.astimezone(moscow)), head) == made


@both
def test_bytes_declare_namespaces_once_and_escape_addresses(fmt: Format, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """At the root; `&` in an address is a reference."""
    document = fmt.document(head, [fmt.entry(make_entry(number), head) for number in range(3)])
    assert document.startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<urlset ")
    assert document.count(b"xmlns=") == 1
    assert document.count(b"xmlns:") == 1
    assert document.count(b"<loc>https://news.example/story/1/?a=1&amp;b=2</loc>") == 1


def test_the_index_lists_sitemaps_with_their_last_change() -> None:
    """In the order given; readable as one."""
    changed = datetime(2026, 11, 23, 10, tzinfo=timezone(timedelta(hours=3)))
    made = sitemap.index([("https://news.example/sitemaps/a.xml?x=1&y=2", changed), ("https://news.example/sitemaps/b.xml", changed)])
    root = etree.fromstring(made)
    assert root.tag == f"{{{sitemap.SITEMAP}}}sitemapindex"
    assert names(root) == ["sitemap", "loc", "lastmod"] * 2
    assert [one.text for one in root.iter(f"{{{sitemap.SITEMAP}}}loc")] == [
        "https://news.example/sitemaps/a.xml?x=1&y=2",
        "https://news.example/sitemaps/b.xml",
    ]
    assert {one.text for one in root.iter(f"{{{sitemap.SITEMAP}}}lastmod")} == {"2026-11-23T07:00:00Z"}
    assert made.count(b"xmlns") == 1
    assert len(etree.fromstring(sitemap.index([]))) == 0


def test_an_index_holds_no_more_than_the_protocol_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """50,000, and one more is an error to be seen, not a file that is read in part."""
    assert sitemap.MOST == 50_000
    monkeypatch.setattr(sitemap, "MOST", 3)
    listed = [("https://news.example/a.xml", datetime(2026, 11, 23, tzinfo=UTC))] * 3
    assert sitemap.index(listed).count(b"<sitemap>") == 3
    with pytest.raises(ValueError, match="4 sitemaps"):
        sitemap.index([*listed, listed[0]])


@both
@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"<urlset>",
        b"<urlset/>",
        b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>x</loc></url></urlset>',
        b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>x</loc><lastmod>now</lastmod></url></urlset>',
    ],
)
def test_what_is_no_sitemap_is_not_read(fmt: Format, broken: bytes) -> None:
    """ValueError for broken XML, another root, a missing date, a date that is none."""
    with pytest.raises(ValueError, match=r".+"):
        fmt.read(broken)


@pytest.mark.parametrize("name", ["name", "language", "publication_date", "title"])
def test_news_without_a_required_element_is_not_read(name: str, head: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Google refuses the page too."""
    made = NEWS.document(head, [NEWS.entry(make_entry(), head)])
    assert len(NEWS.read(made)) == 1
    with pytest.raises(ValueError, match=name):
        NEWS.read(re.sub(f"<news:{name}>[^<]*</news:{name}>".encode(), b"", made))
