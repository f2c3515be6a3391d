"""What is each network's own: markup, facets, headers, weights in place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.networks import NETWORKS, to_json
from pipeline.networks.bluesky import record_key
from pipeline.networks.counting import grapheme_count, utf16_units, x_weight
from pipeline.networks.linkedin import little_text

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site

MakeEntry = Callable[..., "Entry"]
Made = Callable[..., dict[str, Any]]

WORDS = st.lists(
    st.sampled_from(["word ", "Слово ", "日本語 ", "👨\u200d👩\u200d👧 ", "שלום ", "<i>&amp; ", "https://www.example.org/ "]), max_size=60
).map("".join)


@pytest.fixture(scope="session")
def made(site: Site, configured: Mapping[str, Network], make_entry: MakeEntry) -> Made:
    """`made(network, options={}, **changes)`: the share's JSON for the golden story with these changes."""

    def make(name: str, options: Mapping[str, str] | None = None, **changes: object) -> dict[str, Any]:
        network = configured[name]
        network = replace(network, options=tuple({**dict(network.options), **(options or {})}.items()))
        return to_json(NETWORKS[name].compose(make_entry(**changes), site, network))

    return make


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headline=WORDS,
    tags=st.lists(st.sampled_from(["Ferries", "Школы", "日本", "Lake Ladoga"]), max_size=3),
    path=st.text("abc-/", max_size=150),
)
def test_bluesky_facets_are_cut_from_the_bytes(made: Made, headline: str, tags: list[str], path: str) -> None:
    """Each facet's slice of the UTF-8 text is the link or hashtag it stands for; a long link is shown shortened."""
    url = f"https://www.example.org/{path}"
    record = made("bluesky", headline=headline, tags=tuple(tags), url=url)["body"]["record"]
    text = record["text"].encode()
    shown = []
    for facet in record["facets"]:
        words = text[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode()
        feature = facet["features"][0]
        if feature["$type"].endswith("#tag"):
            assert words == f"#{feature['tag']}"
        else:
            shown.append(words)
            assert feature["uri"] == url
    assert len(shown) == 1
    assert shown[0] == url if len(url) <= 100 else url.removeprefix("https://").startswith(shown[0].removesuffix("…"))


def _against(lexicon: Mapping[str, Any], value: Mapping[str, Any]) -> None:
    """Required members are there, unknown ones are not, lengths hold: what a lexicon object says of plain members."""
    known = lexicon["properties"]
    assert set(lexicon["required"]) <= set(value)
    assert set(value) - {"$type"} <= set(known)
    for name, rule in known.items():
        if name in value and rule["type"] == "string":
            assert isinstance(value[name], str)
            assert len(value[name].encode()) <= rule.get("maxLength", 10**6)
            assert grapheme_count(value[name]) <= rule.get("maxGraphemes", 10**6)
        elif name in value and rule["type"] == "array":
            assert len(value[name]) <= rule.get("maxLength", 10**6)
        elif name in value and rule["type"] == "integer":
            assert value[name] >= rule.get("minimum", 0)


@pytest.mark.parametrize("headline", ["A short one", "Заголовок " * 60, "👨\u200d👩\u200d👧\u200d👦" * 300, "日本語" * 100])
def test_bluesky_record_is_what_its_lexicons_say(made: Made, data_folder: Path, headline: str) -> None:
    """The post, its facets and its card against the network's own lexicon files: graphemes and bytes."""

    def definitions(name: str) -> dict[str, Any]:
        path = data_folder / f"lexicon-{name}.json"
        if not path.is_file():
            pytest.skip(f"{path.name} is not at hand (PRESSRUN_TEST_DATA)")
        return dict(json.loads(path.read_text("utf-8"))["defs"])

    record = made("bluesky", headline=headline)["body"]["record"]
    _against(definitions("app.bsky.feed.post")["main"]["record"], record)
    facets = definitions("app.bsky.richtext.facet")
    for facet in record["facets"]:
        _against(facets["main"], facet)
        _against(facets["byteSlice"], facet["index"])
        _against(facets[facet["features"][0]["$type"].partition("#")[2]], facet["features"][0])
    _against(definitions("app.bsky.embed.external")["external"], record["embed"]["external"])


def test_bluesky_thumbnail_waits_among_the_media(made: Made) -> None:
    """The lead photograph is named with the lexicon's bound of a million bytes; without one there is none."""
    assert made("bluesky")["media"] == [
        {
            "role": "thumb",
            "url": "https://img.example/ladoga/severyanka-quay.jpg",
            "alt": "A white ferry pulls away from a wooden quay in morning fog",
            "max_bytes": 1_000_000,
        }
    ]
    assert made("bluesky", images=())["media"] == []


def test_bluesky_record_keys_repeat_and_differ() -> None:
    """The same article has one key at every try; a thousand published in one second have a thousand, in order of time."""
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    keys = {record_key(noon, f"article {n}") for n in range(1000)}
    assert len(keys) == 1000
    assert record_key(noon, "article 1") in keys
    assert max(keys) < min(record_key(noon + timedelta(seconds=1), f"article {n}") for n in range(1000))
    assert record_key(datetime(1900, 1, 1, tzinfo=UTC), "old")[0] == "2"
    assert record_key(datetime(2200, 1, 1, tzinfo=UTC), "far")[0] in "234567abcdefghij"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headline=WORDS, summary=WORDS)
def test_telegram_html_reads_as_the_text(made: Made, headline: str, summary: str) -> None:
    """Without its tags and references the HTML is the counted text, and only & < > are escaped."""
    share = made("telegram", headline=headline, summary=summary)
    read = unescape(re.sub(r"</?b>", "", share["body"]["text"]))
    assert read == share["text"]
    assert utf16_units(read) == share["counted"]["value"] <= 4096
    assert not re.search(r"&(?!amp;|lt;|gt;)", share["body"]["text"])


@pytest.mark.parametrize(("named", "chat_id"), [("@news", "@news"), ("news", "@news"), ("-1001234", "-1001234")])
def test_telegram_chats(made: Made, named: str, chat_id: str) -> None:
    """A channel's name gets its @, a number stays one."""
    assert made("telegram", {"chat_id": named})["body"]["chat_id"] == chat_id


def test_linkedin_escapes_what_would_be_markup(made: Made) -> None:
    """Little text: a backslash before each reserved character; hashtags by their template; the card in plain text."""
    assert little_text(r"\<>#~_|[]*(){}@") == r"\\\<\>\#\~\_\|\[\]\*\(\)\{\}\@"
    share = made("linkedin", headline="One (of_two) @home", tags=("Lake Ladoga",), url="https://www.example.org/a_b")
    commentary = share["body"]["commentary"]
    assert commentary.startswith(r"One \(of\_two\) \@home")
    assert "https://www.example.org/a\\_b" in commentary
    assert commentary.endswith(r"{hashtag|\#|LakeLadoga}")
    assert share["body"]["content"]["article"]["title"] == "One (of_two) @home"
    assert share["body"]["author"] == "urn:li:organization:1357924"
    assert share["headers"]["LinkedIn-Version"] == "202601"
    assert made("linkedin", {"version": "202609", "organization": "urn:li:person:a1"})["body"]["author"] == "urn:li:person:a1"
    assert made("linkedin", {"version": "202609"})["headers"]["LinkedIn-Version"] == "202609"


def test_linkedin_counts_its_escapes(made: Made) -> None:
    """A summary of nothing but reserved characters is shortened by what is sent, not by what is read."""
    share = made("linkedin", summary="* " * 999)
    assert utf16_units(share["body"]["commentary"]) == share["counted"]["value"] <= 3000
    assert utf16_units(made("linkedin", summary="_" * 2000)["body"]["commentary"]) <= 3000


def test_mastodon_options(made: Made) -> None:
    """Instance, visibility and limit come from the configuration; what it gets wrong is told and never widens who sees it."""
    share = made("mastodon", {"max_characters": "200"}, summary="Слово " * 200)
    assert share["url"] == "https://social.example/api/v1/statuses"
    assert share["body"]["visibility"] == "unlisted"
    assert 150 < share["counted"]["value"] <= share["counted"]["limit"] == 200
    assert share["headers"]["Idempotency-Key"] == share["dedupe_key"]
    wrong = made("mastodon", {"max_characters": "many", "visibility": "friends"})
    assert (wrong["counted"]["limit"], wrong["body"]["visibility"], len(wrong["warnings"])) == (500, "direct", 2)
    assert made("mastodon", language="pt-BR")["body"]["language"] == "pt"
    assert "language" not in made("mastodon", language="ast")["body"]


def test_facebook_page_and_version(made: Made) -> None:
    """Page and Graph API version are parts of the address."""
    assert made("facebook", {"version": "v25.0"})["url"] == "https://graph.facebook.com/v25.0/102030405060708/feed"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headline=WORDS, tags=st.lists(st.sampled_from(["Ferries", "Школы", "日本"]), max_size=3))
def test_x_intent_fits_as_x_joins_it(made: Made, headline: str, tags: list[str]) -> None:
    """Text, link, hashtags and via, joined as the composer does, weigh no more than a post may, however long the headline."""
    share = made("x", headline=headline + "Слово " * 50, tags=tuple(tags))
    given_to = {k: v[0] for k, v in parse_qs(urlsplit(share["intent_url"]).query).items()}
    tag_words = " ".join(f"#{tag}" for tag in given_to.get("hashtags", "").split(",") if tag)
    joined = " ".join(filter(None, (given_to.get("text"), given_to["url"], tag_words, f"via @{given_to['via']}")))
    assert x_weight(joined) <= 280


def test_x_refuses_no_text_of_ours(made: Made) -> None:
    """The code points X refuses a whole post for are gone, and the text is NFC."""
    assert made("x", headline="a\ufeffb\uffff e\u0301", tags=())["text"].startswith("ab é\n\n")


@pytest.mark.parametrize(
    ("name", "unit", "limit"),
    [
        ("x", "日", 280),
        ("x", "я", 280),
        ("bluesky", "👨\u200d👩\u200d👧", 300),
        ("mastodon", "e\u0323\u0302\u0331", 500),
        ("email", "a", 1999),
    ],
)
def test_the_limit_is_used_to_the_last(made: Made, name: str, unit: str, limit: int) -> None:
    """A headline without a space comes within two of the limit, and one unit more than fits is already shortened."""
    share = made(name, headline=unit * 2500, summary="", tags=(), url="https://www.example.org/a")
    assert share["counted"]["limit"] == limit
    assert limit - 2 <= share["counted"]["value"] <= limit or name == "bluesky"
    assert share["warnings"] == ["The headline was shortened to fit."]
    if name == "bluesky":
        assert 3000 - len((unit + "…").encode()) <= len(share["text"].encode()) <= 3000


@pytest.mark.parametrize(("letters", "shortened"), [(255, False), (256, True)])
def test_a_post_on_x_may_weigh_280_and_no_more(made: Made, letters: int, shortened: bool) -> None:  # noqa: FBT001 - an expectation
    """255 letters, an empty line's two and a link's 23 are 280."""
    share = made("x", headline="я" * letters, tags=(), url="https://www.example.org/a")
    assert share["counted"]["value"] == 280
    assert ("…" in share["text"]) == shortened


def test_a_link_no_text_can_hold_is_told_of(made: Made) -> None:
    """X counts a host it does not know letter by letter: the text goes without the link, the warning says so, the intent has it."""
    link = "http://localhost:8400/" + "a" * 300
    share = made("x", url=link)
    assert link not in share["text"]
    assert "link" in share["warnings"][0]
    assert parse_qs(urlsplit(share["intent_url"]).query)["url"] == [link]
    share = made("mastodon", url=link * 2)
    assert link * 2 not in share["text"]
    assert parse_qs(urlsplit(share["intent_url"]).query)["text"][0].endswith(link * 2)
