"""Newsboat as a subscriber: Debian's own program with a folder of its own, and what its cache says it would show."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MISSING = "" if shutil.which("newsboat") else "newsboat is not installed; `apt-get install newsboat` brings it"
KNOWS = ("rss", "atom")
"""It reads no JSON Feed (2.21)."""


class Newsboat:
    """One person's newsboat, subscribed to one feed."""

    keeps_what_a_feed_drops = True
    """What was shown once stays in its list until its own limits push it out (`keep-articles-days`, `max-items`)."""

    def __init__(self, folder: Path, url: str) -> None:
        """Subscribe."""
        self._folder, self._url = folder, url
        (folder / "urls").write_text(f"{url}\n")
        (folder / "config").write_text("")

    def update(self) -> None:
        """What `r` does."""
        files = [
            word for option, name in (("-u", "urls"), ("-c", "cache.db"), ("-C", "config")) for word in (option, str(self._folder / name))
        ]
        environment = {**os.environ, "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        done = subprocess.run(
            ["newsboat", *files, "-x", "reload"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def shows(self) -> list[tuple[str, str, str]]:
        """(guid, title, text) of every article in its list."""
        with closing(sqlite3.connect(self._folder / "cache.db")) as cache:
            asked = "SELECT guid, title, content FROM rss_item WHERE feedurl = ? AND deleted = 0"
            return [(str(guid), str(title), str(text)) for guid, title, text in cache.execute(asked, (self._url,))]
