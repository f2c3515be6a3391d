"""Native JSON into an article and back: cleaned once, stored as it is, and known again by its content."""

from __future__ import annotations

import json
import random
import unicodedata
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.article import Article, Author, Geo, Image
from pipeline.rules import schema
from pipeline.rules.article import content_sha, from_native, from_stored, to_stored
from tests.conftest import article
from tests.rules.valid_articles import articles, lines, markup

if TYPE_CHECKING:
    from collections.abc import Iterator

slowly = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
FORM = {"id", "url", "language", "role", "media_type", "thumbnail_url", "country", "extra", "body_html"}


def stored(made: Article) -> dict[str, Any]:
    """What the ledger hands back: through JSON."""
    return dict(json.loads(json.dumps(to_stored(made), ensure_ascii=False)))


def texts(value: object, name: str = "") -> Iterator[str]:
    """Every text of an article that people write, wherever it stands."""
    if isinstance(value, str) and name not in FORM:
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from texts(item, name)
    elif is_dataclass(value):
        for field in fields(value):
            yield from texts(getattr(value, field.name), field.name)


@slowly
@given(articles)
def test_an_article_comes_back_from_the_ledger_as_it_was(data: dict[str, Any]) -> None:
    """Every valid one; and what is stored is itself a valid article that cleaning leaves alone."""
    assert schema.problems("article.v1.json", data) == ()
    made = from_native(data)
    assert from_stored(stored(made)) == made
    assert schema.problems("article.v1.json", stored(made)) == ()
    assert from_native(stored(made)) == made
    assert to_stored(from_stored(stored(made))) == to_stored(made)


def test_only_what_has_a_value_is_stored() -> None:
    """Nought is a value; empty texts and lists are none."""
    made = from_native(article(version=0, summary="", tags=[], geo={"latitude": 0, "longitude": 0.0}, authors=[{"name": "A"}]))
    assert set(stored(made)) == {*article(), "version", "geo", "authors"}
    assert stored(made)["authors"] == [{"name": "A"}]
    assert from_stored(stored(made)).geo == Geo(latitude=0, longitude=0)


@slowly
@given(articles, articles, st.data())
def test_equal_content_has_an_equal_digest(data: dict[str, Any], other: dict[str, Any], draw: st.DataObject) -> None:
    """The order of members is no content, nor are `updated_at` and `version`; every other difference is."""
    members = list(data.items())
    random.Random(draw.draw(st.integers(0, 9))).shuffle(members)
    moved: dict[str, Any] = {name: other[name] for name in ("updated_at", "version") if name in other}
    first = from_native(data)
    assert content_sha(first) == content_sha(from_native(dict(members))) == content_sha(from_stored(stored(first)))
    assert content_sha(first) == content_sha(from_native({**data, **moved}))
    name = draw.draw(st.sampled_from([field.name for field in fields(first) if field.name not in {"updated_at", "version"}]))
    second = replace(first, **{name: getattr(from_native(other), name)})
    assert (content_sha(first) == content_sha(second)) == (first == second)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "a-2"),
        ("url", "https://www.example.org/b"),
        ("headline", "Another"),
        ("body_html", "<p>Other.</p>"),
        ("language", "fr"),
        ("published_at", "2026-11-23T07:00:01Z"),
        ("summary", "S"),
        ("dateline", "D"),
        ("sign_off", "AB"),
        ("section", ["World", "News"]),
        ("authors", [{"name": "A"}]),
        ("tags", ["T"]),
        ("images", [{"url": "https://h.example/"}]),
        ("videos", [{"url": "https://h.example/"}]),
        ("embargo_until", "2026-11-23T09:00:00Z"),
        ("correction", {"note": "N", "at": "2026-11-23T07:30:00Z"}),
        ("rights", "R"),
        ("geo", {"country": "RU"}),
        ("priority", 4),
        ("extra", {"desk": "a"}),
    ],
)
def test_whatever_a_reader_could_notice_changes_the_digest(name: str, value: object) -> None:
    """Field by field."""
    assert content_sha(from_native(article(**{name: value}))) != content_sha(from_native(article()))


def test_the_order_of_members_is_no_content() -> None:
    """Not even in what the newsroom keeps for itself."""
    one, other = ({"desk": "a", "deep": {"x": 1, "y": 2}}, {"deep": {"y": 2, "x": 1}, "desk": "a"})
    assert content_sha(from_native(article(extra=one))) == content_sha(from_native(article(extra=other)))


@pytest.mark.parametrize(
    "changes",
    [
        {"published_at": "2026-11-23T10:00:00+03:00"},
        {"headline": " A  quiet\nharbour\0 "},
        {"summary": "", "tags": [], "extra": {}},
        {"updated_at": "2026-11-23T07:30:00Z", "version": 3},
        {"body_html": "<p onclick='x()'>The harbour was quiet.</p><script>x()</script>"},
    ],
)
def test_what_nobody_could_notice_does_not(changes: dict[str, Any]) -> None:
    """Another offset, blanks, empty fields, scripts."""
    assert content_sha(from_native(article(**changes))) == content_sha(from_native(article()))


def test_the_digest_has_a_field_for_everything_an_article_has() -> None:
    """A new field is in the digest, or named here with those that move by themselves."""
    when = datetime(2026, 11, 23, tzinfo=UTC)
    whole = Article("a", "u", "h", "b", "en", when, when, 1, "s", "d", "o", ("n",), (Author("a"),), ("t",), (Image("i"),))
    assert set(to_stored(whole)) == {field.name for field in fields(Article)} - {
        *("videos", "embargo_until", "correction", "rights", "geo", "priority", "extra")
    }


@slowly
@given(articles)
def test_what_people_write_can_be_printed(data: dict[str, Any]) -> None:
    """No control characters, NFC, no blanks at the ends; headlines, captions and names on one line."""
    made = from_native(data)
    for text in texts(made):
        assert not {c for c in text if (unicodedata.category(c) == "Cc" and c != "\n") or ord(c) & 0xFFFE == 0xFFFE}
        assert unicodedata.is_normalized("NFC", text)
        assert text == text.strip()
    for line in (made.headline, made.dateline, made.sign_off, *made.section, *made.tags, *(a.name for a in made.authors)):
        assert not set("\n\r\t\u0085\u2028\u2029") & set(line)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("headline", "Cafe\u0301\0 \n  open", "Café open"),
        ("headline", "Voici\u00a0: un titre", "Voici\u00a0: un titre"),
        ("summary", " one\r\ntwo \u2029\n\n\n three", "one\ntwo\n\nthree"),
        ("tags", ["Rivers", "\x01", " Rivers ", "Towns"], ("Rivers", "Towns")),
        ("section", ["News", "\x01", " World\n"], ("News", "World")),
        ("authors", [{"name": " Katya\tTarn"}], (Author("Katya Tarn"),)),
        (
            "images",
            [{"url": "https://h.example/", "caption": "e\u0301", "alt": "\x02a"}],
            (Image("https://h.example/", caption="é", alt="a"),),
        ),
    ],
)
def test_texts_are_cleaned_once(name: str, value: object, expected: object) -> None:
    """What is left of a tag or a level when nothing is left is nothing, and a tag said twice is one."""
    assert getattr(from_native(article(**{name: value})), name) == expected


@slowly
@given(markup)
def test_a_sanitised_body_is_a_fixed_point(body: str) -> None:
    """Sanitised again it stays what it is, and nothing in it runs."""
    once = from_native(article(body_html=body)).body_html
    assert from_native(article(body_html=once)).body_html == once
    assert "<script" not in once
    assert "\0" not in once


def test_links_are_absolute_against_the_articles_own_page() -> None:
    """Wherever a document stands that shows them."""
    made = from_native(article(body_html='<p><a href="other.html">x</a></p>'))
    assert made.body_html == '<p><a href="https://www.example.org/news/other.html">x</a></p>'


@pytest.mark.parametrize("name", ["published_at", "updated_at", "embargo_until"])
def test_a_date_no_calendar_has_is_an_error(name: str) -> None:
    """The caller lets the house rules say which."""
    with pytest.raises(ValueError, match="1899-12-31T00:00:00Z is no instant between 1900 and 2200"):
        from_native(article(**{name: "1899-12-31T00:00:00Z"}))


@given(lines)
def test_what_was_cleaned_is_not_cleaned_again(line: str) -> None:
    """The ledger's texts are taken as they are: a stored article is what was printed."""
    assert from_stored({**article(), "headline": line}).headline == line


def test_whole_numbers_are_whole_however_they_are_written() -> None:
    """JSON Schema takes 1200.0 for one; a page must not say width="1200.0"."""
    image = {"url": "https://images.example.org/a.jpg", "width": 1200, "height": 800, "size_bytes": 9}
    floats = {**image, "width": 1200.0, "height": 800.0, "size_bytes": 9.0}
    read = from_native(article(images=[floats], priority=2.0, version=3.0))
    assert read == from_native(article(images=[image], priority=2, version=3))
    assert isinstance(read.images[0].width, int)
    assert content_sha(read) == content_sha(from_native(article(images=[image], priority=2, version=3)))


def test_the_name_of_a_place_is_cleaned() -> None:
    """It stands in the pages' JSON-LD."""
    geo = from_native(article(geo={"name": "K\0yi\u0301v"})).geo
    assert geo is not None
    assert geo.name == "Ky\u00edv"
