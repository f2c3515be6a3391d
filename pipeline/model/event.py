"""An event: one webhook as received, and what was found wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class EventState(StrEnum):
    """What became of an event."""

    WAITING = "waiting"
    APPLIED = "applied"
    UNCHANGED = "unchanged"
    STALE = "stale"
    REJECTED = "rejected"


class EventType(StrEnum):
    """What the newsroom did to the article; the names are the webhook's own (`type`)."""

    PUBLISHED = "article.published"
    UPDATED = "article.updated"
    CORRECTED = "article.corrected"
    WITHDRAWN = "article.withdrawn"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an event: a JSON Pointer (RFC 6901) into the body and a sentence."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook as received. `event_id` is ours; `webhook_id` is what the sender called it."""

    event_id: str
    source: str
    webhook_id: str
    body: bytes
    sha256: str
    received_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
