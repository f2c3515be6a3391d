"""The schemas in `schemas/` as the project reads them: nothing is fetched, references stand resolved, patterns mean ECMA-262's."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfc3339_validator import validate_rfc3339
from rfc3986_validator import validate_rfc3986

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": lambda text: bool(validate_rfc3339(text.upper())),
    "uri": lambda text: bool(validate_rfc3986(text, rule="URI")),
}
"""The formats our schemas name, as jsonschema checks them where these two packages are installed."""

MOST_PROBLEMS = 100
"""Told of one value; who sent it mends these and asks again."""


def folder() -> Path:
    """Where the schemas are: beside the package in a checkout, inside it in a wheel."""
    inside = Path(__file__).parent.parent / "_schemas"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "schemas"


@cache
def documents() -> Mapping[str, Mapping[str, object]]:
    """Every schema by its file's name, e.g. `article.v1.json`."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder().glob("*.json"))}


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """JSON Schema's patterns are ECMA-262's (core, 6.4), where `$` is the end; Python's also matches before a last line break."""
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


def inlined(node: Any, name: str) -> Any:
    """The schema with each reference replaced by what it names: ours do not recurse, and looking references up is a third of the time."""
    if isinstance(node, list):
        return [inlined(item, name) for item in node]
    if not isinstance(node, dict):
        return node
    if not isinstance(reference := node.get("$ref"), str):
        return {key: inlined(value, name) for key, value in node.items() if key != "$defs"}
    file, _, fragment = reference.partition("#")
    target: Any = documents()[file or name]
    for part in filter(None, fragment.split("/")):
        target = target[part]
    siblings = {key: value for key, value in node.items() if key != "$ref"}
    found: dict[str, Any] = inlined({k: v for k, v in target.items() if k not in {"$id", "$schema"}}, file or name)
    return {**found, **inlined(siblings, name)}


def pointer(parts: Iterable[object]) -> str:
    """A JSON Pointer (RFC 6901) from its parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
