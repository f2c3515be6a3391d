"""Each network's way of counting, against its owner's cases and its documentation."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.networks.counting import grapheme_count, graphemes, links, mastodon_length, utf8_bytes, utf16_units, x_weight

if TYPE_CHECKING:
    from pathlib import Path

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("group", "count"),
    [("WeightedTweetsWithDiscountedEmojiCounterTest", 22), ("UnicodeDirectionalMarkerCounterTest", 2)],
)
def test_twitter_text_conformance(data_folder: Path, group: str, count: int) -> None:
    """Every case of configuration v3 comes to the weight X's own library gives it; the older group describes v2."""
    path = data_folder / "twitter-text-validate.yml"
    if not path.is_file():
        pytest.skip("twitter-text-validate.yml is not at hand (PRESSRUN_TEST_DATA)")
    cases = yaml.safe_load(path.read_text("utf-8"))["tests"][group]
    assert len(cases) == count
    assert [(c["description"], x_weight(c["text"])) for c in cases] == [(c["description"], c["expected"]["weightedLength"]) for c in cases]


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("", 0),
        ("plain", 5),
        ("Привет", 6),
        ("שלום مرحبا", 10),
        ("日本語", 6),
        ("한국", 4),
        ("“—–”’", 5),
        ("…", 2),
        ("№€", 4),
        ("e\u0301", 1),
        ("a\r\nb", 3),
        ("\U0001f1f7\U0001f1fa", 2),
        ("👍🏽", 2),
        (FAMILY, 2),
        ("1\ufe0f\u20e3", 2),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", 2),
        ("©", 1),
        ("©\ufe0f", 2),
        ("❤\ufe0e", 4),
        ("https://example.org/a/very/long/path?with=query&and=more#fragment", 23),
        ("example.org", 23),
        ("see example.org.", 28),
        ("пример.рф", 9),
        ("https://пример.рф/a", 23),
        ("http://localhost/a", 18),
        ("https://news.example/a", 22),
        ("http://10.0.0.5/a", 17),
        ("a@example.org", 13),
        ("日本語example.orgです", 6 + 23 + 4),
        ("https://t.co/abc/def", 23 + 4),
    ],
)
def test_what_a_text_weighs_on_x(text: str, weight: int) -> None:
    """Latin, Cyrillic, Arabic and quotes weigh 1; CJK, the ellipsis and emoji sequences 2; what X takes for a link 23."""
    assert x_weight(text) == weight


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("http://example.org", [(0, 18)]),
        ("(http://example.org/a_(b))", [(1, 25)]),
        ("http://example.org/a, then", [(0, 20)]),
        ("x-example.org", [(0, 13)]),
        ("_example.org", []),
        ("http://" + "a" * 64 + ".com", []),
        ("Server.NET and Node.js", [(0, 10)]),
        ("https://e.com/" + "a" * 4100, []),
    ],
)
def test_where_x_sees_links(text: str, spans: list[tuple[int, int]]) -> None:
    """A link ends before punctuation that closes a sentence; labels over 63 and links over 4096 are none."""
    assert links(text) == spans


def test_mastodon_counts_links_and_mentions_short() -> None:
    """A link is 23 however long, if it has a scheme; a mention counts without its server; a family is one."""
    assert mastodon_length("https://example.org/" + "a" * 200) == 23
    assert mastodon_length("example.org/aaaa") == 16
    assert mastodon_length("by @anna@social.example!") == len("by @anna!")
    assert mastodon_length("mail anna@social.example") == 24
    assert mastodon_length(FAMILY) == 1


def test_units() -> None:
    """One family of four: a grapheme, eleven UTF-16 units, twenty-five bytes."""
    assert (grapheme_count(FAMILY), utf16_units(FAMILY), utf8_bytes(FAMILY)) == (1, 11, 25)


@given(st.text())
def test_graphemes_are_the_text(text: str) -> None:
    """Nothing is lost between grapheme clusters, and UTF-16 units are what the codec makes."""
    assert "".join(graphemes(text)) == text
    assert utf16_units(text) == len(text.encode("utf-16-le")) // 2


@given(st.text(st.sampled_from("abз日.-_/:()@#?=&,! \n👍\u200d\ufe0f🇷🇺1…")), st.text(st.sampled_from("ab日. ")))
def test_a_line_more_weighs_more(text: str, more: str) -> None:
    """Weights of lines add up: no rule looks across a line end."""
    assert x_weight(f"{text}\n{more}") == x_weight(text) + 1 + x_weight(more)


@given(st.lists(st.sampled_from(["http://", "https://", "example", ".com", ".", "/", "日", "-", "@", " ", "x", "рф", "://"])).map("".join))
def test_links_are_ordered_and_apart(text: str) -> None:
    """Links come in order and never overlap; those with a scheme are found whether or not others are asked for."""
    found = links(text)
    assert all(a < b for a, b in found)
    assert all(b <= c for (_, b), (c, _) in pairwise(found))
    assert set(links(text, bare=False)) <= set(found)
