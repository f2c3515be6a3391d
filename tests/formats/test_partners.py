"""Partners' tables: each rule is found broken where it is, and nowhere else; our own documents can keep all of them."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from pipeline.formats import FORMATS, partners
from pipeline.formats.partners import KINDS, PLACES, Profile, Rule, linter
from pipeline.formats.partners.linter import NAMESPACES, lint
from pipeline.model.article import Image
from tests.formats.conftest import GOLDEN, MADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry, FeedHead

NAMED = [(name, rule.name) for name in partners.names() for rule in partners.profile(name).rules]


@pytest.fixture(scope="module")
def good(head: FeedHead, full_story: Article, make_entry: Callable[..., Entry]) -> dict[str, bytes]:
    """What a profile reads → a document of ours that every partner takes: as many, as long, as large as any of them asks."""
    large = Image("https://img.example/a.jpg", "lead", "A quay", "An agency", "A quay", 1600, 900, "image/jpeg", 245_120)
    story = replace(full_story, headline="A ferry returns to Lake Ladoga", summary="word " * 70, images=(large,))
    told = replace(head, language="en-GB", description="Every story from Russia", publication="The Example News")
    made = {}
    for reads, name in (("rss", "rss"), ("news-sitemap", "news")):
        fmt = FORMATS[name]
        entries = [fmt.entry(make_entry(number, story), told) for number in range(30)]
        made[reads] = fmt.document(replace(told, self_url="https://news.example/feeds/russia.rss"), entries)
    return made


def test_the_partners_are_those_we_promise() -> None:
    """By the alphabet, each with rules, a page they are from, and the day it was read."""
    assert partners.names() == ("apple-news-rss", "flipboard", "google-news", "msn", "smartnews")
    for name in partners.names():
        table = partners.profile(name)
        assert table.name == name
        assert table.source.startswith("https://")
        assert len(table.rules) >= 10
        for rule in table.rules:
            assert rule.source.startswith("https://") or (rule.source == "From memory: no page could be reached." and table.note)
            assert rule.level == "recommended" or rule.source.startswith("https://"), f"{name}: {rule.name} rests on nothing"


@pytest.mark.parametrize("name", partners.names())
def test_our_documents_can_keep_every_rule(name: str, good: dict[str, bytes]) -> None:
    """Nothing that a partner requires or recommends is out of a newsroom's reach."""
    table = partners.profile(name)
    assert lint(good[table.reads], table, MADE + timedelta(hours=1)) == []


@pytest.mark.parametrize(("name", "rule"), NAMED, ids=[f"{name}-{rule}" for name, rule in NAMED])
def test_every_rule_is_found_where_it_is_broken(name: str, rule: str, good: dict[str, bytes]) -> None:
    """Each document is broken in that one way; the finding names the rule, the place, and what to do."""
    table = partners.profile(name)
    (asked,) = [one for one in table.rules if one.name == rule]
    if asked.kind == "max_bytes":  # a document of fifty megabytes would show the same
        asked = replace(asked, value=10)
        table = replace(table, rules=(asked,))
    found = [one for one in lint(broken(good[table.reads], asked, table), table, MADE + timedelta(hours=1)) if one.rule == rule]
    assert found
    assert (found[0].level, found[0].says, found[0].mend, found[0].source) == (asked.level, asked.says, asked.mend, asked.source)
    assert found[0].where.partition(" ")[0] == asked.at
    assert found[0].what


def broken(document: bytes, rule: Rule, table: Profile) -> bytes:
    """The document, breaking this rule."""
    root = etree.fromstring(document)
    places: Any = root.xpath(PLACES[table.reads][rule.at], namespaces=NAMESPACES)
    values: Any = [value for place in places for value in place.xpath(rule.path, namespaces=NAMESPACES)]
    if rule.kind == "encoding":
        return etree.tostring(root, encoding="US-ASCII", xml_declaration=True)
    if rule.kind == "max_bytes":
        return document
    if rule.kind == "unique":
        places[0].getparent().append(deepcopy(places[0]))
    elif rule.kind == "count":
        miscounted(rule, root, places, values)
    else:
        for value in values:
            rewritten(value, wrong(rule))
    return etree.tostring(root)


def miscounted(rule: Rule, root: etree._Element, places: Any, values: Any) -> None:
    """Too few or too many of them."""
    assert isinstance(rule.value, dict)
    if "min" in rule.value:
        for value in values[rule.value["min"] - 1 :]:
            value.getparent().remove(value)
    elif values:
        copies = rule.value["max"] + 1
        for _ in range(copies):
            values[0].getparent().append(deepcopy(values[0]))
    else:
        prefix, _, name = rule.path.partition(" |")[0].partition(":")
        etree.SubElement(places[0], f"{{{NAMESPACES[prefix]}}}{name}").text = "x"


WRONG = {
    "matches": "§)",
    "date": "yesterday",
    "max_days": "2020-01-01T00:00:00Z",
    "plain": "a <b>bold</b> word",
    "without": "<p>a</p><script>b</script>",
    "url": "https://user:password@news.example/",
}


def wrong(rule: Rule) -> str | None:
    """A value that breaks the rule; None: none at all."""
    if rule.kind == "needs":
        return None
    if rule.kind not in {"length", "number"}:
        return WRONG[rule.kind]
    assert isinstance(rule.value, dict)
    beyond = int(rule.value["min"] - 1 if "min" in rule.value else rule.value["max"] + 1)
    return str(beyond) if rule.kind == "number" else "x" * beyond


def rewritten(value: Any, text: str | None) -> None:
    """Put another text where the value stands, or take it away."""
    if isinstance(value, str):
        parent, name = value.getparent(), value.attrname  # type: ignore[attr-defined]
        if text is None:
            del parent.attrib[name]
        else:
            parent.set(name, text)
    elif text is None:
        value.getparent().remove(value)
    else:
        for child in value:
            value.remove(child)
        value.text = text


def test_every_kind_of_rule_has_its_check() -> None:
    """And its line in the docs of the linter."""
    assert set(linter._CHECKS) == set(KINDS)
    assert [kind for kind in KINDS if f"\n    {kind} " not in (linter.__doc__ or "")] == []


TABLE = """
title = "Partner"
reads = "rss"
source = "https://partner.example/"
read_on = 2026-11-26
[[rules]]
name = "rule"
at = "item"
says = "So it is."
mend = "Do so."
{0}
"""


def told(rule: str, *items: str) -> list[tuple[str, str]]:
    """Where and what is found in a feed of these items."""
    document = f"<rss><channel>{''.join(f'<item>{item}</item>' for item in items)}</channel></rss>"
    table = partners.parse("partner", TABLE.format(rule))
    return [(one.where, one.what) for one in lint(document.encode(), table, MADE)]


@pytest.mark.parametrize(
    ("rule", "items", "found"),
    [
        ('path="a"\nneeds=true', ["<a>x</a>", "<a> </a>", ""], [("item 2", "It is blank."), ("item 3", "It is not there.")]),
        ('path="a/@b"\nneeds=true', ['<a b="x"/>', "<a/>"], [("item 2", "It is not there.")]),
        ('path="a|b"\nneeds=true', ["<a/><b>x</b>"], []),
        ('path="a"\ncount={max=1}', ["<a/><a/>", "<a/>"], [("item 1", "There are 2, more than 1.")]),
        ('path="a"\ncount={min=1}', ["<a/>", ""], [("item 2", "There are 0, fewer than 1.")]),
        ('path="a"\nlength={min=2,max=3}', ["<a> xx </a>", "<a>xxxx</a>", "<a/>"], [("item 2", "“xxxx” has 4 characters, more than 3.")]),
        ('path="a"\nlength={min=2}', ["<a>x</a>"], [("item 1", "“x” has 1 characters, fewer than 2.")]),
        ('path="a"\nmatches="x+"', ["<a>xx</a>", "<a>xy</a>"], [("item 2", "“xy” is not of that form.")]),
        (
            'path="a"\ndate="w3c"',
            ["<a>2026-11-23</a>", "<a>2026-11-23T10:00:00+03:00</a>", "<a>Mon, 23 Nov 2026 10:00:00 GMT</a>"],
            [("item 3", "“Mon, 23 Nov 2026 10:00:00 GMT” is no such date.")],
        ),
        (
            'path="a"\ndate="rfc822"',
            ["<a>Mon, 23 Nov 2026 10:00:00 +0300</a>", "<a>2026-11-23</a>"],
            [("item 2", "“2026-11-23” is no such date.")],
        ),
        (
            'path="a"\ndate="any"',
            ["<a>Mon, 23 Nov 2026 10:00:00 GMT</a>", "<a>2026-11-23T10:00:00</a>"],
            [("item 2", "“2026-11-23T10:00:00” is no such date.")],
        ),
        (
            'path="a"\nmax_days=2',
            ["<a>2026-11-22T10:00:00Z</a>", "<a>2026-11-20T10:00:00Z</a>", "<a>2026-11-24T10:00:00Z</a>", "<a>x</a>"],
            [
                ("item 2", "2026-11-20T10:00:00Z is 3.0 days ago, more than 2."),
                ("item 3", "2026-11-24T10:00:00Z is ahead."),
                ("item 4", "“x” is no date."),
            ],
        ),
        ("max_bytes=20", ["x", "<a>too many for this</a>"], [("item 2", "It is 37 bytes long, more than 20.")]),
        (
            'path="a"\nnumber={min=5}',
            ["<a>5</a><a>4</a>", "<a>9</a>", "", "<a>x</a>"],
            [("item 1", "It is 4, fewer than 5."), ("item 4", "“x” is no number.")],
        ),
        ('path="a"\nnumber={min=5,any=true}', ["<a>5</a><a>4</a>", "<a>3</a><a>4</a>", ""], [("item 2", "It is 3, fewer than 5.")]),
        ('path="a"\nunique=true', ["<a>x</a>", "<a>y</a>", "<a> x </a>"], [("item 3", "“x” stands 2 times.")]),
        ('path="a"\nplain=true', ["<a>1 &lt; 2 &amp; 3 > 2</a>", "<a>&lt;b>x&lt;/b></a>"], [("item 2", "It holds <b>.")]),
        (
            'path="a"\nwithout=["script","style"]',
            ["<a>&lt;p>x</a>", "<a>&lt;style>x&lt;/style>&lt;script>y&lt;/script></a>", "<a/>", "<a>&lt;html>&lt;head></a>"],
            [("item 2", "It holds script, style.")],
        ),
        (
            'path="a"\nurl=true',
            ["<a>https://x.example/?a</a>", "<a>/x</a>", "<a>ftp://x.example/</a>", "<a>https://u:p@x.example/</a>", "<a>https://[x/</a>"],
            [
                ("item 2", "“/x” is no such address."),
                ("item 3", "“ftp://x.example/” is no such address."),
                ("item 4", "“https://u:p@x.example/” is no such address."),
                ("item 5", "“https://[x/” is no such address."),
            ],
        ),
        ('encoding="utf-8"', ["x"], []),
    ],
)
def test_a_check_finds_what_it_is_for(rule: str, items: list[str], found: list[tuple[str, str]]) -> None:
    """Exactly where it is, and says what it saw."""
    assert told(rule, *items) == found


DATES = {
    "Thu, 26 Nov 2026 10:00:00 +0000": {"rfc822", "any"},
    "Thu, 26 Nov 2026 10:00:00 GMT": {"rfc822", "any"},
    "26 Nov 2026 10:00 EST": {"rfc822", "any"},
    "Thu,  5 Nov 2026 10:00:00 +0300": {"rfc822", "any"},
    "Thu, 26 Nov 2026 10:00:00 -0000": {"rfc822", "any"},
    "Mon, 26 Nov 2026 10:00:00 +0000": set[str](),
    "Do, 26 Nov 2026 10:00:00 +0000": set[str](),
    "Thu, 26 Nov 26 10:00:00 +0000": set[str](),
    "26 Nov 2026 10:00:00 +0000 junk": set[str](),
    "Thu, 26 Nov 2026 10:00:00": set[str](),
    "Thu, 26 Nov 2026 10:00:00 CET": set[str](),
    "Mon, 31 Nov 2026 10:00:00 +0000": set[str](),
    "Thu, 26 Nov 2026 25:00:00 +0000": set[str](),
    "Thu, 26 Nov 2026 10:00:00 +9900": set[str](),
    "2026-11-26": {"w3c"},
    "2026-11-26T10:00Z": {"w3c"},
    "2026-11-26T10:00:00Z": {"w3c", "any"},
    "2026-11-26T10:00:00.5+03:00": {"w3c", "any"},
    "20261126T100000Z": set[str](),
    "2026-W48-4": set[str](),
    "2026-11-26 10:00:00+00:00": set[str](),
    "2026-11-26T10:00:00": set[str](),
    "2026-11-31T10:00:00Z": set[str](),
    "٢٠٢٦-١١-٢٦": set[str](),
    "": set[str](),
}
"""Date → the kinds of which it is one, to the letter."""


@pytest.mark.parametrize("date", DATES)
def test_a_date_is_one_to_the_letter(date: str) -> None:
    """The right weekday in English, four digits of the year, an offset, and nothing after it: partners drop what they cannot read."""
    assert {kind for kind in ("rfc822", "w3c", "any") if not told(f'path="a"\ndate="{kind}"', f"<a>{date}</a>")} == DATES[date]


def test_a_date_that_is_written_wrongly_is_not_called_old() -> None:
    """As far as it can be read at all: one rule asks for the form, another for the age, and each says what to mend."""
    assert told('path="a"\nmax_days=2', "<a>Tue, 23 Nov 2026 08:00:00 +0000</a>", "<a>23 Nov 26 08:00 GMT</a>") == []
    assert [what for _, what in told('path="a"\nmax_days=2', "<a>Do, 26 Nov</a>")] == ["“Do, 26 Nov” is no date."]


def test_a_feed_without_a_channel_is_one_finding() -> None:
    """No rule of an item or a channel would find anything wrong with it."""
    for name in partners.names():
        found = lint(b'<rss version="2.0"/>', partners.profile(name), MADE)
        assert [(one.rule, one.level) for one in found] == [("document", "required")]
    empty = b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"/>'
    assert lint(empty, partners.profile("google-news"), MADE) == []


def test_a_feed_that_hides_its_address_cannot_be_held_to_https(good: dict[str, bytes]) -> None:
    """MSN fetches nothing else, so it is said rather than passed over."""
    silent = good["rss"].replace(b'rel="self"', b'rel="related"')
    assert {one.rule for one in lint(silent, partners.profile("msn"), MADE + timedelta(hours=1))} == {"https-known"}
    open_to_all = good["rss"].replace(b'href="https://news.example/feeds/russia.rss"', b'href="http://news.example/feeds/russia.rss"')
    assert {one.rule for one in lint(open_to_all, partners.profile("msn"), MADE + timedelta(hours=1))} == {"https"}


def test_a_place_is_named_as_people_find_it() -> None:
    """By its number and its id or address, and long values in short."""
    assert told('path="a"\nneeds=true', "<guid>tag:x,2026:1</guid>") == [("item 1 (tag:x,2026:1)", "It is not there.")]
    ((_, what),) = told('path="a"\nmatches="y"', f"<a>{'x' * 99}</a>")
    assert what == f"“{'x' * 59}…” is not of that form."


@pytest.mark.parametrize("document", [b"", b"<rss>", b"{}", b'<!DOCTYPE a [<!ENTITY b "SECRET">]><rss><channel>&b;</channel></rss>'])
def test_a_broken_document_is_one_finding(document: bytes) -> None:
    """What follows from it is nobody's concern."""
    findings = lint(document, partners.profile("msn"), MADE)
    if b"SECRET" in document:
        assert findings
        assert "SECRET" not in "".join(one.what for one in findings)
    else:
        ((rule, where),) = [(one.rule, one.where) for one in findings]
        assert (rule, where) == ("document", "document")


@pytest.mark.parametrize(("name", "document"), [("msn", b"<feed/>"), ("google-news", b"<rss/>")])
def test_another_kind_of_document_is_one_finding(name: str, document: bytes) -> None:
    """It says which kind the partner reads."""
    ((what, mend),) = [(one.what, one.mend) for one in lint(document, partners.profile(name), MADE)]
    assert partners.ROOTS[partners.profile(name).reads] in what
    assert partners.ROOTS[partners.profile(name).reads] in mend


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (("says", "sayz"), "does not know sayz"),
        (('mend = "Do so."', ""), "lacks mend"),
        (("{0}", ""), "asks 0 things"),
        (("{0}", "needs=true\nunique=true"), "asks 2 things"),
        (('at = "item"', 'at = "page"'), "at 'page' is none of"),
        (('reads = "rss"', 'reads = "atom"'), "reads 'atom' is none of"),
        (("{0}", 'needs=true\nlevel="nice"'), "level 'nice' is none of"),
        (('source = "https://partner.example/"', ""), "partner: lacks source"),
        (("{0}", 'needs=true\n[[rules]]\nname="rule"\nat="item"\nsays=""\nmend=""\nunique=true'), "two rules have one name"),
    ],
)
def test_a_table_that_nobody_understands_is_refused(changed: tuple[str, str], problem: str) -> None:
    """With the rule's name and what is wrong, so that a typo is no rule that never fires."""
    with pytest.raises(ValueError, match=problem):
        partners.parse("partner", TABLE.replace(*changed).replace("{0}", "needs=true"))


def test_a_partner_without_a_table_is_unknown() -> None:
    """Also one whose name would lead elsewhere."""
    for name in ("nobody", "../opml", ""):
        with pytest.raises(KeyError):
            partners.profile(name)


def test_the_docs_name_every_partner_and_every_kind_of_rule() -> None:
    """Who adds a table needs both."""
    page = (GOLDEN.parents[1] / "docs" / "formats.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \| (?:a news sitemap|RSS) \|", page, re.MULTILINE)) == set(partners.names())
    assert tuple(re.findall(r"^\| `([a-z_]+) = ", page, re.MULTILINE)) == KINDS
    assert [prefix for prefix in NAMESPACES if f"`{prefix}`" not in page] == []


@given(data=st.data())
def test_no_document_is_too_strange_to_be_read(data: st.DataObject, good: dict[str, bytes]) -> None:
    """Cut, spliced, damaged or filled with anything: there are findings or none, and never an error."""
    document = good[data.draw(st.sampled_from(sorted(good)))][:6000]
    at = data.draw(st.integers(0, len(document)))
    drawn = data.draw(
        st.binary(max_size=20) | st.sampled_from([b"", b"<", b"]]>", b"<?", b"&#0;", b"<!DOCTYPE a>", b"\xff\xfe", b"</item>"])
    )
    damaged = document[:at] + drawn + document[data.draw(st.integers(at, len(document))) :]
    for name in partners.names():
        for finding in lint(damaged, partners.profile(name), MADE):
            assert finding.where
            assert finding.what


def test_naughty_strings_anywhere_are_read(naughty: tuple[str, ...]) -> None:
    """As every value a rule may look at."""
    paths = ("title", "link", "guid", "description", "pubDate", "content:encoded", "media:content/@url", "media:content/@width")
    rules = [replace(rule, path=" | ".join(paths)) for rule in partners.profile("msn").rules if rule.at == "item"]
    table = replace(partners.profile("msn"), rules=tuple(rules))
    for text in (re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", string) for string in naughty):
        root = etree.Element("rss", nsmap=dict(NAMESPACES))
        item = etree.SubElement(etree.SubElement(root, "channel"), "item")
        for name in ("title", "link", "guid", "description", "pubDate", f"{{{NAMESPACES['content']}}}encoded"):
            etree.SubElement(item, name).text = text
        etree.SubElement(item, f"{{{NAMESPACES['media']}}}content", url=text, width=text)
        assert all(one.what for one in lint(etree.tostring(root), table, MADE))
