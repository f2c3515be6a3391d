"""Any text in any field comes back as it was, in every format; what XML cannot carry fails that entry alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from pipeline.formats import FORMATS, Format
from pipeline.formats.content import contents_html
from pipeline.formats.feedgen_cures import ATOM, CONTENT, DC, MEDIA
from pipeline.model.article import Author, Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

# XML 1.0 section 2.2, which validation strips before anything is rendered.
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
legal = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda text: ILLEGAL.sub("", text)).filter(bool)


def spoken(story: Article, text: str) -> Article:
    """The story with `text` in every plain-text field."""
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
        rights=text,
    )


def heard(fmt: Format, document: bytes) -> list[str | None]:
    """Title, summary, byline, section, tag, contents, then what else the format carries."""
    if fmt.name == "json":
        (item,) = json.loads(document)["items"]
        attached = item["attachments"][0]["title"]
        said = [item["title"], item["summary"], item["authors"][0]["name"], *item["tags"], item["content_html"], attached]
        return [*said, item["_pressrun"]["signoff"]]
    root = etree.fromstring(document)
    if fmt.name == "atom":
        said = [root.findtext(f"{{{ATOM}}}entry/{{{ATOM}}}{name}") for name in ("title", "summary", f"author/{{{ATOM}}}name")]
        terms = [c.get("term") for c in root.iter(f"{{{ATOM}}}category")]
        enclosed = [link.get("title") for link in root.iter(f"{{{ATOM}}}link") if link.get("rel") == "enclosure"]
        return [*said, *terms, root.findtext(f".//{{{ATOM}}}content"), *enclosed, root.findtext(f"{{{ATOM}}}entry/{{{ATOM}}}rights")]
    (element,) = root.findall("channel/item")
    names = ("title", "description", f"{{{DC}}}creator", "category", "category[2]", f"{{{CONTENT}}}encoded")
    media = [element.findtext(f"{{{MEDIA}}}content/{{{MEDIA}}}{name}") for name in ("title", "description", "credit")]
    return [*(element.findtext(name) for name in names), *media, element.findtext(f"{{{DC}}}rights")]


def assert_heard(fmt: Format, head: FeedHead, entry: Entry, text: str) -> None:
    """A document of this entry says `text` in each place."""
    document = fmt.document(head, [fmt.entry(entry, head)])
    said = heard(fmt, document)
    assert said[:6] == [text, text, text, text, text + "t", contents_html(entry)]
    assert said[6:] == [text] * len(said[6:])
    assert [seen.identity for seen in fmt.read(document)] == [entry.identity]


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
        assert fmt.name == "json" or feedparser.parse(fmt.document(head, [fmt.entry(entry, head)])).bozo == 0


@every_format
@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800"], ids=ascii)
@pytest.mark.parametrize("field", ["headline", "summary", "body_html", "sign_off", "rights"])
def test_an_illegal_character_fails_that_entry_alone(
    fmt: Format, bad: str, field: str, head: FeedHead, make_entry: Callable[..., Entry]
) -> None:
    """ValueError for the one entry; the feed without it is whole."""
    poisoned = make_entry(0, replace(make_entry().article, **{field: f"a{bad}b"}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r".+"):
        fmt.entry(poisoned, head)
    healthy = make_entry(1)
    assert [seen.identity for seen in fmt.read(fmt.document(head, [fmt.entry(healthy, head)]))] == [healthy.identity]
