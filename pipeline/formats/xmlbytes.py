"""Elements to bytes and back: an entry as it stands inside its root, a frame with entries put in, a document read.

Entries are serialised once and spliced as bytes: serialising fifty of them again for each new one would cost
most of a build.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Sequence

Namespaces = Mapping[Any, str]
"""Prefix → URI; the prefix None is the default namespace, which lxml's stubs leave out."""


def standing(element: etree._Element, namespaces: Namespaces) -> bytes:
    """The element's bytes as inside a root that declares `namespaces`: nothing is declared again."""
    root = etree.Element("root", nsmap=dict(namespaces))
    root.append(element)
    whole = etree.tostring(root, encoding="UTF-8")
    return whole[whole.index(b"><") + 1 : -len(b"</root>")]


def quoted(url: str) -> bytes:
    """A URL as text or in an attribute of ours: what either may not hold is written as a reference."""
    return escape(url).encode()


def spliced(frame: bytes, entries: Sequence[bytes], closing: bytes) -> bytes:
    """The frame with one entry a line before its last `closing` tag."""
    opening, tag, rest = frame.rpartition(closing)
    return b"\n".join((opening, *entries, tag + rest))


def parsed(document: bytes) -> etree._Element:
    """The root of a document. Entities stay unresolved and nothing is fetched. Raises ValueError when not well-formed."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True)
    try:
        return etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        message = f"not well-formed: {error}"
        raise ValueError(message) from error


def text_of(parent: etree._Element, path: str) -> str:
    """The text of the one child at `path`. Raises ValueError where there is none, several, or only white space."""
    found = parent.findall(path)
    if len(found) != 1 or not (found[0].text or "").strip():
        message = f"{path} stands {len(found)} times or empty in {parent.tag!s}"
        raise ValueError(message)
    return str(found[0].text)
