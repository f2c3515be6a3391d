"""What every network's file is made with: the registry's type, a share's envelope, and its JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pipeline.model.entry import Entry
from pipeline.model.settings import Network, Site
from pipeline.model.share import Counted, Media, Share

if TYPE_CHECKING:
    from collections.abc import Sequence

Compose = Callable[[Entry, Site, Network], Share]

TEMPLATE_VERSION = "1"  # part of every dedupe key: raising it lets articles already told of be told of again
JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class NetworkCraft:
    """One network: its name in the configuration, its name for people, and how it composes a share.

    `compose(entry, site, network)`: `entry.link` is already the one to share. Same arguments, same share; no secret in it.
    """

    name: str
    title: str
    compose: Compose


@dataclass(frozen=True, slots=True)
class Chosen:
    """An option of a network: its value, and a warning where only a placeholder stands in for it."""

    value: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """How a program would post a share: never a secret in it, those are put in when it is posted."""

    url: str
    body: Mapping[str, object]
    headers: Mapping[str, str]


def account_of(network: Network, option: str, placeholder: str) -> Chosen:
    """Where the post would appear: the network's own option, else `account`, else a placeholder nobody can take for real."""
    value = network.option(option) or network.account
    if value:
        return Chosen(value)
    return Chosen(placeholder, (f"Neither {option} nor account is configured: {placeholder} stands in for it.",))


def intent(address: str, **params: str) -> str:
    """A composer's address with its parameters; empty ones are left out, a space is %20 and never + (RFC 3986 2.1)."""
    given = {name: value for name, value in params.items() if value}
    return f"{address}?{urlencode(given, quote_via=_quoted)}"


_quoted = lru_cache(maxsize=128)(quote)  # the composers of one article are told the same link, headline and text


def dedupe_key(network: str, account: str, identity: str) -> str:
    """Hex SHA-256, equal for every revision of one article on one account: an edit never posts twice."""
    return hashlib.sha256(f"{network}|{account}|{identity}|{TEMPLATE_VERSION}|publish".encode()).hexdigest()


def share_of(
    entry: Entry,
    network: Network,
    *,
    account: str,
    text: str,
    counted: Counted,
    intent_url: str,
    request: Request | None = None,
    media: Sequence[Media] = (),
    warnings: Sequence[str] = (),
) -> Share:
    """The envelope. Without a `request` the network takes no posts from programs: only the intent remains."""
    return Share(
        network=network.name,
        kind="api" if request else "intent",
        article_id=entry.article.id,
        revision=entry.revision,
        lang=entry.article.language,
        method="POST" if request else "GET",
        url=request.url if request else intent_url,
        headers=dict(request.headers) if request else {},
        body=dict(request.body) if request else {},
        intent_url=intent_url,
        text=text,
        link=entry.link,
        counted=counted,
        media=tuple(media),
        warnings=tuple(warnings),
        dedupe_key=dedupe_key(network.name, account, entry.identity),
    )


def card_image(entry: Entry, role: str, max_bytes: int | None) -> tuple[Media, ...]:
    """The lead photograph, for networks that fetch no picture from the page themselves."""
    image = entry.article.lead_image
    return (Media(role, image.url, image.alt or image.caption, max_bytes),) if image else ()


def share_link(share: Share) -> str:
    """What a page's share block links to."""
    return share.intent_url


_ORDER = (
    "network", "kind", "article_id", "revision", "lang", "method", "url", "headers", "body",
    "intent_url", "text", "link", "counted", "media", "warnings", "dedupe_key",
)  # fmt: skip


def to_json(share: Share) -> dict[str, object]:
    """The share as JSON values, valid under `schemas/share.v1.json`; keys always in the same order."""
    return {name: _plain(getattr(share, name)) for name in _ORDER}


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def _plain(value: object) -> object:
    if type(value) in _AS_IT_IS:  # nearly all of them; asking whether something is a Mapping takes ten times as long
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        kind: Any = type(value)
        return {name: _plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
