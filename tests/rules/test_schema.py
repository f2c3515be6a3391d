"""The schemas' problems: all of them at once, each with its place and a sentence an editor understands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.event import Problem
from pipeline.rules import schema
from tests.conftest import article

URL = "https://www.example.org/a"
INSTANT = "2026-11-23T07:00:00Z"


def found(**changes: Any) -> dict[str, str]:
    """Pointer → sentence of the small article with these changes; None takes a member out."""
    return {problem.pointer: problem.detail for problem in schema.problems("article.v1.json", article(**changes))}


def test_nothing_is_wrong_with_the_small_article() -> None:
    """What the other tests break is whole."""
    assert schema.problems("article.v1.json", article()) == ()


def test_every_problem_is_told_at_once() -> None:
    """A missing field, an unknown one, a wrong type, a limit and a nested one: one rejection for all of them."""
    told = found(url=None, headlin="x", language=7, priority=10, images=[{"url": URL}, {"credit": "A", "role": "first"}])
    assert told == {
        "/url": "This field is required.",
        "/headlin": "“headlin” is not a known field. Did you mean “headline”?",
        "/language": "Expected text, found a number.",
        "/priority": "At most 9; found 10.",
        "/images/1/url": "This field is required.",
        "/images/1/role": "Expected one of lead, inline; found “first”.",
    }


@pytest.mark.parametrize("name", ["id", "url", "headline", "body_html", "language", "published_at"])
def test_a_required_field_is_missed_by_its_own_pointer(name: str) -> None:
    """The pointer leads to where the field should stand."""
    assert found(**{name: None}) == {f"/{name}": "This field is required."}


def test_nothing_at_all_misses_every_field() -> None:
    """An empty object names all six."""
    told = schema.problems("article.v1.json", {})
    assert {problem.pointer for problem in told} == {"/id", "/url", "/headline", "/body_html", "/language", "/published_at"}


@pytest.mark.parametrize(
    ("changes", "pointer", "hint"),
    [
        ({"headlin": 1}, "/headlin", " Did you mean “headline”?"),
        ({"bodyhtml": 1}, "/bodyhtml", " Did you mean “body_html”?"),
        ({"geo": {"country": "RU", "lattitude": 1}}, "/geo/lattitude", " Did you mean “latitude”?"),
        ({"authors": [{"name": "A", "zzz": 1}]}, "/authors/0/zzz", " Known here: name, url."),
        ({"x/y~z": 1}, "/x~1y~0z", None),
        ({"": 1}, "/", None),
        ({"k" * 100: 1}, "/" + "k" * 100, None),
    ],
)
def test_an_unknown_member_is_named_with_what_was_meant(changes: dict[str, Any], pointer: str, hint: str | None) -> None:
    """The nearest known name is offered; where none is near, all of them."""
    told = found(**changes)
    assert list(told) == [pointer]
    assert " is not a known field." in told[pointer]
    assert told[pointer].endswith(hint or "version, videos.")


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "null"), (True, "true or false"), (1, "a number"), (1.5, "a number"), ([], "a list"), ({}, "an object")],
)
def test_a_wrong_type_says_what_was_expected_and_found(value: object, name: str) -> None:
    """In words, for text as for a list and an object."""
    data = {**article(), "headline": value}
    assert schema.problems("article.v1.json", data) == (Problem("/headline", f"Expected text, found {name}."),)
    if not isinstance(value, list):
        assert schema.problems("article.v1.json", {**article(), "tags": value})[0].detail == f"Expected a list, found {name}."
    if not isinstance(value, dict):
        assert schema.problems("article.v1.json", {**article(), "extra": value})[0].detail == f"Expected an object, found {name}."


@pytest.mark.parametrize("value", [True, False, 1.5, "1"])
def test_a_version_is_a_whole_number(value: object) -> None:
    """Python counts true as 1; JSON does not."""
    assert found(version=value)["/version"].startswith("Expected a whole number, found ")


@pytest.mark.parametrize("value", [None, True, 7, "text", [], [{"id": "a"}]])
def test_what_is_no_object_is_no_article(value: object) -> None:
    """The pointer of the whole is empty."""
    (problem,) = schema.problems("article.v1.json", value)
    assert problem.pointer == ""
    assert problem.detail.startswith("Expected an object, found ")


def test_the_prefix_stands_before_every_pointer() -> None:
    """Also before that of the whole."""
    assert [p.pointer for p in schema.problems("article.v1.json", article(headlin=1, url=None), "/data")] == ["/data/headlin", "/data/url"]
    assert schema.problems("article.v1.json", 7, "/data")[0].pointer == "/data"


@pytest.mark.parametrize(
    ("kind", "data", "pointers"),
    [
        ("article.published", {"id": "a"}, {f"/data/{n}" for n in ("url", "headline", "body_html", "language", "published_at")}),
        ("article.withdrawn", {"id": "a"}, set()),
        ("article.withdrawn", {"id": "a", "headline": "x"}, {"/data/headline"}),
        ("article.withdrawn", {}, {"/data/id"}),
        ("article.deleted", article(), {"/type"}),
        ("article.updated", article(), set()),
        ("article.corrected", article(priority=0), {"/data/priority"}),
        ("article.updated", "text", {"/data"}),
    ],
)
def test_the_type_of_an_event_decides_what_its_data_must_be(kind: str, data: object, pointers: set[str]) -> None:
    """A withdrawal needs only the id; the three others are whole articles."""
    event = {"type": kind, "timestamp": INSTANT, "data": data}
    assert {problem.pointer for problem in schema.problems("event.v1.json", event)} == pointers


def test_at_most_a_hundred_problems_are_told() -> None:
    """Two hundred wrong things are answered with the first hundred of them."""
    assert len(schema.problems("article.v1.json", article(tags=[7] * 49))) == 49
    assert len(schema.problems("article.v1.json", article(images=[{"url": 7, "x": 1}] * 100))) == schema.MOST_PROBLEMS == 100
    assert len(found(**{f"unknown{number}": 1 for number in range(500)})) == 100


def test_the_same_problem_is_told_once() -> None:
    """Two rules of one place may say the same."""
    told = schema.problems("article.v1.json", article(url="no url\n", tags=[" ", " "]))
    assert len(told) == len(set(told))


@given(st.lists(st.text(max_size=5) | st.integers(0, 99), max_size=4))
def test_a_pointer_leads_back_to_its_parts(parts: list[str | int]) -> None:
    """RFC 6901: tilde and slash are escaped, nothing else, and in that order."""
    made = schema.pointer(parts)
    assert [part.replace("~1", "/").replace("~0", "~") for part in made.split("/")[1:]] == [str(part) for part in parts]
    assert not re.search("~(?![01])", made)
