"""Native JSON → Article and back: every text cleaned once, every date made an aware UTC instant."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.kit import clean
from pipeline.kit.clock import rfc3339
from pipeline.model.article import Article, Author, Correction, Geo, Image, Video

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EARLIEST, _LATEST = 1900, 2200


def instant(text: object) -> datetime | None:
    """An instant with offset (RFC 3339, which the schema insists on, or another ISO 8601 form) as UTC; None for anything else.

    None as well outside 1900–2200, and for a leap second, which Python's dates do not know.
    """
    if not isinstance(text, str):
        return None
    try:
        when = datetime.fromisoformat(text.upper())
        when = when.astimezone(UTC) if when.tzinfo else None  # type: ignore[assignment]
    except (ValueError, OverflowError):
        return None
    return when if when is not None and _EARLIEST <= when.year <= _LATEST else None


def from_native(data: Mapping[str, Any]) -> Article:
    """The article that valid native JSON states, with texts cleaned and HTML sanitised.

    `data` has passed `article.v1.json`. Raises ValueError for a date no calendar has.
    """
    return _read(data, clean.line, clean.text, lambda html: clean.html(html, str(data["url"])))


def from_stored(data: Mapping[str, Any]) -> Article:
    """The article as the ledger keeps it: it was cleaned before it was stored."""
    return _read(data, str, str, str)


def to_stored(article: Article) -> dict[str, object]:
    """JSON values from which `from_stored` makes an equal article; fields without a value are left out."""
    made: dict[str, object] = {}
    for field in fields(article):
        value = _plain(getattr(article, field.name))
        if value not in (None, "", [], {}):
            made[field.name] = value
    return made


def content_sha(article: Article) -> str:
    """Hex digest of what a reader could notice: everything but `updated_at` and `version`, which move by themselves."""
    seen = {k: v for k, v in to_stored(article).items() if k not in {"updated_at", "version"}}
    return hashlib.sha256(json.dumps(seen, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, str):  # nearly all of them
        return value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, (Author, Image, Video, Correction, Geo)):
        made = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        return {k: v for k, v in made.items() if v not in (None, "")}
    return value


def _read(data: Mapping[str, Any], line: Callable[[str], str], text: Callable[[str], str], html: Callable[[str], str]) -> Article:
    return Article(
        id=data["id"],
        url=data["url"],
        headline=line(data["headline"]),
        body_html=html(data["body_html"]),
        language=data["language"],
        published_at=_must(data["published_at"]),
        updated_at=_may(data, "updated_at"),
        version=_whole(data.get("version")),
        summary=text(data.get("summary", "")),
        dateline=line(data.get("dateline", "")),
        sign_off=line(data.get("sign_off", "")),
        section=tuple(filter(None, (line(s) for s in data.get("section", ())))),
        authors=tuple(Author(line(a.get("name", "")), a.get("url", "")) for a in data.get("authors", ())),
        tags=tuple(dict.fromkeys(filter(None, (line(t) for t in data.get("tags", ()))))),
        images=tuple(_image(i, line) for i in data.get("images", ())),
        videos=tuple(_video(v, line) for v in data.get("videos", ())),
        embargo_until=_may(data, "embargo_until"),
        correction=Correction(text(data["correction"].get("note", "")), _must(data["correction"]["at"])) if "correction" in data else None,
        rights=text(data.get("rights", "")),
        geo=_geo(data["geo"], line) if "geo" in data else None,
        priority=_whole(data.get("priority")),
        extra=data.get("extra", {}),
    )


def _must(text: str) -> datetime:
    when = instant(text)
    if when is None:
        message = f"{text} is no instant between {_EARLIEST} and {_LATEST}"
        raise ValueError(message)
    return when


def _may(data: Mapping[str, Any], name: str) -> datetime | None:
    return _must(data[name]) if name in data else None


def _image(data: Mapping[str, Any], line: Callable[[str], str]) -> Image:
    texts = {name: line(data.get(name, "")) for name in ("caption", "credit", "alt")}
    return Image(**{**data, **texts, **_sizes(data)})


def _video(data: Mapping[str, Any], line: Callable[[str], str]) -> Video:
    texts = {name: line(data.get(name, "")) for name in ("caption", "credit")}
    return Video(**{**data, **texts, **_sizes(data)})


def _geo(data: Mapping[str, Any], line: Callable[[str], str]) -> Geo:
    return Geo(**{**data, **({"name": line(data["name"])} if "name" in data else {})})


def _sizes(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _whole(data[name]) for name in ("width", "height", "size_bytes") if name in data}


def _whole(number: Any) -> Any:
    """JSON Schema takes 1200.0 for a whole number; so do we, and write it as one."""
    return int(number) if isinstance(number, float) else number
