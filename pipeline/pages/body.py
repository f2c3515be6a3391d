"""Find the seams of an article's body, so that photographs can stand between paragraphs.

The body was sanitised at validation. It is cut, never parsed and written anew: what is printed is what was
sanitised, byte for byte, and no second parser's reading of it can bring markup to life. So its tags are as the
sanitiser writes them, in small letters with every value in double quotes, and brackets elsewhere are references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)((?: [a-z][a-z-]*="[^"]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z][a-z-]*)="([^"]*)"')
# https://html.spec.whatwg.org/multipage/syntax.html#void-elements
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
_TEXT = frozenset({"p", "ul", "ol", "dl", "blockquote", "table", "pre"})  # a figure may follow these
_BLOCKS = _TEXT | {"h1", "h2", "h3", "h4", "h5", "h6", "figure", "div", "section", "aside", "hr", "details"}


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the body that ends with a whole block element. `name` is that element, "" for loose text."""

    html: str
    name: str


@dataclass(frozen=True)
class Body:
    """A body cut at its seams: joined, the blocks are the body again.

    shows  every URL its elements load, that is what it shows already, with the text of the figure around it
    texts  its text, one string for each stretch between tags
    """

    blocks: tuple[Block, ...]
    shows: Mapping[str, str]
    texts: tuple[str, ...]

    @cached_property
    def text(self) -> str:
        """All of its text, with single spaces."""
        return " ".join(" ".join(self.texts).split())

    @property
    def words(self) -> int:
        """How many words, as white space parts them."""
        return len(self.text.split())


class _Seams:
    """Notes where each outermost block element ends; `sound` turns False where tags do not match, or text has a bracket of its own."""

    def __init__(self, html: str) -> None:
        self.ends: list[tuple[int, str]] = []
        self._shows: dict[str, int] = {}
        self._figures: list[list[str]] = [[]]  # the first stands for no figure at all
        self.texts: list[str] = []
        self.sound = True
        self._open: list[str] = []
        done = 0
        for tag in _TAG.finditer(html):
            self._text(html[done : tag.start()])
            done = tag.end()
            if tag[1]:
                self._close(tag[2], done)
            else:
                self._begin(tag[2], tag[3], done)
        self._text(html[done:])
        self.sound = self.sound and not self._open

    def _begin(self, tag: str, attributes: str, end: int) -> None:
        if tag == "figure":
            self._figures.append([])
        if "src" in attributes or "poster" in attributes:
            for url in _loaded(attributes):
                self._shows[url] = len(self._figures) - 1 if "figure" in self._open else 0
        if tag not in _VOID:
            self._open.append(tag)
        elif not self._open and tag in _BLOCKS:
            self.ends.append((end, tag))

    def _close(self, tag: str, end: int) -> None:
        if not self._open or self._open.pop() != tag:
            self.sound = False
        elif not self._open and tag in _BLOCKS:
            self.ends.append((end, tag))

    def _text(self, written: str) -> None:
        if not written:
            return
        self.sound = self.sound and "<" not in written
        said = unescape(written) if "&" in written else written
        self.texts.append(said)
        if "figure" in self._open:
            self._figures[-1].append(said)

    @property
    def shows(self) -> dict[str, str]:
        return {url: " ".join(self._figures[figure]) for url, figure in self._shows.items()}


def _loaded(attributes: str) -> Iterator[str]:
    for name, written in _ATTRIBUTE.findall(attributes):
        if name in ("src", "poster"):
            yield unescape(written).strip()
        elif name == "srcset":
            yield from (candidate.split()[0] for candidate in unescape(written).split(",") if candidate.strip())


@lru_cache(maxsize=100)  # every mirror prints the same bodies, all of them within moments
def read(html: str) -> Body:
    """Cut sanitised HTML after each of its outermost block elements; HTML that is not well nested stays in one piece."""
    seams = _Seams(html)
    ends = seams.ends if seams.sound else []
    starts = [0, *(end for end, _ in ends)]
    blocks = [Block(html[start:end], name) for start, (end, name) in zip(starts, ends, strict=False)]
    rest = html[starts[-1] :]
    if rest:
        blocks.append(Block(rest, ""))
    return Body(tuple(blocks), seams.shows, tuple(seams.texts))


def places(blocks: tuple[Block, ...], count: int) -> tuple[int, ...]:
    """After which blocks `count` figures stand: evenly spread, after text, never between a heading and its text.

    Returns indices into `blocks`, ascending; -1 means before everything (there is nothing to stand after).
    """
    last = max((i for i, block in enumerate(blocks) if block.html.strip()), default=-1)
    seams = [i for i, block in enumerate(blocks[: max(last, 0)]) if block.name in _TEXT] or [last]
    return tuple(seams[(number * len(seams)) // (2 * count)] for number in range(1, 2 * count, 2))
