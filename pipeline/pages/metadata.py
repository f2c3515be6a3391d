"""What a page tells machines: Open Graph and card tags, and schema.org as JSON-LD."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipeline.pages.render import is_web, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime, tzinfo

    from pipeline.model.article import Article, Geo, Image, Video
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Site

DESCRIPTION_MAX = 200  # characters a card shows at most (https://developer.x.com/en/docs/x-for-websites/cards/overview/markup)
ALT_MAX = 420  # characters, twitter:image:alt on the same page

# og:locale is language_TERRITORY (https://ogp.me/#optional): what to say where the newsroom names no territory.
_LOCALES = {"ar": "ar_AR", "de": "de_DE", "en": "en_US", "es": "es_ES", "fr": "fr_FR", "ru": "ru_RU"}

# All that could end a script element or a line of JavaScript (https://html.spec.whatwg.org/#restrictions-for-contents-of-script-elements).
_INERT = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def json_ld(value: Mapping[str, object]) -> Markup:
    """JSON that may stand in a script element: it parses to the same values and holds no `<`, `>` or `&`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.translate(_INERT))  # noqa: S704, made inert by the line above


def clipped(text: str, limit: int) -> str:
    """The text on one line, cut after a word to at most `limit` characters with an ellipsis."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    head = line[:limit]
    return (head.rpartition(" ")[0] or head[:-1]).rstrip(" ,;:-") + "…"


def locale_of(language: str) -> str:
    """The og:locale of a BCP 47 tag, or "" where no territory is known."""
    primary, *others = language.split("-")
    territory = next((tag.upper() for tag in others if len(tag) == 2), "")  # noqa: PLR2004, ISO 3166-1 alpha-2
    return f"{primary.lower()}_{territory}" if territory else _LOCALES.get(primary.lower(), "")


def cards(entry: Entry, site: Site, canonical: str, description: str) -> tuple[tuple[str, str, str], ...]:
    """The page's meta elements as (attribute, name, content), without empty ones (https://ogp.me, X cards)."""
    made = (*_open_graph(entry, site, canonical, description), *_card(entry.article, description))
    return tuple((attribute, name, content) for attribute, name, content in made if content)


def _open_graph(entry: Entry, site: Site, canonical: str, description: str) -> Iterator[tuple[str, str, str]]:
    article, zone = entry.article, zone_of(site.timezone)
    yield "property", "og:type", "article"
    yield "property", "og:title", article.headline
    yield "property", "og:url", canonical
    yield "property", "og:description", description
    yield "property", "og:site_name", site.title
    yield "property", "og:locale", locale_of(article.language)
    if article.lead_image and is_web(article.lead_image.url):
        yield from _og_image(article.lead_image)
    for video in article.videos:
        yield from _og_video(video)
    yield "property", "article:published_time", _iso(article.published_at, zone)
    yield "property", "article:modified_time", _iso(entry.modified_at, zone)
    yield from (("property", "article:author", author.url) for author in article.authors)
    yield "property", "article:section", article.section[-1] if article.section else ""
    yield from (("property", "article:tag", tag) for tag in article.tags)


def _og_image(image: Image) -> Iterator[tuple[str, str, str]]:
    yield "property", "og:image", image.url
    yield "property", "og:image:secure_url", image.url if image.url.lower().startswith("https:") else ""
    yield "property", "og:image:type", image.media_type
    yield "property", "og:image:width", str(image.width or "")
    yield "property", "og:image:height", str(image.height or "")
    yield "property", "og:image:alt", image.alt or image.caption


def _og_video(video: Video) -> Iterator[tuple[str, str, str]]:
    if is_web(video.url):
        yield "property", "og:video", video.url
        yield "property", "og:video:type", video.media_type
        yield "property", "og:video:width", str(video.width or "")
        yield "property", "og:video:height", str(video.height or "")


def _card(article: Article, description: str) -> Iterator[tuple[str, str, str]]:
    image = article.lead_image
    yield "name", "twitter:card", "summary_large_image" if image and is_web(image.url) else "summary"
    yield "name", "twitter:title", article.headline
    yield "name", "twitter:description", description
    if image and is_web(image.url):
        yield "name", "twitter:image", image.url
        yield "name", "twitter:image:alt", clipped(image.alt or image.caption, ALT_MAX)


def news_article(entry: Entry, site: Site, canonical: str, description: str, words: int) -> dict[str, object]:
    """schema.org NewsArticle (https://developers.google.com/search/docs/appearance/structured-data/article)."""
    article, zone = entry.article, zone_of(site.timezone)
    publisher = _publisher(site)
    return _present(
        {
            "@context": "https://schema.org",
            "@type": "NewsArticle",
            "@id": entry.identity,
            "identifier": entry.identity,
            "mainEntityOfPage": {"@type": "WebPage", "@id": canonical},
            "url": canonical,
            "headline": article.headline,
            "description": description,
            "image": [_image(image) for image in _lead_first(article)],
            "video": [_video(video, article, zone) for video in article.videos],
            "datePublished": _iso(article.published_at, zone),
            "dateModified": _iso(entry.modified_at, zone),
            "author": [_present({"@type": "Person", "name": a.name, "url": a.url}) for a in article.authors] or [publisher],
            "publisher": publisher,
            "articleSection": list(article.section),
            "keywords": list(article.tags),
            "inLanguage": article.language,
            "isAccessibleForFree": True,
            "wordCount": words,
            "version": entry.revision,
            **_newsroom(article, site, zone),
        }
    )


def _newsroom(article: Article, site: Site, zone: tzinfo) -> dict[str, object]:
    correction, geo = article.correction, article.geo
    made: dict[str, object] = {"dateline": article.dateline, "copyrightNotice": article.rights or site.rights}
    if correction:
        made["correction"] = {"@type": "CorrectionComment", "text": correction.note, "datePublished": _iso(correction.at, zone)}
    if geo:
        made["contentLocation"] = _place(geo)
    return made


def _place(geo: Geo) -> dict[str, object]:
    address = {"@type": "PostalAddress", "addressCountry": geo.country} if geo.country else {}
    known = geo.latitude is not None and geo.longitude is not None
    point = {"@type": "GeoCoordinates", "latitude": geo.latitude, "longitude": geo.longitude} if known else {}
    return _present({"@type": "Place", "name": geo.name, "address": address, "geo": point})


def breadcrumb(article: Article) -> dict[str, object]:
    """schema.org BreadcrumbList. Sections have no page of their own here, so its items have names and no address."""
    items = [{"@type": "ListItem", "position": at, "name": name} for at, name in enumerate(article.section, start=1)]
    return {"@context": "https://schema.org", "@type": "BreadcrumbList", "itemListElement": items}


def _publisher(site: Site) -> dict[str, object]:
    logo = {"@type": "ImageObject", "url": site.logo_url} if site.logo_url else {}
    return _present({"@type": "NewsMediaOrganization", "name": site.publisher, "url": site.home_url, "logo": logo})


def _lead_first(article: Article) -> tuple[Image, ...]:
    lead = article.lead_image
    return (lead, *(image for image in article.images if image is not lead)) if lead else ()


def _image(image: Image) -> dict[str, object]:
    return _present(
        {
            "@type": "ImageObject",
            "contentUrl": image.url,
            "url": image.url,
            "caption": image.caption,
            "creditText": image.credit,
            "description": image.alt,
            "encodingFormat": image.media_type,
            "width": image.width,
            "height": image.height,
        }
    )


def _video(video: Video, article: Article, zone: tzinfo) -> dict[str, object]:
    """VideoObject (https://developers.google.com/search/docs/appearance/structured-data/video): name and uploadDate are required."""
    return _present(
        {
            "@type": "VideoObject",
            "name": video.caption or article.headline,
            "uploadDate": _iso(article.published_at, zone),
            "thumbnailUrl": video.thumbnail_url,
            "contentUrl": video.url,
            "encodingFormat": video.media_type,
            "duration": _duration(video.duration_seconds),
            "creditText": video.credit,
            "width": video.width,
            "height": video.height,
        }
    )


def _duration(seconds: float | None) -> str:
    """ISO 8601 duration in whole seconds, at least one; "" where unknown."""
    if not seconds:
        return ""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"PT{minutes}M{rest}S" if minutes else f"PT{rest}S"


def _iso(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat(timespec="seconds")


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
