"""Find the seams of an article's body, so that photographs can stand between paragraphs.

The body was sanitised at validation. It is cut, never parsed and written anew: what is printed is what was
sanitised, byte for byte, and no second parser's reading of it can bring markup to life.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from html.parser import HTMLParser
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


class _Seams(HTMLParser):
    """Notes where each outermost block element ends; `sound` turns False where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ends: list[tuple[int, str]] = []
        self._shows: dict[str, int] = {}
        self._figures: list[list[str]] = [[]]  # the first stands for no figure at all
        self.texts: list[str] = []
        self.sound = True
        self._open: list[str] = []
        self._html = html
        self._lines = [0, *accumulate(len(line) + 1 for line in html.split("\n"))]
        self.feed(html)
        self.close()
        self.sound = self.sound and not self._open

    @property
    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "figure":
            self._figures.append([])
        for url in _loaded(attrs):
            self._shows[url] = len(self._figures) - 1 if "figure" in self._open else 0
        if tag not in _VOID:
            self._open.append(tag)
        elif not self._open and tag in _BLOCKS:
            self.ends.append((self._at + len(self.get_starttag_text() or ""), tag))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.sound = False
        elif not self._open and tag in _BLOCKS:
            self.ends.append((self._html.find(">", self._at) + 1, tag))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "figure" in self._open:
            self._figures[-1].append(data)

    @property
    def shows(self) -> dict[str, str]:
        return {url: " ".join(self._figures[figure]) for url, figure in self._shows.items()}


def _loaded(attrs: list[tuple[str, str | None]]) -> Iterator[str]:
    for name, value in attrs:
        if name in ("src", "poster"):
            yield (value or "").strip()
        elif name == "srcset":
            yield from (candidate.split()[0] for candidate in (value or "").split(",") if candidate.strip())


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
