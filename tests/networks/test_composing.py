"""The text of a share: what is shortened, where it is cut, and what becomes of tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.networks.composing import ELLIPSIS, Parts, fit, hashtags_of, losses, shorten
from pipeline.networks.counting import grapheme_count, graphemes, utf16_units

PIECES = ["a", "b", " ", "\n", ",", "日", "é", "e\u0301", "👨\u200d👩\u200d👧", "🇷🇺", "👍🏽", "\u0600", "ש", "क्षि", "…"]
HARD = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(HARD | st.text(max_size=60), st.integers(0, 40))
def test_a_shortened_text_is_a_beginning_in_whole_graphemes(text: str, limit: int) -> None:
    """It fits, it ends in an ellipsis, and what stands before that are the first grapheme clusters of the text."""
    made = shorten(text, lambda kept: grapheme_count(kept) <= limit)
    assert grapheme_count(made) <= limit
    if made not in {text, ""}:
        assert made.endswith(ELLIPSIS)
        kept = graphemes(made.removesuffix(ELLIPSIS))
        assert kept == graphemes(text)[: len(kept)]
        made.encode("utf-16")


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("The ferry returns to service", 100, "The ferry returns to service"),
        ("The ferry returns to service", 20, "The ferry returns…"),
        ("The ferry, returns to service", 12, "The ferry…"),
        ("Verkehrsinfrastruktur", 10, "Verkehrsi…"),
        ("Das Verkehrsinfrastrukturfinanzierungsgesetz", 20, "Das Verkehrsinfrast…"),
        ("日本語の見出し", 4, "日本語…"),
        ("🇷🇺🇺🇸🇫🇷", 2, "🇷🇺…"),
        ("anything", 1, ""),
    ],
)
def test_where_a_text_is_cut(text: str, limit: int, expected: str) -> None:
    """Between words where that costs no more than a third, without a comma before the ellipsis; else between graphemes."""
    assert shorten(text, lambda kept: grapheme_count(kept) <= limit) == expected


def test_what_gives_way_first() -> None:
    """The summary, then hashtags, then the headline; the link only when it is too long by itself, and then that is told."""
    parts = Parts(
        "A headline of some length", "A summary that is rather longer than the headline, by far", "https://example.org/a", ("One", "Two")
    )

    def within(limit: int) -> Parts:
        return fit(parts, lambda kept: len(kept.text()) <= limit)

    assert within(200) == parts
    assert within(110).summary == "A summary that is rather longer than the…"
    assert within(90) == Parts(parts.headline, "", parts.link, parts.hashtags)
    assert within(55) == Parts(parts.headline, "", parts.link, ("One",))
    assert within(50) == Parts(parts.headline, "", parts.link, ())
    assert within(40) == Parts("A headline of…", "", parts.link)
    assert within(21) == Parts("", "", parts.link)
    assert within(20) == Parts("A headline of some…")
    assert within(0) == Parts("")
    assert losses(parts, within(55)) == ()
    assert len(losses(parts, within(20))) == 2


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["Lake Ladoga", "Ferries"], ("LakeLadoga", "Ferries")),
        (["Школы", "ПВ и ЕК"], ("Школы", "ПВИЕК")),
        (["日本", "می\u200cخواهم"], ("日本", "میخواهم")),
        (["C++", "R&D", "rock'n'roll"], ("C", "RD", "RockNRoll")),
        (["2026", "!?", "❤\ufe0f", "  ", "__"], ()),
        (["G20 summit", "g20 Summit"], ("G20Summit",)),
        (["हिन्दी"], ("हिन्दी",)),
        (["a\ufe0fb"], ("AB",)),
        (["#already"], ("already",)),
    ],
)
def test_tags_as_hashtags(tags: list[str], expected: tuple[str, ...]) -> None:
    """Letters with their marks, digits and underscores; words are joined with capitals; none without a letter, none twice."""
    assert hashtags_of(tags) == expected


@given(st.lists(st.text(max_size=20), max_size=5))
def test_a_hashtag_is_one_word(tags: list[str]) -> None:
    """Whatever the tag, no hashtag holds anything that would end it early."""
    assert all(all(c == "_" or c.isalnum() or not c.isascii() for c in tag) and tag for tag in hashtags_of(tags))


@given(HARD, HARD, st.lists(st.sampled_from(["One", "日本", "Школы"]), max_size=3), st.integers(0, 120))
def test_fit_always_fits(headline: str, summary: str, tags: list[str], limit: int) -> None:
    """The answer is within the limit, whatever the parts; the link is whole or not there."""
    link = "https://example.org/some/page"
    made = fit(Parts(headline, summary, link, tuple(tags)), lambda kept: utf16_units(kept.text()) <= limit)
    assert utf16_units(made.text()) <= limit
    assert made.link in {link, ""}
    assert made.link or limit < len(link)
