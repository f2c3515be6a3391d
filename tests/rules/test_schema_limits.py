"""The limits of an article at their edges: the last value that passes, and the first that does not."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.rules import schema
from tests.conftest import article

URL = "https://www.example.org/a"
INSTANT = "2026-11-23T07:00:00Z"
FILM = {"url": URL}
BIG = 2**53 - 1


def refused(**changes: Any) -> list[tuple[str, str]]:
    """(pointer, sentence) of everything found in the small article with these changes."""
    return [(problem.pointer, problem.detail) for problem in schema.problems("article.v1.json", {**article(), **changes})]


def nested(pointer: str, value: object) -> dict[str, Any]:
    """The member of an article in which `value` stands at `pointer`, with what the rest of it needs."""
    name, *inner = pointer.strip("/").split("/")
    if not inner:
        return {name: value}
    needed: dict[str, Any] = {"images": FILM, "videos": FILM, "authors": {"name": "A"}, "correction": {"note": "N", "at": INSTANT}}
    if inner[0] != "0":
        return {name: {**needed.get(name, {}), inner[0]: value}}
    return {name: [value if len(inner) == 1 else {**needed[name], inner[1]: value}]}


@pytest.mark.parametrize(
    ("pointer", "most"),
    [
        ("/id", 200),
        ("/headline", 300),
        ("/body_html", 500_000),
        ("/summary", 2000),
        ("/dateline", 200),
        ("/sign_off", 200),
        ("/rights", 1000),
        ("/section/0", 80),
        ("/tags/0", 80),
        ("/authors/0/name", 200),
        ("/images/0/caption", 2000),
        ("/images/0/credit", 300),
        ("/images/0/alt", 2000),
        ("/videos/0/caption", 2000),
        ("/videos/0/credit", 300),
        ("/correction/note", 2000),
        ("/geo/name", 200),
    ],
)
def test_a_text_may_have_so_many_characters(pointer: str, most: int) -> None:
    """Characters are code points: an emoji is one."""
    for letter in "a" if pointer == "/id" else "a\U0001f4f0":
        assert refused(**nested(pointer, letter * most)) == []
        assert refused(**nested(pointer, letter * (most + 1))) == [(pointer, f"At most {most} characters; this has {most + 1}.")]


@pytest.mark.parametrize(
    ("pointer", "longest"),
    [
        ("/url", "https://www.example.org/".ljust(2000, "a")),
        ("/images/0/url", "https://www.example.org/".ljust(2000, "a")),
        ("/authors/0/url", "https://www.example.org/".ljust(2000, "a")),
        ("/videos/0/thumbnail_url", "https://www.example.org/".ljust(2000, "a")),
        ("/language", "en-12345678-12345678-12345678-123456"[:35]),
        ("/images/0/media_type", "image/".ljust(100, "a")),
        ("/published_at", "2026-11-23T07:00:00.".ljust(39, "1") + "Z"),
    ],
)
def test_a_text_with_a_form_may_be_so_long(pointer: str, longest: str) -> None:
    """One character more is too long, though the form is kept."""
    longer = longest.replace("Z", "1Z") if longest.endswith("Z") else longest + "1"
    assert refused(**nested(pointer, longest)) == []
    assert refused(**nested(pointer, longer)) == [(pointer, f"At most {len(longest)} characters; this has {len(longer)}.")]


@pytest.mark.parametrize(
    ("name", "most", "item"),
    [("section", 8, "A"), ("authors", 50, {"name": "A"}), ("tags", 50, "A"), ("images", 100, FILM), ("videos", 20, FILM)],
)
def test_a_list_may_have_so_many_items(name: str, most: int, item: object) -> None:
    """And may be empty."""
    assert refused(**{name: []}) == refused(**{name: [item] * most}) == []
    assert refused(**{name: [item] * (most + 1)}) == [(f"/{name}", f"At most {most} items; this has {most + 1}.")]


def test_extra_may_have_a_hundred_members() -> None:
    """They are the newsroom's own, of any kind."""
    assert refused(extra={str(number): [{"any": None}] for number in range(100)}) == refused(extra={}) == []
    assert refused(extra={str(number): 1 for number in range(101)}) == [("/extra", "At most 100 items; this has 101.")]


@pytest.mark.parametrize(
    ("pointer", "least", "most"),
    [
        ("/version", 0, BIG),
        ("/priority", 1, 9),
        ("/images/0/width", 1, 100_000),
        ("/images/0/height", 1, 100_000),
        ("/images/0/size_bytes", 0, BIG),
        ("/videos/0/width", 1, 100_000),
        ("/videos/0/height", 1, 100_000),
        ("/videos/0/duration_seconds", 0, 86_400),
    ],
)
def test_a_number_lies_between(pointer: str, least: int, most: int) -> None:
    """Both ends belong to it."""
    assert refused(**nested(pointer, least)) == refused(**nested(pointer, most)) == []
    assert refused(**nested(pointer, least - 1)) == [(pointer, f"At least {least}; found {least - 1}.")]
    assert refused(**nested(pointer, most + 1)) == [(pointer, f"At most {most}; found {most + 1}.")]


@pytest.mark.parametrize(("name", "other", "most"), [("latitude", "longitude", 90), ("longitude", "latitude", 180)])
def test_degrees_lie_on_the_globe(name: str, other: str, most: int) -> None:
    """And a latitude alone is no place."""
    for value in (most, -most, most - 0.5):
        assert refused(geo={name: value, other: 0}) == []
    assert refused(geo={name: most + 0.001, other: 0}) == [(f"/geo/{name}", f"At most {most}; found {most + 0.001}.")]
    assert refused(geo={name: -most - 0.001, other: 0}) == [(f"/geo/{name}", f"At least {-most}; found {-most - 0.001}.")]
    assert refused(geo={name: 1}) == [(f"/geo/{other}", f"This field is required beside {name}.")]


@pytest.mark.parametrize("pointer", ["/headline", "/body_html", "/section/0", "/tags/0", "/authors/0/name", "/correction/note"])
@pytest.mark.parametrize("blank", ["", " ", "\n", " \t\r\n ", "\u00a0", "\u2028"])
def test_what_must_say_something_is_not_blank(pointer: str, blank: str) -> None:
    """A no-break space and a line separator are blanks, too."""
    told = refused(**nested(pointer, blank))
    assert {where for where, _ in told} == {pointer}
    assert any(sentence.startswith(("This must not be empty", f"“{blank}” is not in the form")) for _, sentence in told)


@pytest.mark.parametrize("name", ["summary", "dateline", "sign_off", "rights"])
def test_what_may_be_left_out_may_be_empty(name: str) -> None:
    """A CMS that has nothing to say there may say so."""
    assert refused(**{name: ""}) == []


def test_a_place_says_something() -> None:
    """An empty object is refused."""
    assert refused(geo={}) == [("/geo", "At least 1 item.")]


def test_what_is_far_too_long_is_told_once_and_not_item_by_item() -> None:
    """A megabyte of small items would take longer than a worker is given; each list says only that it is too long."""
    for name, item in (("images", {"url": "u"}), ("authors", {"x": 1}), ("videos", {}), ("tags", 1), ("section", "/")):
        assert [pointer for pointer, _ in refused(**{name: [item] * 30_000})] == [f"/{name}"]
    unknown = {f"k{number}": 1 for number in range(50_000)}
    assert len(refused(**unknown)) == schema.MOST_PROBLEMS
