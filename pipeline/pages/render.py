"""Templates to bytes: the one Jinja environment of the pages, their style sheet, and the policy both are made for."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.pages.words import direction, words_for

if TYPE_CHECKING:
    from pipeline.pages.frame import PageFrame

STYLE = files("pipeline.pages").joinpath("templates", "page.css").read_text(encoding="utf-8")

# CSP source expression (https://www.w3.org/TR/CSP3/#hash-source) for the one inline <style> of every page.
STYLE_SHA256 = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

# Every page carries it as a meta element, for hosts that cannot send headers; those that can should send it too,
# with frame-ancestors, which a meta element may not hold (CSP3 4.2).
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src '{STYLE_SHA256}'",
        "img-src https: http: data:",
        "media-src https: http:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
)


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
    made = Environment(
        loader=PackageLoader("pipeline.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters.update(address=address)
    made.tests.update(web=is_web, composer=opens_composer)
    made.globals.update(style=Markup(STYLE), policy=CONTENT_SECURITY_POLICY)  # noqa: S704, a file of this package
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
