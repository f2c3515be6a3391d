"""House rules: what a valid article must also be before this newsroom prints it.

They read the native JSON, not the Article, so that they speak even where the schema has spoken and an editor
gets every problem at once. A field the schema refused is silently passed over here.
"""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from unicodedata import category
from urllib.parse import urlsplit

from pipeline.kit import clean
from pipeline.model.event import Problem
from pipeline.rules.article import instant
from pipeline.rules.contracts import MOST_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from pipeline.model.settings import Site, Source

AHEAD = timedelta(minutes=10)  # a sender's clock may be that wrong
FAR = timedelta(days=366)  # an embargo further ahead is a typing error
_TAG = re.compile(r"<[^>]*>")
_DATES = ("published_at", "updated_at", "embargo_until")


def problems(
    data: Mapping[str, Any],
    site: Site,
    source: Source,
    received_at: datetime,
    body_html: str | None = None,
) -> tuple[Problem, ...]:
    """Every house rule this native article breaks, at most 100; pointers start at the event's root.

    `body_html` is the sanitised body where the caller has it already.
    """
    said = _says_something(data, body_html)
    checks = (_real_dates(data), _order(data, received_at), _hosts(data, site, source), _images(data, site), said)
    return tuple(islice(chain.from_iterable(checks), MOST_PROBLEMS))


def _real_dates(data: Mapping[str, Any]) -> Iterator[Problem]:
    correction = data.get("correction")
    at = correction.get("at") if isinstance(correction, dict) else None
    named = [(f"/data/{name}", data.get(name)) for name in _DATES] + [("/data/correction/at", at)]
    for pointer, value in named:
        if isinstance(value, str) and value and instant(value) is None:
            yield Problem(pointer, "This is no date of the calendar between the years 1900 and 2200, or it lacks an offset.")


def _order(data: Mapping[str, Any], received_at: datetime) -> Iterator[Problem]:
    published, updated, embargo = (instant(data.get(name)) for name in _DATES)
    correction = data.get("correction")
    corrected = instant(correction.get("at")) if isinstance(correction, dict) else None
    if updated and updated > received_at + AHEAD:
        yield Problem("/data/updated_at", "This lies in the future: check the sender's clock, or use embargo_until for a later release.")
    # `updated_at` may well lie before: a scheduled article was last edited before its hour.
    if published and corrected and corrected < published <= received_at:
        yield Problem("/data/correction/at", "An article cannot be corrected before it was published (published_at).")
    for name, when in (("published_at", published), ("embargo_until", embargo)):
        if when and when > received_at + FAR:
            yield Problem(f"/data/{name}", "This lies more than a year ahead.")


def _hosts(data: Mapping[str, Any], site: Site, source: Source) -> Iterator[Problem]:
    host = _host(data.get("url"))
    allowed = source.url_hosts or (_host(site.home_url),)
    if host is not None and host not in allowed:
        yield Problem(
            "/data/url", f"The canonical page of an article of “{site.name}” is at {' or '.join(map(str, allowed))}, not at {host}."
        )
    for pointer, url in _links(data):
        parts = _split(url)
        if isinstance(url, str) and (parts is None or parts[1]):
            yield Problem(pointer, "A URL here must have a plain host and port, and no user name or password.")


def _links(data: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "/data/url", data.get("url")
    for name, keys in (("authors", ("url",)), ("images", ("url",)), ("videos", ("url", "thumbnail_url"))):
        for index, item in enumerate(_dicts(data.get(name))):
            yield from ((f"/data/{name}/{index}/{key}", item.get(key)) for key in keys)


def _images(data: Mapping[str, Any], site: Site) -> Iterator[Problem]:
    images = list(_dicts(data.get("images")))
    leads = [i for i, image in enumerate(images) if image.get("role") == "lead"]
    for index in leads[1:]:
        yield Problem(f"/data/images/{index}/role", f"Only one photograph can lead; /data/images/{leads[0]} already does.")
    if not site.require_image_credit:
        return
    for index, image in enumerate(images):
        for name, sentence in _WANTED_OF_IMAGES:
            if isinstance(image.get(name, ""), str) and not clean.line(image.get(name, "")):
                yield Problem(f"/data/images/{index}/{name}", sentence)


_WANTED_OF_IMAGES = (
    ("caption", "A photograph needs a caption."),
    ("credit", "A photograph needs a credit: who took it, for which agency."),
)


def _says_something(data: Mapping[str, Any], cleaned: str | None) -> Iterator[Problem]:
    body = data.get("body_html")
    for pointer, value in _named_texts(data):
        if isinstance(value, str) and value.strip() and not _visible(clean.line(value)):
            yield Problem(pointer, "Nothing a reader could see is left of this once characters that cannot be printed are removed.")
    if cleaned is None and isinstance(body, str):
        cleaned = clean.html(body, "https://host.invalid/")
    if isinstance(body, str) and body.strip() and not _readable(cleaned or ""):
        yield Problem("/data/body_html", "Nothing a reader could see is left of this once scripts and the like are removed.")


def _named_texts(data: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What must say something: the schema's required texts."""
    yield "/data/headline", data.get("headline")
    correction = data.get("correction")
    if isinstance(correction, dict):
        yield "/data/correction/note", correction.get("note")
    yield from ((f"/data/authors/{index}/name", author.get("name")) for index, author in enumerate(_dicts(data.get("authors"))))


def _readable(html: str) -> bool:
    return "<img" in html or _visible(unescape(_TAG.sub("", html)))


def _visible(text: str) -> bool:
    """Whether it has a letter, a number, a sign: white space and what only steers others is nothing to see."""
    return any(category(char)[0] in "LNPS" for char in text)


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (item if isinstance(item, dict) else {} for item in value)


def _host(url: object) -> str | None:
    parts = _split(url)
    return parts[0] if parts else None


def _split(url: object) -> tuple[str, bool] | None:
    """(host in lower case, whether there are credentials), or None where it is no URL."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    return ((parts.hostname or "") + port, "@" in parts.netloc) if parts.hostname else None
