"""A quick look at a value: whether jsonschema-rs finds nothing wrong with it, in a thirtieth of jsonschema's time.

It says yes or "look closer", never no: what is wrong, and whether, is jsonschema's to say. So that both mean the same,
patterns and formats are judged by the same Python functions in either: the library's own patterns are of another
dialect (its white space is not Python's), and its own formats are stricter here and laxer there.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from pipeline.rules.contracts import FORMATS, documents, expression, inlined

if TYPE_CHECKING:
    from collections.abc import Mapping

_OURS = {"pattern": "x-pattern", "format": "x-format"}


class _Wrong(ValueError):
    """What a keyword of ours says to the library."""


class _Pattern:
    """`pattern`, read as everywhere in the project. What is too long to be right is not searched: `maxLength` says so."""

    def __init__(self, parent: Mapping[str, Any], pattern: str, _path: object) -> None:
        self._search = expression(pattern).search
        self._most = parent.get("maxLength")

    def validate(self, value: object) -> None:
        if isinstance(value, str) and (self._most is None or len(value) <= self._most) and not self._search(value):
            raise _Wrong


class _Format:
    """`format`, by the functions jsonschema uses. A format nobody knows is right, as it is there."""

    def __init__(self, _parent: Mapping[str, Any], name: str, _path: object) -> None:
        self._holds = FORMATS.get(name)

    def validate(self, value: object) -> None:
        if isinstance(value, str) and self._holds is not None and not self._holds(value):
            raise _Wrong


def finds_right(name: str, value: object) -> bool:
    """Whether nothing is wrong with `value` by the schema of that file name; False where only jsonschema can say."""
    try:
        return bool(_validator(name).is_valid(value))
    except (ValueError, TypeError, OverflowError, RecursionError):  # what JSON cannot hold: a date, a lone surrogate
        return False


@cache
def _validator(name: str) -> Any:
    keywords: dict[str, Any] = {"x-pattern": _Pattern, "x-format": _Format}
    return jsonschema_rs.Draft202012Validator(_renamed(inlined(documents()[name], name)), validate_formats=False, keywords=keywords)


def _renamed(node: Any, *, names: bool = False) -> Any:
    """The schema with our own words for what we judge ourselves. `names`: the keys here are those of a value, not keywords."""
    if isinstance(node, list):
        return [_renamed(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key if names else _OURS.get(key, key): _renamed(value, names=not names and key in {"properties", "patternProperties", "$defs"})
        for key, value in node.items()
    }
