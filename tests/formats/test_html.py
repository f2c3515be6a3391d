"""The page of a feed: safe, readable in every direction and on every screen, and honest about what can be subscribed to."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, cast

import lxml.html
import pytest
from lxml import etree

from pipeline.formats import FORMATS, READERS, html, phrases
from pipeline.model.entry import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

HTML = FORMATS["html"]
ADDRESSES = tuple(
    Address(fmt.name, fmt.title, f"https://news.example/feeds/russia.{fmt.extension}", fmt.media_type)
    for fmt in (FORMATS[name] for name in READERS)
)


@pytest.fixture
def shown(head: FeedHead) -> FeedHead:
    """The head as it is filled in for a page: with the addresses of every format."""
    return replace(head, self_url=ADDRESSES[-1].url, addresses=ADDRESSES, publication="The Example News")


def page(head: FeedHead, *entries: Entry) -> etree._Element:
    """The page as well-formed XML."""
    return etree.fromstring(HTML.document(head, [HTML.entry(entry, head) for entry in entries]))


def found(root: etree._Element, path: str) -> list[etree._Element]:
    """The elements at an XPath."""
    return cast("list[etree._Element]", root.xpath(path))


def words(element: etree._Element) -> str:
    """All the text below, as it stands."""
    return "".join(str(text) for text in element.itertext())


def test_readers_find_every_format_in_the_head(shown: FeedHead) -> None:
    """`link rel=alternate` for each but the page itself, RSS first, titles apart (HTML 4.6.7.1)."""
    found = page(shown).findall("head/link[@rel='alternate']")
    assert [link.get("type") for link in found] == ["application/rss+xml", "application/atom+xml", "application/feed+json"]
    assert [link.get("href") for link in found] == [a.url for a in ADDRESSES[:3]]
    assert [link.get("title") for link in found] == [f"{shown.title} ({name})" for name in ("RSS", "Atom", "JSON Feed")]


def test_people_are_told_every_address_and_the_hub(shown: FeedHead) -> None:
    """To be read and copied, and the first marked as the one for everybody."""
    two = replace(shown, hub_urls=("https://news.example/hub", "https://hub.example/"))
    listed = [words(one) for one in page(two).iter("code")]
    assert listed == [*(address.url for address in ADDRESSES[:3]), *two.hub_urls]
    (hint,) = found(page(two), "//*[@class='hint']")
    assert words(hint) == phrases.ENGLISH.first
    assert "hub" not in words(page(replace(shown, hub_urls=())))


def test_what_is_not_there_leaves_no_gap(shown: FeedHead) -> None:
    """No description, no rights, no addresses: no empty element stands for them."""
    bare = page(replace(shown, description="", rights="", addresses=(), hub_urls=(), publication=""))
    assert words(bare.find("body/header/p")).strip() == shown.publisher  # type: ignore[arg-type]
    empty = [str(one.tag) for one in bare.find("body").iter() if not words(one).strip()]  # type: ignore[union-attr]
    assert empty == []
    assert str(bare.xpath("string(head/meta[@name='description']/@content)")) == phrases.ENGLISH.what_text


def test_the_newest_articles_are_an_h_feed(shown: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Headline with its link, summary, both dates and the identity, where microformats look for them."""
    entry = make_entry(0, full_story)
    (article,) = found(page(shown, entry), "//section[@class='h-feed']/article[@class='h-entry']")
    assert [(a.get("href"), a.text) for a in article.iter("a")] == [(entry.link, full_story.headline)]
    assert article.findtext("p[@class='p-summary']") == full_story.summary
    (published,) = found(article, ".//time[@class='dt-published']")
    (updated,) = found(article, ".//time[@class='dt-updated']")
    assert (published.get("datetime"), published.text) == ("2026-11-23T08:05:00.250Z", "23 November 2026, 08:05 UTC")
    assert (updated.get("datetime"), updated.text) == ("2026-11-23T10:00:00.500Z", "23 November 2026, 10:00 UTC")
    assert str(article.xpath("string(.//data[@class='u-uid']/@value)")) == entry.identity


def test_an_article_that_did_not_change_shows_one_date(shown: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Programs are told the second one all the same."""
    entry = make_entry()
    same = replace(entry, modified_at=entry.article.published_at)
    made = HTML.entry(same, shown)
    assert made.count(b"<time") == 1
    assert b'<data class="dt-updated" value="2026-11-23T08:05:00.250Z">' in made


def test_an_empty_feed_says_so_and_a_full_one_does_not(shown: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """Also where no style sheet is read."""
    assert [none.text for none in found(page(shown), "//p[@class='none']")] == [phrases.ENGLISH.none]
    assert found(page(shown, make_entry()), "//p[@class='none']") == []
    assert found(page(replace(shown, title='<p class="none">x</p>\n'), make_entry()), "//h1")[0].text == '<p class="none">x</p>\n'


def test_nothing_runs_and_nothing_is_fetched(shown: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """No script, no picture, no font, no form; the policy allows the page's own style and nothing else."""
    root = page(shown, make_entry())
    assert not {str(one.tag) for one in root.iter()} & {"script", "img", "iframe", "object", "form", "input", "video", "audio"}
    assert not [name for one in root.iter() for name in one.attrib if str(name).startswith("on") or name in {"src", "style"}]
    assert root.findall(".//link[@rel='stylesheet']") == []
    assert "url(" not in html._STYLE
    policy = str(root.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)"))
    (style,) = root.iter("style")
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" == html.CONTENT_SECURITY_POLICY


def test_markup_in_any_text_of_the_head_stays_text(shown: FeedHead) -> None:
    """Titles, descriptions, names and rights are the newsroom's words, not its HTML."""
    evil = "</style><script>alert(1)</script>\"'&amp;"
    named = tuple(replace(address, title=evil, url=f"https://news.example/?{evil}") for address in ADDRESSES)
    root = page(replace(shown, title=evil, description=evil, publication=evil, rights=evil, addresses=named, hub_urls=(evil,)))
    assert list(root.iter("script")) == []
    assert root.findtext("body/header/h1") == evil
    assert words(root).count(evil) >= 5


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\ufffe", "\ud800"], ids=ascii)
def test_an_illegal_character_in_the_head_is_refused(shown: FeedHead, bad: str) -> None:
    """As in every format."""
    with pytest.raises(ValueError, match="cannot stand"):
        HTML.frame(replace(shown, title=f"a{bad}"))


@pytest.mark.parametrize(("language", "direction"), [("en", "ltr"), ("ar", "rtl"), ("he-IL", "rtl"), ("ru", "ltr")])
def test_the_page_is_written_in_the_feeds_direction(shown: FeedHead, language: str, direction: str) -> None:
    """Its language too; addresses are always left to right."""
    root = page(replace(shown, language=language))
    assert (root.get("lang"), root.get("dir")) == (language, direction)
    assert {one.getparent().getparent().get("dir") for one in root.iter("code") if one.getparent().tag == "a"} == {"ltr"}  # type: ignore[union-attr]


def test_an_article_keeps_its_own_language_and_direction(shown: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """A feed may mix them."""
    (article,) = page(shown, make_entry(0, replace(story, language="ar"))).iter("article")
    assert (article.get("lang"), article.get("dir")) == ("ar", "rtl")
    assert "نوفمبر" in words(article)


def test_browsers_and_programs_read_the_same(shown: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """The page is HTML and well-formed XML at once: both parsers find the same elements, attributes and words."""
    document = HTML.document(shown, [HTML.entry(make_entry(number, full_story), shown) for number in range(3)])
    browser, program = lxml.html.document_fromstring(document), etree.fromstring(document)
    assert [(one.tag, dict(one.attrib)) for one in browser.iter()] == [(one.tag, dict(one.attrib)) for one in program.iter()]
    assert "".join(words(browser).split()) == "".join(words(program).split())
    assert document.startswith(b"<!DOCTYPE html>\n")


@pytest.mark.parametrize("language", sorted(phrases.BY_LANGUAGE))
def test_no_language_lacks_a_phrase(language: str) -> None:
    """As many steps in each as in English, and nothing left in English."""
    told = phrases.BY_LANGUAGE[language]
    assert all(getattr(told, field.name) for field in fields(told))
    assert len(told.steps) == len(phrases.ENGLISH.steps)
    if language != "en":
        assert not [f.name for f in fields(told) if getattr(told, f.name) == getattr(phrases.ENGLISH, f.name)]


def test_a_language_without_phrases_gets_english() -> None:
    """By the primary language alone."""
    assert phrases.phrases_for("de-CH") is phrases.GERMAN
    assert phrases.phrases_for("tlh") is phrases.ENGLISH


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_has_enough_contrast(scheme: int) -> None:
    """WCAG 2.2 AA, 1.4.3: 4.5 to 1 for text of any size, on the page and on the plates, in both schemes."""
    palette = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", re.findall(r":root \{[^}]*\}", html._STYLE)[scheme]))
    assert set(palette) == {"ink", "soft", "paper", "plate", "line", "accent"}
    for ground in ("paper", "plate"):
        for text in ("ink", "soft", "accent"):
            dark, light = sorted((luminance(palette[ground]), luminance(palette[text])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"


@pytest.mark.parametrize("name", ["u-uid", "dt-published", "dt-updated"])
def test_an_article_without_what_it_must_tell_is_not_read(name: str, shown: FeedHead, make_entry: Callable[..., Entry]) -> None:
    """ValueError, as for a page that is not well-formed."""
    made = HTML.document(shown, [HTML.entry(make_entry(), shown)])
    assert len(HTML.read(made)) == 1
    with pytest.raises(ValueError, match=name):
        HTML.read(made.replace(f'class="{name}"'.encode(), b'class="else"'))
    with pytest.raises(ValueError, match="not well-formed"):
        HTML.read(made.replace(b"</main>", b""))
