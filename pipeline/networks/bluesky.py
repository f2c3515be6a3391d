"""Bluesky: com.atproto.repo.createRecord with an app.bsky.feed.post (https://docs.bsky.app/docs/api/com-atproto-repo-create-record).

The network fetches nothing from the page: the card goes with the record. Its thumbnail is a blob uploaded first, so here it
stands among the media. Options: `did` (or the handle as `account`), `service` (the account's server).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.model.share import Counted
from pipeline.networks.composing import ELLIPSIS, Parts, fit, losses, paragraphs, parts_of
from pipeline.networks.counting import grapheme_count, utf8_bytes
from pipeline.networks.craft import JSON_HEADERS, NetworkCraft, Request, account_of, card_image, dedupe_key, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 300  # lexicon app.bsky.feed.post text.maxGraphemes
BYTE_LIMIT = 3000  # the same lexicon, text.maxLength: UTF-8 bytes
TAG_LIMIT, TAG_BYTE_LIMIT = 64, 640  # lexicon app.bsky.richtext.facet tag.maxGraphemes, tag.maxLength
THUMB_BYTES = 1_000_000  # lexicon app.bsky.embed.external thumb.maxSize
SHOWN_LINK = 100  # graphemes; a longer link is shown shortened, as the lexicon allows: its facet carries the whole
PLACEHOLDER = "did:example:account-not-set"  # "example" is the method reserved for examples (W3C DID Core)
SERVICE = "https://bsky.social"
INTENT_URL = "https://bsky.app/intent/compose"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TID_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"  # https://atproto.com/specs/tid


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """Headline, link and hashtags within 300 graphemes and 3000 bytes; the card says the rest."""
    repo = account_of(network, "did", PLACEHOLDER)
    card = parts_of(entry, network)
    wanted = Parts(card.headline, link=_shown(entry.link), hashtags=tuple(filter(_is_tag, card.hashtags)))
    kept = fit(wanted, _fits)
    text = kept.text()
    service = network.option("service", SERVICE).rstrip("/")
    return share_of(
        entry,
        network,
        account=repo.value,
        text=text,
        counted=Counted("graphemes", LIMIT, grapheme_count(text)),
        request=Request(f"{service}/xrpc/com.atproto.repo.createRecord", _body(entry, repo.value, network, kept, card), JSON_HEADERS),
        intent_url=intent(INTENT_URL, text=paragraphs((kept.headline, entry.link))),
        media=card_image(entry, "thumb", THUMB_BYTES),
        warnings=(*repo.warnings, *losses(wanted, kept)),
    )


def _fits(parts: Parts) -> bool:
    text = parts.text()
    return grapheme_count(text) <= LIMIT and utf8_bytes(text) <= BYTE_LIMIT


def _shown(link: str) -> str:
    return link if len(link) <= SHOWN_LINK else link.partition("://")[2][: SHOWN_LINK - 1] + ELLIPSIS


def _is_tag(tag: str) -> bool:
    return grapheme_count(tag) <= TAG_LIMIT and utf8_bytes(tag) <= TAG_BYTE_LIMIT


def _body(entry: Entry, repo: str, network: Network, parts: Parts, card: Parts) -> dict[str, object]:
    record: dict[str, object] = {
        "$type": "app.bsky.feed.post",
        "text": parts.text(),
        "createdAt": entry.article.published_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "langs": [entry.article.language],
        "facets": _facets(parts, entry.link),
        "embed": {
            "$type": "app.bsky.embed.external",
            "external": {"uri": entry.link, "title": card.headline, "description": card.summary},
        },
    }
    key = dedupe_key(network.name, repo, entry.identity)
    return {"repo": repo, "collection": "app.bsky.feed.post", "rkey": record_key(entry.article.published_at, key), "record": record}


def _facets(parts: Parts, link: str) -> list[dict[str, object]]:
    """The link and each hashtag, by offsets in the UTF-8 text, the end exclusive (lexicon byteSlice)."""
    found = []
    at = utf8_bytes(parts.words) + len("\n\n") if parts.words else 0
    if parts.link:
        found.append(_facet(at, parts.link, {"$type": "app.bsky.richtext.facet#link", "uri": link}))
        at += utf8_bytes(parts.link) + len("\n\n")
    for tag in parts.hashtags:
        found.append(_facet(at, f"#{tag}", {"$type": "app.bsky.richtext.facet#tag", "tag": tag}))
        at += utf8_bytes(f"#{tag} ")
    return found


def _facet(start: int, words: str, feature: dict[str, object]) -> dict[str, object]:
    return {"index": {"byteStart": start, "byteEnd": start + utf8_bytes(words)}, "features": [feature]}


def record_key(published_at: datetime, key: str) -> str:
    """A TID (https://atproto.com/specs/tid) made from the article alone, so a repeated request names the same record.

    The second is the article's; the microsecond and the clock id come from the dedupe key, because articles are
    published at whole seconds and would meet.
    """
    chance = int(hashlib.sha256(key.encode()).hexdigest(), 16)
    seconds = max(0, (published_at - _EPOCH) // timedelta(seconds=1))
    number = ((seconds * 1_000_000 + chance % 1_000_000) << 10) | ((chance >> 20) & 0x3FF)
    return "".join(_TID_LETTERS[(number >> shift) & 31] for shift in range(60, -1, -5))


CRAFT = NetworkCraft(name="bluesky", title="Bluesky", compose=compose)
