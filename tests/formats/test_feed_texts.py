"""Any text in any field comes back as it was, in every format; what XML cannot carry fails that entry alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import escape, unescape
from typing import TYPE_CHECKING

import feedparser
import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from pipeline.formats import FORMATS, Format
from pipeline.formats.content import contents_html, short
from pipeline.formats.feedgen_cures import ATOM, CONTENT, DC, MEDIA
from pipeline.formats.news import NEWS
from pipeline.kit import clean
from pipeline.model.article import Author, Correction, Geo, Image, Video

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

# XML 1.0 section 2.2, which validation strips before anything is rendered.
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
Heard = dict[str, str | None]
legal = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda text: ILLEGAL.sub("", text)).filter(bool)


def spoken(story: Article, text: str) -> Article:
    """The story with `text` in every field a newsroom writes."""
    return replace(
        story,
        headline=text,
        summary=text,
        dateline=text,
        sign_off=text,
        section=(text,),
        tags=(text + "t",),
        authors=(Author(text),),
        images=(Image("https://img.example/a.jpg", caption=text, credit=text, alt=text),),
        videos=(Video("https://img.example/a.mp4", caption=f"{text}v", credit=text),),
        correction=Correction(text, story.published_at),
        geo=Geo(name=text),
        body_html=f"<p>{escape(text)}</p>",
        rights=text,
    )


def rss(root: etree._Element) -> Heard:
    """What an item says where."""
    (item,) = root.findall("channel/item")
    media = {name: item.findtext(f"{{{MEDIA}}}content/{{{MEDIA}}}{name}") for name in ("title", "description", "credit")}
    names = ("title", "description", f"{{{DC}}}creator", "category", f"{{{DC}}}rights")
    said = {name: item.findtext(name) for name in names} | {"description": unescape(item.findtext("description", ""))}
    film = f"{{{MEDIA}}}content[@medium='video']/{{{MEDIA}}}"
    said |= {"film": item.findtext(f"{film}description"), "film's credit": item.findtext(f"{film}credit")}
    return said | media | {"tag": item.findtext("category[2]"), "contents": item.findtext(f"{{{CONTENT}}}encoded")}


def atom(root: etree._Element) -> Heard:
    """What an entry says where."""
    (entry,) = root.findall(f"{{{ATOM}}}entry")
    said = {name: entry.findtext(f"{{{ATOM}}}{name}") for name in ("title", "summary", "rights")}
    section, tag = (category.get("term") for category in entry.iter(f"{{{ATOM}}}category"))
    film, picture = (link.get("title") for link in entry.findall(f"{{{ATOM}}}link") if link.get("rel") == "enclosure")
    more = {"section": section, "tag": tag, "picture": picture, "film": film, "contents": entry.findtext(f"{{{ATOM}}}content")}
    return said | more | {"author": entry.findtext(f"{{{ATOM}}}author/{{{ATOM}}}name")}


def jsonfeed(document: bytes) -> Heard:
    """What an item says where."""
    (item,) = json.loads(document)["items"]
    section, tag = item["tags"]
    said = {"title": item["title"], "summary": item["summary"], "author": item["authors"][0]["name"], "section": section, "tag": tag}
    film, picture = (attached["title"] for attached in item["attachments"])
    more = {"picture": picture, "film": film, "signoff": item["_pressrun"]["signoff"], "contents": item["content_html"]}
    return said | more


def news(root: etree._Element) -> Heard:
    """A title is all a news sitemap says of an article."""
    return {"title": root.findtext(f".//{{{NEWS}}}title")}


def ninjs(document: bytes) -> Heard:
    """What an item says where."""
    (item,) = json.loads(document)
    section, tag = (subject["name"] for subject in item["subjects"])
    picture, film = item["associations"]
    caption, alt = (described["value"] for described in picture["descriptions"])
    said = {
        "headline": item["headlines"][0]["value"],
        "summary": item["descriptions"][0]["value"],
        "byline": item["by"],
        "credit": picture["by"],
    }
    more = {
        "author": item["people"][0]["name"],
        "dateline": item["located"],
        "section": section,
        "tag": tag,
        "caption": caption,
        "alt": alt,
    }
    said |= {"correction": item["descriptions"][1]["value"], "place": item["places"][0]["name"], "rights": item["copyrightNotice"]}
    said |= {"film": film["descriptions"][0]["value"], "film's credit": film["by"], "body": item["bodies"][0]["value"]}
    return said | more | {"signoff": item["infoSources"][0]["name"]}


def roku(root: etree._Element) -> Heard:
    """What an item says where."""
    (item,) = root.findall("channel/item")
    names = ("title", f"{{{MEDIA}}}content/{{{MEDIA}}}title", f"{{{MEDIA}}}category")
    said = {name: item.findtext(name) for name in names} | {"tag": item.findtext(f"{{{MEDIA}}}keywords")}
    said |= {"credit": item.findtext(f"{{{MEDIA}}}content/{{{MEDIA}}}credit")}
    said |= {"short": unescape(item.findtext("description", ""))}
    return said | {"shown": item.findtext(f"{{{MEDIA}}}content/{{{MEDIA}}}description")}


def html(document: bytes) -> Heard:
    """What an h-entry says where, as a program reads it; a browser's reading is compared elsewhere."""
    (entry,) = etree.fromstring(document).iter("article")
    return {"headline": entry.findtext("h3/a"), "summary": entry.findtext("p[@class='p-summary']")}


HEARD: Mapping[str, Callable[[bytes], Heard]] = {
    "rss": lambda document: rss(etree.fromstring(document)),
    "atom": lambda document: atom(etree.fromstring(document)),
    "json": jsonfeed,
    "news": lambda document: news(etree.fromstring(document)),
    "sitemap": lambda _: {},
    "html": html,
    "ninjs": ninjs,
    "roku": lambda document: roku(etree.fromstring(document)),
}
"""Format → place → what is said there."""


def meant(entry: Entry, place: str, text: str) -> str:
    """What is to be heard at a place, where every plain-text field says `text`: all of it but on television, which shows 200 characters."""
    clipped = short(text, 200)
    longer = {"contents": contents_html(entry), "body": entry.article.body_html, "tag": f"{text}t", "film": f"{text}v"}
    return (longer | {"short": clipped, "shown": clipped}).get(place, text)


def assert_heard(fmt: Format, head: FeedHead, entry: Entry, text: str) -> None:
    """A document of this entry says `text` in each place, and is still one entry."""
    document = fmt.document(head, [fmt.entry(entry, head)])
    heard = HEARD[fmt.name](document)
    assert heard == {place: meant(entry, place, text) for place in heard}
    (seen,) = fmt.read(document)
    assert (seen.identity or seen.link) in {entry.identity, entry.link}


def test_every_format_is_listened_to() -> None:
    """A new one has its line above."""
    assert set(HEARD) == set(FORMATS)


@every_format
@given(text=legal)
def test_any_text_comes_back(fmt: Format, text: str, head: FeedHead, story: Article, make_entry: Callable[..., Entry]) -> None:
    """Markup, entities, line ends, scripts of every direction: nothing is lost, changed or taken for markup."""
    assert_heard(fmt, head, make_entry(0, spoken(story, text)), text)


@every_format
def test_naughty_strings_come_back(
    fmt: Format, head: FeedHead, story: Article, make_entry: Callable[..., Entry], naughty: tuple[str, ...]
) -> None:
    """The strings that broke other people's programs; feedparser finds nothing to complain of either."""
    for text in filter(None, (ILLEGAL.sub("", string) for string in naughty)):
        entry = make_entry(0, spoken(story, text))
        assert_heard(fmt, head, entry, text)
        assert fmt.name not in {"rss", "atom"} or feedparser.parse(fmt.document(head, [fmt.entry(entry, head)])).bozo == 0


TOLD = (
    "The <title> of the book",
    "How to use <details> in a CMS, and <summary> too",
    "Write <script>alert(1)</script> to test",
    "Text & <img src=x onerror=alert(1)> more",
    "if a<b then c>d holds",
    "Prices: <5 % & >3 %",
    "AT&T; R&D; R&amp;D; &copy 2026; &#60;b&#62;",
    "Salt & bread",
    "Two lines\nof one summary",
)
"""Summaries in which a reader of HTML finds markup or references, and some in which it does not."""


def shown(document: bytes) -> str:
    """The words of a summary, as a reader shows them: Atom's text as it is, of RSS those of its HTML once that was made safe."""
    told = feedparser.parse(document)
    (entry,) = told.entries
    if told.version.startswith("atom"):
        return str(entry.summary)
    return str(lxml.html.fragment_fromstring(entry.summary, create_parent="div").text_content())


def summarised(fmt: Format, head: FeedHead, entry: Entry, text: str) -> bytes:
    """A document of that entry with another summary."""
    told = replace(entry, article=replace(entry.article, summary=text))
    return fmt.document(head, [fmt.entry(told, head)])


read_format = pytest.mark.parametrize("name", ["rss", "atom", "roku"])


@read_format
@pytest.mark.parametrize("text", TOLD)
def test_a_reader_shows_the_words_of_a_summary(name: str, text: str, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """None of them is taken for a tag and lost, or for a reference and changed."""
    assert shown(summarised(FORMATS[name], head, make_shown(), text)) == text


@read_format
def test_a_reader_shows_naughty_summaries(name: str, head: FeedHead, make_shown: Callable[..., Entry], naughty: tuple[str, ...]) -> None:
    """As validation leaves them; a television has room for 200 characters."""
    for text in filter(None, map(clean.text, naughty)):
        wanted = short(text, 200) if name == "roku" else text
        assert shown(summarised(FORMATS[name], head, make_shown(), text)) == wanted


@pytest.mark.parametrize("name", ["rss", "roku"])
def test_a_summary_made_from_the_body_brings_no_markup_to_life(name: str, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """What the sanitised body quotes as text is text in the description too."""
    story = replace(make_shown().article, summary="", body_html="<p>Write <code>&lt;script&gt;alert(1)&lt;/script&gt;</code> to test</p>")
    document = FORMATS[name].document(head, [FORMATS[name].entry(make_shown(0, story), head)])
    as_html = etree.fromstring(document).findtext("channel/item/description")
    assert as_html is not None
    assert [element.tag for element in lxml.html.fragment_fromstring(as_html, create_parent="div").iter()] == ["div"]


@pytest.mark.parametrize("text", ["Salt & bread", "R&D at 5 % > 3 %"])
def test_a_television_is_told_what_it_can_show_letter_by_letter(text: str, head: FeedHead, make_shown: Callable[..., Entry]) -> None:
    """Apps on Roku put a description into a label as it is; only what others would take for markup is written otherwise."""
    assert etree.fromstring(summarised(FORMATS["roku"], head, make_shown(), text)).findtext("channel/item/description") == text


def titled(head: FeedHead, text: str) -> FeedHead:
    """The head with `text` in every field a newsroom writes."""
    return replace(head, title=text, description=text, publisher=text, publication=text, rights=text)


def channel(root: etree._Element) -> list[str | None]:
    """What a channel says of itself."""
    names = ("title", "description", "copyright", f"{{{DC}}}publisher", "image/title")
    return [text for text in (root.findtext(f"channel/{name}") for name in names) if text is not None]


def feed(root: etree._Element) -> list[str | None]:
    """What an Atom feed says of itself."""
    return [root.findtext(f"{{{ATOM}}}{name}") for name in ("title", "subtitle", "rights", f"author/{{{ATOM}}}name")]


def top(document: bytes) -> list[str | None]:
    """What a JSON feed says of itself."""
    told = json.loads(document)
    return [told["title"], told["description"], told["authors"][0]["name"], told["_pressrun"]["rights"]]


def page(root: etree._Element) -> list[str | None]:
    """What a feed's page says of it."""
    return [root.findtext(f"body/{path}") for path in ("header/h1", "header/p/a", "header/p[2]", "footer/p/bdi")]


HEADS: Mapping[str, tuple[Callable[[bytes], list[str | None]], int]] = {
    "rss": (lambda document: channel(etree.fromstring(document)), 4),
    "roku": (lambda document: channel(etree.fromstring(document)), 3),
    "atom": (lambda document: feed(etree.fromstring(document)), 4),
    "json": (top, 4),
    "html": (lambda document: page(etree.fromstring(document)), 4),
}
"""Format → what it says of the feed, and in how many places; the others say nothing of it."""


@pytest.mark.parametrize("name", HEADS)
def test_naughty_names_of_feeds_come_back(name: str, head: FeedHead, naughty: tuple[str, ...]) -> None:
    """Titles, descriptions, publishers and rights are texts of the newsroom as well."""
    heard, places = HEADS[name]
    for text in filter(None, (ILLEGAL.sub("", string) for string in naughty)):
        assert heard(FORMATS[name].frame(titled(head, text))) == [text] * places


def test_what_says_nothing_of_its_feed_is_the_same_under_every_name(head: FeedHead) -> None:
    """Sitemaps and ninjs have no place for it."""
    for name in set(FORMATS) - set(HEADS):
        assert FORMATS[name].frame(titled(head, "x")) == FORMATS[name].frame(head)


# The fields a format says nothing of; the others say all of them.
UNSAID = {
    "html": {"sign_off", "rights", "body_html"},
    "sitemap": {"headline", "summary", "body_html", "sign_off", "rights"},
    "news": {"summary", "body_html", "sign_off", "rights"},
    "roku": {"body_html", "sign_off", "rights"},
}


@every_format
@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"], ids=ascii)
@pytest.mark.parametrize("field", ["headline", "summary", "body_html", "sign_off", "rights"])
def test_an_illegal_character_fails_that_entry_alone(
    fmt: Format, bad: str, field: str, head: FeedHead, make_shown: Callable[..., Entry]
) -> None:
    """ValueError for the one entry; the feed without it is whole. Where a format does not say the field, nothing is lost."""
    healthy = make_shown(1)
    poisoned = replace(healthy, article=replace(healthy.article, **{field: f"a{bad}b"}))  # type: ignore[arg-type]
    if field in UNSAID.get(fmt.name, ()):
        assert fmt.entry(poisoned, head) == fmt.entry(healthy, head)
        return
    with pytest.raises(ValueError, match=r".+"):
        fmt.entry(poisoned, head)
    assert len(fmt.read(fmt.document(head, [fmt.entry(healthy, head)]))) == 1
