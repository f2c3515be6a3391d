"""Forms of text: line breaks at the end, what cannot be printed, instants, addresses, and strings meant to keep us busy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules import schema
from tests.conftest import article
from tests.rules import valid_articles

URL = "https://www.example.org/a"


def pointers(**changes: Any) -> set[str]:
    """Where something is wrong in the small article with these changes."""
    return {problem.pointer for problem in schema.problems("article.v1.json", {**article(), **changes})}


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\n", "\u2028", "\u0085", "\0", " ", "\ud800"])
@pytest.mark.parametrize(
    ("name", "value"), [("id", "48101"), ("url", URL), ("language", "en"), ("published_at", "2026-11-23T08:00:00Z"), ("media_type", "a/b")]
)
def test_nothing_trails_what_has_a_form(name: str, value: str, end: str) -> None:
    """In Python `$` also matches before a last line break; in JSON Schema it is the end."""
    changes = {"images": [{"url": URL, name: value}]} if name == "media_type" else {name: value}
    trailing = {"images": [{"url": URL, name: value + end}]} if name == "media_type" else {name: value + end}
    assert pointers(**changes) == set()
    assert pointers(**trailing) == {"/images/0/media_type" if name == "media_type" else f"/{name}"}


@pytest.mark.parametrize(("geo", "pointer"), [({"country": "RU\n"}, "/geo/country"), ({"country": "ru"}, "/geo/country")])
def test_a_country_is_two_capitals(geo: dict[str, str], pointer: str) -> None:
    """ISO 3166-1 alpha-2, and nothing after it."""
    assert pointers(geo=geo) == {pointer}


@pytest.mark.parametrize("value", ["", " a", "a ", "a\tb", "a\nb", "é", "a\0", "a\x7f", "\ud800", "ａ"])
def test_an_id_is_printable_ascii_without_blanks_at_its_ends(value: str) -> None:
    """The identity is made from it."""
    assert pointers(id=value) == {"/id"}


@given(valid_articles.ids)
def test_every_printable_id_is_taken(value: str) -> None:
    """Blanks inside included."""
    assert pointers(id=value) == set()


@pytest.mark.parametrize("value", ["en", "EN", "pt-BR", "zh-Hant-TW", "sr-Latn-RS-ekavsk", "kok", "de-1996", "en-x-12345678"])
def test_language_tags(value: str) -> None:
    """BCP 47 as newsrooms use it."""
    assert pointers(language=value) == set()


@pytest.mark.parametrize("value", ["", "e", "engl", "en_GB", "en-", "-en", "en--GB", "en-123456789", "рус", "e1", "*"])
def test_what_is_no_language_tag(value: str) -> None:
    """The sentence shows two that are."""
    (problem,) = schema.problems("article.v1.json", article(language=value))
    assert problem.pointer == "/language"
    assert problem.detail.startswith(f"“{value}” is not in the form expected here: a BCP 47 language tag such as en or pt-BR")


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T08:00:00Z",
        "2026-11-23t08:00:00z",
        "2026-11-23T08:00:00+03:00",
        "2026-11-23T08:00:00-00:00",
        "2026-11-23T08:00:00.5-23:59",
        "2026-11-23T08:00:00.123456789Z",
        "2024-02-29T23:59:59Z",
    ],
)
def test_instants(value: str) -> None:
    """RFC 3339 with an offset."""
    assert pointers(published_at=value) == set()


@given(valid_articles.instants)
def test_every_instant_of_the_calendar_is_taken(value: str) -> None:
    """Whatever its offset and its fraction."""
    assert pointers(published_at=value, updated_at=value) == set()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T08:00:00",
        "2026-11-23T08:00Z",
        "2026-11-23 08:00:00Z",
        "2026-11-23_08:00:00Z",
        "20261123T080000Z",
        "2026-W48-1T08:00:00Z",
        "2026-11-23T08:00:00+0300",
        "2026-11-23T08:00:00+03",
        "2026-11-23T08:00:00+24:00",
        "2026-11-23T08:00:00+00:00:30",
        "2026-11-23T08:00:00.Z",
        "2026-11-23T08:00:00,5Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T08:60:00Z",
        "2026-13-01T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "-2026-11-23T08:00:00Z",
        "２026-11-23T08:00:00Z",
        "٢٠٢٦-11-23T08:00:00Z",
        " 2026-11-23T08:00:00Z",
        "Mon, 23 Nov 2026 08:00:00 GMT",
        "1795420800",
    ],
)
def test_what_is_no_instant(value: str) -> None:
    """No other spelling of ISO 8601, no day or hour that no calendar has, and no leap second, which Python's clock lacks."""
    (first, *_) = schema.problems("article.v1.json", article(published_at=value))
    assert first.pointer == "/published_at"
    assert first.detail.startswith("Expected a date and time with offset such as 2026-11-23T08:00:00Z (RFC 3339); found “")


@pytest.mark.parametrize(
    "value",
    [
        "http://h",
        "https://h:8443/",
        "https://[2001:db8::1]/a",
        "https://www.example.org/%D0%BF?q=a@b&c=%20#part",
        "https://xn--e1afmkfd.xn--p1ai/",
        "https://h/@desk/a",
    ],
)
def test_addresses(value: str) -> None:
    """Absolute, http or https, in ASCII."""
    assert pointers(url=value, images=[{"url": value}], authors=[{"name": "A", "url": value}]) == set()


@given(valid_articles.addresses)
def test_every_plain_address_is_taken(value: str) -> None:
    """The ones of the other properties are valid."""
    assert pointers(url=value) == set()


@pytest.mark.parametrize(
    "value",
    [
        *("", "/a", "//h/a", "www.example.org", "https:", "https://", "https:///a", "https:/h/a", "https//h"),
        *("ftp://h/", "mailto:a@b", "javascript:alert(1)", "data:text/plain,x", "HTTPS://h/", " https://h/"),
        *("https://h/a b", "https://h/\n", "https://h\n/", "https://h/\t", "https://h/\0", "https://h/\x7f", "https://h/\u00a0"),
        *("https://h/%", "https://h/%zz", "https://h/a|b", "https://h/<a>", 'https://h/"', "https://h/{}", "https://h/^", "https://h/`"),
        *("https://пример.рф/", "https://h/é", "https://h\\@g/", "https://[::1/", "https://h/#a#b", "https://h/\ud800", "https://@h/"),
    ],
)
def test_what_is_no_address(value: str) -> None:
    """Wherever an address stands."""
    (*_, last) = schema.problems("article.v1.json", article(url=value))
    assert last.pointer == "/url"
    film = {"url": value, "thumbnail_url": value}
    assert pointers(images=[{"url": value}], videos=[film], authors=[{"name": "A", "url": value}]) == {
        "/images/0/url",
        "/videos/0/url",
        "/videos/0/thumbnail_url",
        "/authors/0/url",
    }


_HOSTILE = {
    "id": ["a" * 1999 + "\x7f", " " * 2000, "! " * 999 + "\n"],
    "url": ["https://" + "a:" * 990 + " ", "https://h/" + "%41" * 660 + "%", "https://" + "1." * 990 + "|", "http://[" + ":" * 1990],
    "language": ["en" + "-a" * 998 + "!", "a" * 2000, "aaa" + "-" * 1997],
    "headline": [" " * 2000, "\n" * 1999 + "\t"],
    "published_at": ["2026-11-23T08:00:00." + "1" * 1979 + "x", "-" * 2000],
    "media_type": ["a" * 2000, "a" * 1000 + "/" + "." * 999, "a/" + "a" * 1997 + "/"],
    "section": ["a" * 1999 + "/", " " * 2000],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in _HOSTILE.items() for value in values])
def test_a_hostile_string_is_answered(name: str, value: str) -> None:
    """Whatever a pattern could try, there is a verdict on 2,000 characters, and it is no."""
    changes: dict[str, Any] = {"media_type": {"images": [{"url": URL, name: value}]}, "section": {name: [value]}}
    where = {"media_type": "/images/0/media_type", "section": "/section/0"}.get(name, f"/{name}")
    assert pointers(**changes.get(name, {name: value})) == {where}


@pytest.mark.parametrize(("name", "length"), [("id", 150), ("url", 1000), ("published_at", 1000)])
def test_a_refusal_shows_the_beginning_of_a_long_text(name: str, length: int) -> None:
    """Sixty characters are enough to find it again, and a rejection stays readable."""
    (*_, problem) = schema.problems("article.v1.json", article(**{name: "é" * length}))
    assert "“" + "é" * 60 + "…”" in problem.detail
    assert len(problem.detail) < 200


@pytest.mark.parametrize(
    "changes",
    [{"section": ["a" * 200_000 + "/"]}, {"url": "https://" + "a" * 200_000 + "@"}, {"language": "a-" * 100_000}, {"id": " a" * 100_000}],
)
def test_of_a_text_that_is_too_long_only_that_is_said(changes: dict[str, object]) -> None:
    """No form is tried on it: some take long over a megabyte, and a webhook may hold one."""
    assert {problem.detail.partition(" characters")[0][:7] for problem in schema.problems("article.v1.json", article(**changes))} == {
        "At most"
    }


@given(st.text(max_size=40), st.sampled_from(["id", "url", "language", "published_at"]))
def test_any_text_is_answered(value: str, name: str) -> None:
    """No text makes a form fail otherwise than by a problem at its place."""
    for problem in schema.problems("article.v1.json", {**article(), name: value}):
        assert problem.pointer == f"/{name}"
