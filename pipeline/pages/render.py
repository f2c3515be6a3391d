"""Templates to bytes: the one Jinja environment of the pages, their style sheet, and the policy both are made for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from markupsafe import Markup

from pipeline.kit import templates
from pipeline.kit.languages import direction
from pipeline.pages.words import words_for

if TYPE_CHECKING:
    from jinja2 import Environment

    from pipeline.pages.frame import PageFrame

STYLE = templates.style("pipeline.pages", "page.css")

STYLE_SHA256 = templates.style_source(STYLE)

CONTENT_SECURITY_POLICY = templates.policy(STYLE, "img-src https: http: data:", "media-src https: http:")


def is_web(url: object) -> bool:
    """Whether a page may link to or load this: http and https only."""
    return isinstance(url, str) and url.lower().startswith(("http://", "https://"))


def opens_composer(url: object) -> bool:
    """Whether the share block may link to this: the web, or the reader's mail program."""
    return is_web(url) or (isinstance(url, str) and url.lower().startswith("mailto:"))


def address(url: str) -> str:
    """An address as people read it: "news.example/uk" for "https://news.example/uk/"."""
    parts = url.partition("://")
    return (parts[2] or parts[0]).rstrip("/")


@cache
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)


@cache
def _environment() -> Environment:
    made = templates.environment("pipeline.pages", STYLE, CONTENT_SECURITY_POLICY)
    made.filters.update(address=address)
    made.tests.update(web=is_web, composer=opens_composer)
    return made


def page(template: str, frame: PageFrame, language: str, **values: object) -> bytes:
    """One page as UTF-8. Templates are compiled once in a process, at their first use.

    Raises jinja2.UndefinedError where a template names a value it was not handed.
    """
    common = {"frame": frame, "language": language, "direction": direction(language), "words": words_for(language)}
    return _environment().get_template(template).render(common | values).encode()


def fragment(template: str, **values: object) -> Markup:
    """A part of a page, for a page's template to print as it is. Raises as `page` does."""
    return Markup(_environment().get_template(template).render(values))  # noqa: S704, escaped by its template
