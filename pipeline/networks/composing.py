"""The text of a share from its parts, shortened until the network takes it.

Only words are shortened, never the link: a share without its link tells nobody where to read on. What fits is always
asked of the finished text, because weights do not add up (a shortened domain may stop being a link).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import regex

from pipeline.networks.counting import graphemes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network

ELLIPSIS = "…"
SHORTEST_SUMMARY = 40  # graphemes: less than this of a summary says nothing, so it is left out
WORD_LOSS = 3  # a cut moves back to the last space unless that costs more than a third of what fits
_LOOSE = frozenset(",;:–—-")  # would hang in the air before the ellipsis

# What X, Mastodon, Bluesky and Telegram agree on inside a hashtag: letters with their marks, decimal digits, underscore.
# Variation selectors and enclosing marks are marks too, but end a hashtag on X.
_TAG_WORD = regex.compile(r"[\p{L}\p{Nd}_][[\p{L}\p{M}\p{Nd}_]--[\p{Me}\uFE00-\uFE0F]]*", regex.V1)
_LETTER = regex.compile(r"\p{L}")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a share is made of, in order; an empty one is left out. `hashtags` are without their `#`."""

    headline: str
    summary: str = ""
    link: str = ""
    hashtags: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Everything before the link."""
        return paragraphs((self.headline, self.summary))

    @property
    def tag_line(self) -> str:
        """The hashtags as they are written."""
        return " ".join(f"#{tag}" for tag in self.hashtags)

    def text(self) -> str:
        """The whole, its parts apart by an empty line."""
        return paragraphs((self.words, self.link, self.tag_line))


def paragraphs(parts: Iterable[str]) -> str:
    """The parts that are not empty, an empty line between them."""
    return "\n\n".join(filter(None, parts))


def parts_of(entry: Entry, network: Network, *, summary: bool = True, hashtags: int = 3) -> Parts:
    """All an article has to say on a network: NFC, the headline on one line, at most `hashtags` hashtags."""
    article = entry.article
    headline = " ".join(unicodedata.normalize("NFC", article.headline).split())
    lead = unicodedata.normalize("NFC", article.summary).strip()
    tags = hashtags_of(article.tags)[:hashtags] if network.hashtags else ()
    return Parts(headline, lead if summary and lead != headline else "", entry.link, tags)


def hashtags_of(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags as hashtags without `#`: words joined with capitals (LakeLadoga), one without a letter left out, none twice."""
    return _hashtags(tuple(tags))


@lru_cache(maxsize=512)  # all networks of an article ask for the same
def _hashtags(tags: tuple[str, ...]) -> tuple[str, ...]:
    made: dict[str, str] = {}
    for tag in tags:
        words = _TAG_WORD.findall(unicodedata.normalize("NFC", tag), concurrent=False)
        joined = "".join(word[:1].upper() + word[1:] for word in words) if len(words) > 1 else "".join(words)
        if _LETTER.search(joined, concurrent=False):
            made.setdefault(joined.casefold(), joined)
    return tuple(made.values())


def fit(parts: Parts, fits: Callable[[Parts], bool]) -> Parts:
    """The most of the parts that fits: first the summary gives way, then hashtags, then the headline, last the link.

    `fits` is asked about finished parts. The answer fits, or is empty where not even nothing does.
    """
    if fits(parts):
        return parts
    summary = shorten(parts.summary, lambda kept: fits(replace(parts, summary=kept)))
    if len(graphemes(summary)) >= SHORTEST_SUMMARY:
        return replace(parts, summary=summary)
    parts = replace(parts, summary="")
    while parts.hashtags and not fits(parts):
        parts = replace(parts, hashtags=parts.hashtags[:-1])
    if fits(parts):
        return parts
    headline = shorten(parts.headline, lambda kept: fits(replace(parts, headline=kept)))
    shorter = replace(parts, headline=headline)
    if fits(shorter):
        return shorter
    return fit(replace(parts, link=""), fits) if parts.link else Parts("")


def losses(wanted: Parts, kept: Parts) -> tuple[str, ...]:
    """What an editor should know: sentences about a shortened headline or a link left out. A summary is expected to give way."""
    told = []
    if wanted.link and not kept.link:
        told.append("The link alone is longer than the network allows; it is not in the text.")
    if kept.headline != wanted.headline:
        told.append("The headline was shortened to fit.")
    return tuple(told)


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning with "…" after it that fits; the text itself if it does; "" where nothing fits.

    Cut between grapheme clusters (UAX #29), at a space where that costs no more than a third of what fits.
    """
    if fits(text):
        return text
    pieces = graphemes(text)
    fitting, too_long = 0, len(pieces)
    while too_long - fitting > 1:
        middle = (fitting + too_long) // 2
        if fits(_cut(pieces[:middle])):
            fitting = middle
        else:
            too_long = middle
    if not fitting:
        return ""
    at_word = _cut(pieces[: _last_word(pieces, fitting)])
    return at_word if fits(at_word) else _cut(pieces[:fitting])


def _last_word(pieces: Sequence[str], fitting: int) -> int:
    """Where the last whole word of the first `fitting` pieces ends, or `fitting` where that loses too much."""
    earliest = fitting - fitting // WORD_LOSS
    return next((at for at in range(fitting, earliest - 1, -1) if pieces[at].isspace()), fitting)


def _cut(pieces: Sequence[str]) -> str:
    end = len(pieces)
    while end > 1 and (pieces[end - 1].isspace() or pieces[end - 1] in _LOOSE):
        end -= 1
    return "".join(pieces[:end]) + ELLIPSIS
