"""The quick look and jsonschema agree: on every sample, on every way of breaking one, and on every text that could divide them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.rules import quick, schema, verdict
from tests.conftest import article
from tests.rules.test_schema_references import SAMPLES, SHARES, mutant

# White space, letters, line ends and digits on which Python, ECMA-262, Rust and the standards differ.
DIVIDING = (
    "\x00\x09\x0a\x0b\x0c\x0d\x1c\x1d\x1e\x1f\x20\x7f\x85\xa0\u1680\u180e\u2000\u200b\u2028\u2029\u202f\u205f"
    "\u2060\u3000\ufeff\ufffd\U0001d7ce\u0660"
)
TEXTS = st.text(st.sampled_from([*DIVIDING, *"aZ09-/:.@?#[]%Tz+"]), max_size=40)
PLACES: list[tuple[str | int, ...]] = [
    ("id",),
    ("url",),
    ("headline",),
    ("language",),
    ("published_at",),
    ("section", 0),
    ("tags", 0),
    ("authors", 0, "name"),
    ("images", 0, "url"),
    ("images", 0, "media_type"),
]


def full() -> dict[str, Any]:
    """An event with a value at every place above."""
    data = article(
        section=["News"], tags=["sea"], authors=[{"name": "A"}], images=[{"url": "https://h.example/a.jpg", "media_type": "image/jpeg"}]
    )
    return {"type": "article.published", "timestamp": "2026-11-23T08:00:00Z", "data": data}


def agree(name: str, value: object) -> bool:
    """The verdict both give."""
    found = verdict.problems(name, value)
    assert quick.finds_right(name, value) == (not found), (found, value)
    assert schema.problems(name, value) == found
    return not found


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_right_for_both(name: str) -> None:
    """And so is each as it was before any change."""
    assert agree("event.v1.json", SAMPLES[name])


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_right_for_both(name: str) -> None:
    """The schema with the most conditions."""
    assert agree("share.v1.json", SHARES[name])


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_they_agree_on_a_changed_sample(name: str, data: st.DataObject) -> None:
    """Members deleted or replaced by anything."""
    agree("event.v1.json", mutant(SAMPLES[name], data.draw))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SHARES)), st.data())
def test_they_agree_on_a_changed_share(name: str, data: st.DataObject) -> None:
    """The same for shares."""
    agree("share.v1.json", mutant(SHARES[name], data.draw))


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(PLACES), TEXTS)
@example(("headline",), "\x1c")
@example(("headline",), "\x85")
@example(("headline",), "\ufeff")
@example(("id",), "48101\n")
@example(("published_at",), "2026-11-23T08:00:00Z\n")
@example(("published_at",), "2026-11-23t08:00:00z")
@example(("url",), "https://h.example/\U0001d7ce")
def test_they_agree_on_a_text_that_could_divide_them(place: tuple[str | int, ...], text: str) -> None:
    """White space and line ends of every dialect, at every place with a form."""
    value = full()
    holder: Any = value["data"]
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = text
    agree("event.v1.json", value)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_they_agree_on_anything(value: object) -> None:
    """Whole numbers of any size and numbers that are none included."""
    for name in ("event.v1.json", "config.v1.json"):
        agree(name, value)


@pytest.mark.parametrize("version", [1, 1.0, 1.5, -1, 0, 2**53, 2**63 - 1, 2**63, 2**64, 1e308, True])
def test_they_agree_on_a_number(version: object) -> None:
    """1.0 is a whole number, and True is none (JSON Schema 2020-12, core 4.2.2)."""
    value = full()
    value["data"]["version"] = version
    agree("event.v1.json", value)


def test_they_agree_on_half_a_character() -> None:
    """Strict reading refuses one long before; neither of the two trips over it."""
    value = full()
    value["data"]["headline"] = "half \ud800"
    assert agree("event.v1.json", value)


def test_what_is_no_json_is_left_to_jsonschema() -> None:
    """A date of TOML's: the quick look has no opinion, so nothing is right because of it."""
    value = {"data": date(2026, 11, 23)}
    assert not quick.finds_right("config.v1.json", value)
    assert verdict.problems("config.v1.json", value)


def test_the_quick_look_knows_every_word_of_our_schemas() -> None:
    """A keyword nobody knows would be passed in silence: those we judge ourselves are renamed, and nothing else is."""
    text = json.dumps(quick._renamed(full_schema := schema.documents()["article.v1.json"]))
    assert '"x-pattern"' in text
    assert '"x-format"' in text
    assert json.dumps(full_schema).count('"pattern"') == text.count('"x-pattern"')
    assert json.dumps(full_schema).count('"format"') == text.count('"x-format"')
