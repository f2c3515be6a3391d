"""What stands around a page's text: the site, the mirror it is shown at, and where else to find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.model.settings import Site


@dataclass(frozen=True, slots=True)
class ShareLink:
    """One button of the share block. `title` is the network's name as people know it; `url` opens its composer."""

    network: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class FeedLink:
    """One format of one feed, for autodiscovery and the page's foot. `title` tells it from the others."""

    title: str
    url: str
    media_type: str


@dataclass(frozen=True, slots=True)
class PageFrame:
    """The same for every page of a mirror.

    base_url    the mirror's home, with a trailing slash
    alternates  addresses at which the same site can be reached; the page leaves out its own
    seo         "canonical" (points to the newsroom's page) | "noindex" (kept out of search) | "independent" (on its own)
    title       the name at the head of each page
    """

    site: Site
    base_url: str
    feeds: tuple[FeedLink, ...]
    alternates: tuple[str, ...]
    seo: str
    title: str

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The alternate addresses but this mirror's own, each once, in order."""
        return tuple(url for url in dict.fromkeys(self.alternates) if url.rstrip("/") != self.base_url.rstrip("/"))

    def canonical(self, newsroom_url: str, own_url: str) -> str:
        """The address search engines should keep: the newsroom's, or this mirror's where it stands on its own."""
        return own_url if self.seo == "independent" else newsroom_url

    @property
    def robots(self) -> str:
        """The robots meta value. Google reads `max-…` as leave to show large previews."""
        return "noindex" if self.seo == "noindex" else "max-image-preview:large, max-snippet:-1"
