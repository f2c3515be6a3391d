"""What the makers of documents are handed: live revisions, and the frame they stand in."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
class Address:
    """Where a feed is read in one of its formats: the format's `name`, and its `title` as people know it."""

    name: str
    title: str
    url: str
    media_type: str


@dataclass(frozen=True, slots=True)
class FeedHead:
    """Everything a feed document says before its first entry. Every URL is absolute, or empty where there is none.

    identity    the feed's own tag URI: the same for all its formats and at every base URL
    self_url    the absolute URL of this very document (one format)
    home_url    the page a person would open: the site's, or the mirror's, home
    sections_url  URI that names the site's sections: RSS category `domain`, Atom category `scheme`
    updated_at  the latest instant a change was made live in it; only ever grows
    hub_urls    its WebSub hubs, each once; an archive page has none
    prev_archive_url  the archive page before this document: of the live document the newest one (RFC 5005 section 4)
    next_archive_url  the archive page after this archive page; empty at the newest
    current_url  of an archive page: the live document in the same format
    is_archive  whether it is an archive page, which will not change any more
    publication  the name readers and search engines know the publication by; empty: the publisher's
    addresses   the feed in every one of its formats, as a page names them
    logo_url    a picture of the publication, at most 144 pixels wide and 400 high (RSS 2.0, `image`)
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
    hub_urls: tuple[str, ...] = ()
    ttl_minutes: int = 5
    tombstones: tuple[Tombstone, ...] = ()
    prev_archive_url: str = ""
    next_archive_url: str = ""
    current_url: str = ""
    is_archive: bool = False
    publication: str = ""
    addresses: tuple[Address, ...] = ()
    logo_url: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry as a reader finds it; None is what its format does not tell.

    identity  its tag URI
    date      when it was published
    modified  its last change
    link      where it leads: told where no identity is, for then it is what tells entries apart
    """

    identity: str | None
    date: datetime | None
    modified: datetime | None = None
    link: str | None = None


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

    def seen_at(self, link: str) -> Seen:
        """What a reader finds in it where it leads to `link`."""
        return self.seen if self.seen.link is None else replace(self.seen, link=link)
