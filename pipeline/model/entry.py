"""What the makers of documents are handed: live revisions, and the frame they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.model.article import Article


@dataclass(frozen=True, slots=True)
class Entry:
    """One live revision of an article, as one outlet shows it.

    identity     tag URI (RFC 4151); never changes, never names a mirror's domain
    short_id     10 characters made from the identity; part of page paths
    revision     1, 2, 3 … within the article
    link         where this outlet's reader reads it: the canonical URL, or the mirror's page
    modified_at  the last significant change: Atom `updated`, dcterms:modified, date_modified
    """

    identity: str
    short_id: str
    revision: int
    link: str
    article: Article
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A withdrawn article, as an Atom feed tells of it for a while (RFC 6721)."""

    identity: str
    withdrawn_at: datetime


@dataclass(frozen=True, slots=True)
class FeedHead:
    """Everything a feed document says before its first entry.

    identity    the feed's own tag URI: the same for all its formats and at every base URL
    self_url    the absolute URL of this very document (one format)
    home_url    the page a person would open: the site's, or the mirror's, home
    sections_url  URI that names the site's sections: RSS category `domain`, Atom category `scheme`
    updated_at  the latest instant a change was made live in it; only ever grows
    hub_url     WebSub hub, or empty
    """

    identity: str
    self_url: str
    home_url: str
    title: str
    description: str
    language: str
    publisher: str
    sections_url: str
    updated_at: datetime
    rights: str = ""
    hub_url: str = ""
    ttl_minutes: int = 5
    tombstones: tuple[Tombstone, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry as a reader finds it: `date` is when it was published, `modified` its last change where told."""

    identity: str
    date: datetime
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """An entry in one format, kept for every outlet that shows it: each puts its own link in.

    parts  its bytes, cut where the link stands
    seen   what a reader finds in it (read back once)
    url    the canonical page of its article
    size   bytes, links left out
    """

    parts: tuple[bytes, ...]
    seen: Seen
    url: str
    size: int

    def at(self, link: bytes) -> bytes:
        """Its bytes where readers follow `link`, written as the format quotes it."""
        return link.join(self.parts)
