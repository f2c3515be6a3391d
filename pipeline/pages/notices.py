"""What stands where an article is not: the notice beside a 410, the page that leads elsewhere, and robots.txt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.pages.article import stamp
from pipeline.pages.render import is_web, page, zone_of
from pipeline.pages.words import words_for

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.pages.frame import PageFrame


def gone_page(frame: PageFrame, headline: str, withdrawn_at: datetime, reason: str) -> bytes:
    """What a reader sees beside 410 Gone (RFC 9110 15.5.11). `headline` and `reason` may be empty."""
    language = frame.site.language
    when = stamp(withdrawn_at, zone_of(frame.site.timezone), words_for(language))
    return page("gone.html.j2", frame, language, headline=headline, withdrawn=when, reason=reason)


def moved_page(frame: PageFrame, target_url: str) -> bytes:
    """What redirects where no server can answer 301: at once by meta refresh, and by a link.

    Google takes an instant refresh for a permanent redirect
    (https://developers.google.com/search/docs/crawling-indexing/301-redirects). Raises ValueError for a target
    that is not http(s).
    """
    if not is_web(target_url):
        message = f"a page cannot move to {target_url!r}"
        raise ValueError(message)
    return page("moved.html.j2", frame, frame.site.language, target=target_url)


def robots(frame: PageFrame) -> bytes:
    """robots.txt (RFC 9309): everything may be read, also what is kept out of search, or nobody would see that it is.

    Only a mirror on its own names its sitemap; the others' pages are the newsroom's.
    """
    lines = ["User-agent: *", "Allow: /"]
    if frame.seo == "independent":
        lines += ["", f"Sitemap: {''.join(frame.base_url.split())}sitemap.xml"]
    return "\n".join([*lines, ""]).encode()
