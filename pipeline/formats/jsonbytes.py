"""Values to JSON bytes, alike for every JSON format: nothing empty, nothing that XML could not carry."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What XML 1.0 section 2.2 forbids is refused here too, though JSON could escape it: a feed says the same in every format.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def filled(members: Mapping[str, object]) -> dict[str, object]:
    """The members that have a value: None, empty texts and empty lists are left out."""
    return {name: value for name, value in members.items() if value not in (None, "", [])}


def written(value: Mapping[str, object]) -> bytes:
    """UTF-8 without blanks. Raises ValueError for a text XML 1.0 could not carry."""
    for text in _texts(value):
        legal(text)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def quoted(url: str) -> bytes:
    """A URL inside a JSON string."""
    return json.dumps(url, ensure_ascii=False)[1:-1].encode()


def legal(text: str) -> str:
    """The text. Raises ValueError for one XML 1.0 could not carry."""
    found = _ILLEGAL.search(text)
    if found:
        message = f"U+{ord(found[0]):04X} cannot stand in a feed"
        raise ValueError(message)
    return text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
