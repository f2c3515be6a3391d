"""A share: what one network is told of an article, and how a reader passes it on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Counted:
    """How the network counts the text: its rule's name, its limit, and what this text comes to."""

    rule: str
    limit: int
    value: int


@dataclass(frozen=True, slots=True)
class Media:
    """A picture that goes with the share; `max_bytes` is the network's own limit or None."""

    role: str
    url: str
    alt: str = ""
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """One network's share of one revision, as `schemas/share.v1.json` states it.

    `kind` is "api" where the network takes posts from programs, else "intent" (then method is GET
    and url equals intent_url). `headers` and `body` never hold a secret. `intent_url` is what the
    share block of a page links to. `dedupe_key` is equal for every revision of one article.
    """

    network: str
    kind: str
    article_id: str
    revision: int
    lang: str
    method: str
    url: str
    intent_url: str
    text: str
    link: str
    counted: Counted
    dedupe_key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    media: tuple[Media, ...] = ()
    warnings: tuple[str, ...] = ()
