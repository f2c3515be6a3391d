"""The library `reader` as a subscriber: what programs that keep feeds are built on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import feedparser_sgmllib
from reader import make_reader

if TYPE_CHECKING:
    from pathlib import Path

# reader 3.26 asks for this module by the name it had before feedparser, which brings it, renamed it.
sys.modules.setdefault("sgmllib", feedparser_sgmllib)

KNOWS = ("rss", "atom", "json")


class Library:
    """One person's store, subscribed to one feed."""

    keeps_what_a_feed_drops = True
    """It never removes an entry by itself; its owner does."""

    def __init__(self, folder: Path, url: str) -> None:
        """Subscribe."""
        self._reader = make_reader(str(folder / "reader.sqlite"))
        self._reader.add_feed(url)
        self._url = url

    def update(self) -> None:
        """Ask the feed; what the feed cannot be read as is raised."""
        self._reader.update_feed(self._url)

    def shows(self) -> list[tuple[str, str, str]]:
        """(id, title, text) of every entry it has."""
        found = list(self._reader.get_entries(feed=self._url))
        return [(entry.id, entry.title or "", "".join(part.value for part in entry.content)) for entry in found]

    def close(self) -> None:
        """Let go of its store."""
        self._reader.close()
