"""What every network promises alike: within its limit, the link intact, the same share twice, valid under the schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import networks
from pipeline.networks import NETWORKS, share_link, to_json
from pipeline.networks.composing import ELLIPSIS
from pipeline.networks.counting import graphemes
from pipeline.rules.schema import problems

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

MakeEntry = Callable[..., "Entry"]

PIECES = [
    "word ",
    "Слово ",
    "日本語",
    "שלום ",
    "مرحبا ",
    "👨\u200d👩\u200d👧",
    "🇷🇺",
    "👍🏽",
    "e\u0301",
    "क्षि",
    "example.org ",
    "<b>",
    "&",
    "*_[]()",
    "@a@b.example ",
    "#x ",
]
PROSE = st.lists(st.sampled_from(PIECES), max_size=120).map("".join) | st.text(max_size=300)
PATH = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_/", max_size=60)
LINK = st.tuples(
    st.sampled_from(["https://www.example.org/", "http://localhost:8400/", "https://news.example/"]), PATH, st.integers(1, 30)
).map(lambda parts: parts[0] + (parts[1] * parts[2])[:1900])
every_network = pytest.mark.parametrize("name", sorted(NETWORKS))


def composed(name: str, entry: Entry, site: Site, network: Network) -> Share:
    """The network's share of the entry."""
    return NETWORKS[name].compose(entry, site, network)


def test_every_file_with_a_craft_is_a_network() -> None:
    """The registry holds each file of the package that defines CRAFT, by the file's own name, and nothing else."""
    folder = Path(str(networks.__file__)).parent
    files = {path.stem for path in folder.glob("*.py") if "\nCRAFT = " in path.read_text("utf-8")}
    assert set(NETWORKS) == files == {"x", "facebook", "linkedin", "telegram", "mastodon", "bluesky", "whatsapp", "email"}
    assert all(name == craft.name and craft.title for name, craft in NETWORKS.items())


@every_network
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headline=PROSE, summary=PROSE, tags=st.lists(PROSE, max_size=3), link=LINK)
def test_every_share_keeps_the_rules(
    name: str,
    site: Site,
    configured: Mapping[str, Network],
    make_entry: MakeEntry,
    headline: str,
    summary: str,
    tags: list[str],
    link: str,
) -> None:
    """Within the limit, the link whole or told of, twice the same bytes, valid JSON under the schema."""
    entry = make_entry(headline=headline, summary=summary, tags=tuple(tags), url=link)
    share = composed(name, entry, site, configured[name])
    assert share.counted.value <= share.counted.limit
    assert share.link == link
    assert link in share.text or len(link) > 100
    if link not in share.text and name != "bluesky":
        assert any("link" in warning for warning in share.warnings)
    made = json.dumps(to_json(share), ensure_ascii=False)
    assert made.encode() == json.dumps(to_json(composed(name, entry, site, configured[name])), ensure_ascii=False).encode()
    assert problems("share.v1.json", json.loads(made)) == ()


@every_network
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headline=st.lists(st.sampled_from(PIECES), min_size=1, max_size=1500).map("".join))
def test_no_grapheme_is_broken(name: str, site: Site, configured: Mapping[str, Network], make_entry: MakeEntry, headline: str) -> None:
    """A headline however long is kept as its first grapheme clusters, with an ellipsis where some are missing."""
    whole = " ".join(headline.replace("e\u0301", "é").split())
    share = composed(name, make_entry(headline=headline, summary="", tags=()), site, configured[name])
    first = share.text.partition("\n\n")[0]
    kept = graphemes(first.removesuffix(ELLIPSIS) if first != whole else first)
    assert kept == graphemes(whole)[: len(kept)]
    assert kept


@every_network
def test_naughty_strings_do_no_harm(
    name: str, site: Site, configured: Mapping[str, Network], make_entry: MakeEntry, naughty: tuple[str, ...]
) -> None:
    """Every naughty string as headline, summary and tag makes a share that is valid, encodes, and is within the limit."""
    for text in naughty:
        share = composed(name, make_entry(headline=text, summary=text, tags=(text,)), site, configured[name])
        assert share.counted.value <= share.counted.limit, text
        assert share.link in share.text, text
        assert problems("share.v1.json", json.loads(json.dumps(to_json(share)))) == (), text
        share.text.encode("utf-16")


@every_network
def test_intents_survive_a_round_trip(name: str, site: Site, configured: Mapping[str, Network], make_entry: MakeEntry) -> None:
    """What a reader's composer is handed is what was meant, whatever the characters; a space is never a plus."""
    headline = 'Fish & chips: 5% more + "тест" #1 = 日本?'
    entry = make_entry(headline=headline, url="https://www.example.org/a?b=c&d=e%20f#g", tags=())
    share = composed(name, entry, site, configured[name])
    assert share_link(share) == share.intent_url
    assert "+" not in share.intent_url
    values = [v for given in parse_qs(urlsplit(share.intent_url).query, strict_parsing=True).values() for v in given]
    assert any(entry.link in value for value in values)
    if name not in {"facebook", "linkedin"}:
        assert any(headline in value for value in values)


@every_network
def test_dedupe_key_tells_articles_and_accounts_apart(
    name: str, site: Site, configured: Mapping[str, Network], make_entry: MakeEntry
) -> None:
    """A revision keeps the key; another article or another account has another."""
    network = configured[name]
    first = make_entry(id="a", version=1)
    key = composed(name, first, site, network).dedupe_key
    assert composed(name, make_entry(id="a", version=2, headline="Put right"), site, network).dedupe_key == key
    assert composed(name, make_entry(id="b"), site, network).dedupe_key != key
    assert composed(name, first, site, replace(network, account="someone_else", options=())).dedupe_key != key


@every_network
def test_hashtags_can_be_switched_off(name: str, site: Site, configured: Mapping[str, Network], make_entry: MakeEntry) -> None:
    """`hashtags = false` leaves no hashtag in the text."""
    entry = make_entry(tags=("Ferries",))
    assert "#" not in composed(name, entry, site, replace(configured[name], hashtags=False)).text
    assert ("#Ferries" in composed(name, entry, site, configured[name]).text) == (name not in {"whatsapp", "email"})


@pytest.mark.parametrize("name", ["facebook", "linkedin", "telegram", "mastodon", "bluesky"])
def test_a_placeholder_is_told_of(name: str, site: Site, configured: Mapping[str, Network], make_entry: MakeEntry) -> None:
    """Without an account the payload is still valid, and a warning says what stands in."""
    bare = replace(configured[name], account="", options=())
    share = composed(name, make_entry(), site, bare)
    assert len(share.warnings) == 1
    assert "stands in" in share.warnings[0]
    assert problems("share.v1.json", to_json(share)) == ()
    assert composed(name, make_entry(), site, configured[name]).warnings == ()


def test_the_schema_refuses_what_no_network_takes(site: Site, configured: Mapping[str, Network], make_entry: MakeEntry) -> None:
    """Unknown members, a text over the limit, a method that contradicts the kind, and a secret are all found."""
    good = to_json(composed("x", make_entry(), site, configured["x"]))
    for change in (
        {"surprise": 1},
        {"counted": {"rule": "x-weighted", "limit": 280, "value": 281}},
        {"method": "GET"},
        {"kind": "intent"},
        {"body": {"text": "a", "extra": "b"}},
        {"headers": {"Authorization": "Bearer secret"}},
        {"dedupe_key": "short"},
    ):
        assert problems("share.v1.json", good | change), change
    assert problems("share.v1.json", good) == ()


def test_an_email_needs_no_more_than_a_browser_hands_on(site: Site, configured: Mapping[str, Network], make_entry: MakeEntry) -> None:
    """The whole address stays under 2,000 characters though each Cyrillic letter takes six; lines end in CRLF."""
    entry = make_entry(headline="Заголовок " * 30, summary="Длинный текст " * 140, tags=())
    address = composed("email", entry, site, configured["email"]).intent_url
    assert len(address) < 2000
    subject, body = address.removeprefix("mailto:?subject=").split("&body=")
    assert "\n" not in unquote(subject)
    assert unquote(body).endswith(f"\r\n\r\n{entry.link}") or unquote(body) == entry.link
