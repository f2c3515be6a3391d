"""What partners ask of a feed, as data: one TOML file a partner, read by one linter.

A partner's page changes without a word, so every rule names the page it is from, and a table says when its pages were read, and
what could not be. Adding a partner is adding a file.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

ROOTS = {"rss": "an RSS 2.0 feed", "news-sitemap": "a news sitemap"}
"""What a profile may read, and what people call it."""

PLACES = {
    "rss": {"document": ".", "channel": "channel", "item": "channel/item"},
    "news-sitemap": {"document": ".", "page": "sm:url", "news": "sm:url/news:news"},
}
"""What a rule may be about (`at`), as XPath below the root."""

KINDS = ("needs", "count", "length", "matches", "date", "max_days", "max_bytes", "number", "unique", "plain", "without", "url", "encoding")
"""What a rule may ask of the values at its `path`; `partners.linter` has a line for each."""

LEVELS = ("required", "recommended")

_NAMES = {"name", "at", "path", "level", "says", "mend", "source"}
_TOP = {"title", "reads", "source", "read_on", "note", "rules"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing a partner asks.

    at      what it is about: a name of `PLACES`
    path    XPath of the values it looks at, below each of these
    kind    what is asked of them, and `value`, how much: see `partners.linter`
    level   "required" | "recommended"
    says    the rule in a sentence; `mend`: what to do where it is broken
    source  the page it is from
    """

    name: str
    at: str
    path: str
    kind: str
    value: object
    level: str
    says: str
    mend: str
    source: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A partner: what its rules read, the page most of them are from, when that was read, and what to know about it."""

    name: str
    title: str
    reads: str
    source: str
    read_on: date
    note: str
    rules: tuple[Rule, ...]


def names() -> tuple[str, ...]:
    """Every partner there is a table for, by the alphabet."""
    tables = (entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in tables))


@cache
def profile(name: str) -> Profile:
    """A partner's table. Raises KeyError for one there is none of, ValueError for a table that says what nobody understands."""
    if name not in names():
        raise KeyError(name)
    return parse(name, files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))


def parse(name: str, text: str) -> Profile:
    """A table's text. Raises ValueError, naming the rule and what is wrong with it."""
    table = tomllib.loads(text)
    _known(name, table, _TOP, _TOP - {"note"})
    if table["reads"] not in PLACES:
        raise ValueError(f"{name}: reads {table['reads']!r} is none of {', '.join(PLACES)}")
    rules = tuple(
        _rule(f"{name}: {one.get('name', 'a rule without a name')}", one, table["reads"], table["source"]) for one in table["rules"]
    )
    if len({rule.name for rule in rules}) != len(rules):
        raise ValueError(f"{name}: two rules have one name")
    return Profile(name, table["title"], table["reads"], table["source"], table["read_on"], table.get("note", ""), rules)


def _rule(where: str, one: Mapping[str, object], reads: str, source: str) -> Rule:
    _known(where, one, _NAMES | set(KINDS), _NAMES - {"level", "source", "path"})
    kinds = [kind for kind in KINDS if kind in one]
    if len(kinds) != 1:
        raise ValueError(f"{where}: asks {len(kinds)} things instead of one of {', '.join(KINDS)}")
    texts = {name: str(one.get(name, "")) for name in _NAMES}
    if texts["at"] not in PLACES[reads]:
        raise ValueError(f"{where}: at {texts['at']!r} is none of {', '.join(PLACES[reads])}")
    level = texts["level"] or "required"
    if level not in LEVELS:
        raise ValueError(f"{where}: level {level!r} is none of {', '.join(LEVELS)}")
    if kinds[0] == "matches":
        re.compile(str(one["matches"]))
    return Rule(
        texts["name"],
        texts["at"],
        texts["path"] or ".",
        kinds[0],
        one[kinds[0]],
        level,
        texts["says"],
        texts["mend"],
        texts["source"] or source,
    )


def _known(where: str, table: Mapping[str, object], known: set[str], needed: set[str]) -> None:
    for problem, found in (("does not know", set(table) - known), ("lacks", needed - set(table))):
        if found:
            raise ValueError(f"{where}: {problem} {', '.join(sorted(found))}")
