"""Templates to text, alike for every page that is made: escaped, strict about names, and with a policy that allows its own style only."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def style(package: str, name: str) -> str:
    """A style sheet among the package's templates."""
    return files(package).joinpath("templates", name).read_text(encoding="utf-8")


def style_source(css: str) -> str:
    """CSP source expression (https://www.w3.org/TR/CSP3/#hash-source) for one inline <style>."""
    return "sha256-" + base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()


def policy(css: str, *more: str) -> str:
    """Content Security Policy of a page without scripts, whose only inline <style> is `css`.

    Every page carries it as a meta element, for hosts that cannot send headers; those that can should send it too,
    with frame-ancestors, which a meta element may not hold (CSP3 4.2).
    """
    return "; ".join(["default-src 'none'", f"style-src '{style_source(css)}'", *more, "base-uri 'none'", "form-action 'none'"])


def environment(package: str, css: str, csp: str) -> Environment:
    """The templates of a package, with `style` and `policy` at hand.

    Rendering raises jinja2.UndefinedError where a template names a value it was not handed.
    """
    made = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.globals.update(style=Markup(css), policy=csp)  # noqa: S704 - a file of the package
    return made
