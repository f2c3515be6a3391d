"""The front page of a mirror: what is new, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.kit.languages import direction
from pipeline.pages.article import Stamp, stamp
from pipeline.pages.render import is_web, page, zone_of
from pipeline.pages.words import words_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.article import Article, Image
    from pipeline.model.entry import Entry
    from pipeline.pages.frame import PageFrame


@dataclass(frozen=True, slots=True)
class Teaser:
    """One line of the front page. `direction` is the article's own: a list may mix languages."""

    article: Article
    link: str
    direction: str
    published: Stamp
    photograph: Image | None


def index_page(frame: PageFrame, entries: Sequence[Entry]) -> bytes:
    """The front page with all `entries`, newest `published_at` first, as UTF-8 HTML. Same arguments, same bytes."""
    newest = sorted(entries, key=lambda entry: (entry.article.published_at, entry.identity), reverse=True)
    return page(
        "index.html.j2",
        frame,
        frame.site.language,
        canonical=frame.canonical(frame.site.home_url, frame.base_url),
        teasers=tuple(_teaser(entry, frame) for entry in newest),
    )


def _teaser(entry: Entry, frame: PageFrame) -> Teaser:
    article = entry.article
    published = stamp(article.published_at, zone_of(frame.site.timezone), words_for(article.language))
    lead = article.lead_image
    return Teaser(article, entry.link, direction(article.language), published, lead if lead and is_web(lead.url) else None)
