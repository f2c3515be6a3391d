"""An article: one story as the newsroom states it, every text cleaned, every date aware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote it; `url` is a profile page or empty."""

    name: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A photograph. `width` and `height` in pixels, `size_bytes` in bytes; None where unknown."""

    url: str
    role: str = "inline"  # "lead" | "inline"
    caption: str = ""
    credit: str = ""
    alt: str = ""
    width: int | None = None
    height: int | None = None
    media_type: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Video:
    """A film. `duration_seconds` may have a fraction; `thumbnail_url` may be empty."""

    url: str
    media_type: str = ""
    duration_seconds: float | None = None
    caption: str = ""
    credit: str = ""
    thumbnail_url: str = ""
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """What the desk says it put right, and when."""

    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Geo:
    """Where it happened: ISO 3166-1 alpha-2 country, place name, WGS 84 degrees."""

    country: str = ""
    name: str = ""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """One story, as `schemas/article.v1.json` states it, after validation.

    Plain-text fields hold text without markup; `body_html` is sanitised HTML with absolute links.
    `images` keep the newsroom's order; at most one has role "lead" (`lead_image`).
    """

    id: str
    url: str
    headline: str
    body_html: str
    language: str
    published_at: datetime
    updated_at: datetime | None = None
    version: int | None = None
    summary: str = ""
    dateline: str = ""
    sign_off: str = ""
    section: tuple[str, ...] = ()
    authors: tuple[Author, ...] = ()
    tags: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    videos: tuple[Video, ...] = ()
    embargo_until: datetime | None = None
    correction: Correction | None = None
    rights: str = ""
    geo: Geo | None = None
    priority: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def lead_image(self) -> Image | None:
        """The photograph with role "lead", else the first, else None."""
        return next((i for i in self.images if i.role == "lead"), self.images[0] if self.images else None)
