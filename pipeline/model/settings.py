"""The settings as frozen types: what `pressrun.toml` says, checked and with every default filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """The kinds of outlet; also the middle part of an outlet key (`demo/feed:all`)."""

    FEED = "feed"
    MIRROR = "mirror"
    NETWORK = "network"
    INDEXNOW = "indexnow"


def outlet_key(site: str, kind: Kind, name: str) -> str:
    """`<site>/<kind>:<name>`, the one spelling of an outlet everywhere."""
    return f"{site}/{kind.value}:{name}"


@dataclass(frozen=True, slots=True)
class Source:
    """One sender of webhooks. `secrets` are resolved; an empty tuple accepts nothing.

    order_by  "version" | "updated_at" | "timestamp": what its revisions are ordered by
    id_space  name space of its article ids; two sources of one CMS may share it
    url_hosts hosts an article's canonical URL may have; empty: the site's own host only
    """

    name: str
    site: str
    dialect: str = "native"
    id_space: str = ""
    order_by: str = "updated_at"
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    enabled: bool = True
    url_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Which articles an outlet takes; every list empty means all of them.

    sections     paths of the breadcrumb such as "News/Russia"
    subsections  whether a path matches its sub-sections too
    films        whether it takes only articles with a film
    """

    sections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    subsections: bool = True
    films: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed of a site. `window_hours` may extend the window beyond `window` entries.

    formats     names of the formats it is written in (`pipeline.formats.FORMATS`)
    page_size   entries of an archive page (RFC 5005 section 4); 0: what leaves the window is in no document
    folder      where its documents stand below the site
    moved_to    the feed's name now, for a name it had: its documents answer 301
    """

    name: str
    title: str
    description: str
    rules: Rules = Rules()
    formats: tuple[str, ...] = ("rss", "atom", "json", "html")
    page_size: int = 50
    folder: str = "feeds"
    moved_to: str = ""
    window: int = 50
    window_hours: int = 24
    window_max: int = 200
    window_max_bytes: int = 2_000_000
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Mirror:
    """The same site at another domain.

    backend   "local" (a folder) | "http" (PUT and DELETE) | "memory" (tests)
    base_url  where readers find it, with a trailing slash; empty: served by the app below /mirrors/
    target    folder, or URL that documents are PUT below, with a trailing slash
    token     sent as `token_header` with each request of the http backend
    seo       "canonical" | "noindex" | "independent" (standards: canonical link, or kept out, or on its own)
    """

    name: str
    title: str = ""
    backend: str = "local"
    base_url: str = ""
    target: str = ""
    token_header: str = "Authorization"  # noqa: S105 - a header's name
    token: str = field(default="", repr=False)
    seo: str = "canonical"
    rules: Rules = Rules()
    parallel: int = 4
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """One social network a site composes shares for. `options` are the network's own (see its file)."""

    name: str
    rules: Rules = Rules()
    link_to: str = "canonical"  # "canonical" | the name of a mirror
    hashtags: bool = True
    account: str = ""
    options: tuple[tuple[str, str], ...] = ()
    closed: bool = False

    def option(self, name: str, default: str = "") -> str:
        """One of the network's own options."""
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class IndexNow:
    """An endpoint that hands on to search engines which addresses are new, changed or gone (indexnow.org/documentation).

    key           what search engines look for at the articles' host; public, for it stands there in a file
    key_location  where that file stands; empty: `/<key>.txt` at each host
    """

    name: str
    key: str
    endpoint: str = "https://api.indexnow.org/indexnow"
    key_location: str = ""
    rules: Rules = Rules()  # it takes every article: what is to be found is what the site shows
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """One publication. `home_url` ends with a slash; `tag_host` and `tag_date` make identities (RFC 4151)."""

    name: str
    title: str
    home_url: str
    language: str
    publisher: str
    tag_host: str
    tag_date: str
    description: str = ""
    logo_url: str = ""
    rights: str = ""
    timezone: str = "UTC"
    feeds_url: str = ""  # public base of the feeds, with a trailing slash; empty: derived from server.public_url
    sitemaps_url: str = ""  # the same of the sitemaps
    publication: str = ""  # the name Google News knows it by; empty: the publisher's
    alternates: tuple[str, ...] = ()  # addresses named on article pages beside the mirrors' own
    hub_url: str = ""  # our own WebSub hub, which its feeds name; empty: they name none
    hubs: tuple[str, ...] = ()  # further hubs: named, and told of each change
    roku_channel_url: str = ""
    require_image_credit: bool = True
    feeds: tuple[Feed, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    networks: tuple[Network, ...] = ()
    indexnow: tuple[IndexNow, ...] = ()

    @property
    def feeds_base(self) -> str:
        """Where the site's own feeds are read, with a trailing slash."""
        return self.feeds_url

    def base(self, folder: str) -> str:
        """Where documents of that folder (feeds, sitemaps) are read, with a trailing slash."""
        return {"feeds": self.feeds_url, "sitemaps": self.sitemaps_url}[folder]


@dataclass(frozen=True, slots=True)
class Retries:
    """Seconds until the next attempt, by kind of outlet; after the last one a delivery is failed.

    hub  of each subscriber by itself; after the last one it is told of the next change only. IndexNow comes back by it, and never gives up
    """

    feed: tuple[int, ...] = (1, 2, 5, 10, 30, 60, 300, 900, 3600)
    mirror: tuple[int, ...] = (2, 5, 15, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 86400, 86400)
    network: tuple[int, ...] = (5, 30, 120, 600, 3600, 10800, 21600, 43200)
    hub: tuple[int, ...] = (5, 30, 120, 600, 1800, 3600, 3600, 3600, 3600, 3600)

    def of(self, kind: Kind) -> tuple[int, ...]:
        """The list of one kind."""
        return {Kind.FEED: self.feed, Kind.MIRROR: self.mirror, Kind.NETWORK: self.network, Kind.INDEXNOW: self.hub}[kind]


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a webhook. Bytes, levels, seconds."""

    body_bytes: int = 1_048_576
    json_depth: int = 64
    timestamp_seconds: int = 300
    accept_seconds: float = 1.5
    accept_queue: int = 1000
    circuit_failures: int = 5
    circuit_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Hub:
    """What the WebSub hub takes (W3C WebSub section 5). Leases in seconds.

    policy       "own" (the feeds of this deployment) | "allowlist" (those of `topic_hosts` too) | "open" (anybody's)
    topic_hosts  `host` or `host:port`, as it stands in the topic's URL
    per_host     most subscriptions with callbacks at one host
    most         most subscriptions in all
    keys         what subscribers' secrets are kept under, the newest first; empty: a key of the data folder
    """

    policy: str = "own"
    topic_hosts: tuple[str, ...] = ()
    lease_default: int = 864_000
    lease_min: int = 300
    lease_max: int = 2_592_000
    per_host: int = 200
    most: int = 10_000
    keys: tuple[str, ...] = field(default=(), repr=False)

    def lease(self, asked: int | None) -> int:
        """The lease that is granted: what was asked for, or the default, within the bounds."""
        return min(max(asked or self.lease_default, self.lease_min), self.lease_max)


@dataclass(frozen=True, slots=True)
class Server:
    """Where the app listens and how it is known outside."""

    host: str = "127.0.0.1"
    port: int = 8400
    public_url: str = ""
    allow_hosts: tuple[str, ...] = ()  # outgoing requests may reach these private host:port pairs
    trusted_proxies: tuple[str, ...] = ()  # addresses and networks whose X-Forwarded-For says who asks


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a step may ask about the configuration."""

    data: Path
    database: str = field(repr=False)
    broker: str = field(repr=False)
    server: Server
    limits: Limits
    retries: Retries
    sites: tuple[Site, ...]
    sources: tuple[Source, ...]
    api_token: str = field(default="", repr=False)
    origin: Path = Path()
    hub: Hub = Hub()

    @property
    def hub_url(self) -> str:
        """Where the hub is subscribed at."""
        return f"{self.server.public_url}hub"

    def site(self, name: str) -> Site:
        """The site of that name. Raises KeyError."""
        return next(s for s in self.sites if s.name == name)

    def source(self, name: str) -> Source | None:
        """The source of that name, or None."""
        return next((s for s in self.sources if s.name == name), None)

    def address(self, outlet: str, kept: str) -> str:
        """Where something at an outlet is read now: what it was called when it was made (`kept`), below the outlet's base of today.

        The same where nothing was kept, or the outlet is no longer configured.
        """
        base = self._base(outlet)
        return base + _last_segment(kept) if base and kept else kept

    def _base(self, outlet: str) -> str:
        name = outlet.partition("/")[0]
        site = next((s for s in self.sites if s.name == name), None)
        if site is None:
            return ""
        bases = {outlet_key(name, Kind.FEED, f.name): site.base(f.folder) for f in site.feeds}
        bases |= {outlet_key(name, Kind.MIRROR, m.name): m.base_url for m in site.mirrors}
        bases |= {outlet_key(name, Kind.NETWORK, n.name): f"{self.server.public_url}{name}/shares/" for n in site.networks}
        return bases.get(outlet, "")


def _last_segment(url: str) -> str:
    """`all.rss`, `k3j5….json` or `<name>-<short id>/`: every outlet has its articles just below its base."""
    return url[url.rstrip("/").rfind("/") + 1 :]
