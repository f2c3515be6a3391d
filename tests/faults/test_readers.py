"""Readers (FT10): whatever a subscriber asks with, it gets what stood there while it asked, whole, and never anything older.

What stood there is known exactly: a trigger of the test's own writes down each hash a feed's row ever had, in order. A
reader looks how long that list is before it asks and after it was answered; the answer must be of a hash in between.
"""

from __future__ import annotations

import gzip
import hashlib
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import TYPE_CHECKING

import brotli
import pytest

from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story
from tests.faults.reading import NOT_MODIFIED, OK, Reader
from tests.support.running import Answer, Line, running_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.scoreboard import Score

PUBLISHES = scaled(60, 300)
BURST = 20
REST = 3.0
"""Seconds between bursts: compressed twins are made of what has been still for two."""

READS = 10_000 if LONG else 1_000
UNPACK = {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}
HISTORY = """
BEGIN IMMEDIATE;
CREATE TABLE seen_hashes (n INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT, sha256 TEXT);
CREATE TRIGGER seen_first AFTER INSERT ON documents BEGIN
  INSERT INTO seen_hashes (path, sha256) VALUES (new.path, new.sha256);
END;
CREATE TRIGGER seen_next AFTER UPDATE OF sha256 ON documents WHEN new.sha256 <> old.sha256 BEGIN
  INSERT INTO seen_hashes (path, sha256) VALUES (new.path, new.sha256);
END;
INSERT INTO seen_hashes (path, sha256) SELECT path, sha256 FROM documents;
COMMIT;
"""


@dataclass
class Careful(Reader):
    """A subscriber that holds each answer against the history. `asks`: the validators it sends."""

    ledger: str = ""
    asks: tuple[str, ...] = ("if-none-match", "if-modified-since")
    accepts: str = ""
    packed: int = 0
    _held: str = ""
    _told: dict[str, str] = field(default_factory=dict)

    def _poll(self) -> None:
        with closing(sqlite3.connect(self.ledger, timeout=30)) as history:
            line = Line(self.port)
            while not self._stop.wait(self.pause):
                before = self._live(history, 0)
                try:
                    answer = line.ask(
                        "GET", self.path, None, {name: self._told[name] for name in self.asks if name in self._told} | self._more()
                    )
                except (OSError, HTTPException):
                    self.unreachable += 1
                    line.close()
                    line = Line(self.port)
                    continue
                self._judge(answer, self._live(history, before[0])[1], stood=bool(before[1]))
            line.close()

    def _more(self) -> dict[str, str]:
        return {"accept-encoding": self.accepts} if self.accepts else {}

    def _live(self, history: sqlite3.Connection, since: int) -> tuple[int, list[str]]:
        """(place of the newest, the hashes this feed's row had from that place on)."""
        path = self.path.lstrip("/")
        rows = history.execute("SELECT n, sha256 FROM seen_hashes WHERE path = ? AND n >= ? ORDER BY n", (path, since)).fetchall()
        return (rows[-1][0] if rows else 0), [row[1] for row in rows]

    def _judge(self, answer: Answer, live: list[str], *, stood: bool) -> None:
        self.reads += 1
        if answer.status == NOT_MODIFIED:
            self.not_modified += 1
            if self._held not in live:
                self.faults.append(
                    f"{self.path}: a wrong 304 for {self.asks}: holds {self._held[:8]}, live were {[sha[:8] for sha in live]}"
                )
        elif answer.status == OK:
            self._take(answer, live)
        elif answer.status not in {404, 503} or (answer.status == 404 and stood):
            self.faults.append(f"{self.path}: answered {answer.status}")

    def _take(self, answer: Answer, live: list[str]) -> None:
        coding = answer.headers.get("content-encoding", "")
        body = UNPACK[coding](answer.body)
        self.packed += bool(coding)
        self._held = hashlib.sha256(body).hexdigest()
        if self._held not in live:
            self.faults.append(f"{self.path}: was given {self._held[:8]}, live were {[sha[:8] for sha in live]}")
        if answer.headers.get("etag", "").strip('"').partition("-")[0] != self._held[:32]:
            self.faults.append(f"{self.path}: its ETag is another body's")
        self._told = {"if-none-match": answer.headers["etag"], "if-modified-since": answer.headers["last-modified"]}
        self._look(body, answer.headers)


@pytest.mark.fault("FT10")
@pytest.mark.timeout(500)
def test_readers(tmp_path: Path, score: Score) -> None:
    """Bursts of publishing with rests between them; four subscribers poll as fast as they can, each in its own way."""
    with running_in(tmp_path, sites=(SITE,)) as room, ExitStack() as stack:
        ledger = str(room.context.settings.data / "ledger.sqlite")
        with closing(sqlite3.connect(ledger, timeout=30)) as connection:
            connection.executescript(HISTORY)
        load = Load(room.context.settings.server.port, story("r", PUBLISHES, score.seed, room.context.clock.now()))
        web = room.supervisor.children["web"].process.pid
        ways = [
            Careful(load.port, f"/{SITE}/feeds/all.rss", ledger=ledger),
            Careful(load.port, f"/{SITE}/feeds/all.atom", ledger=ledger, asks=("if-none-match",)),
            Careful(load.port, f"/{SITE}/feeds/all.json", ledger=ledger, asks=("if-modified-since",)),
            Careful(load.port, f"/{SITE}/feeds/all.rss", ledger=ledger, asks=("if-none-match",), accepts="gzip, br"),
        ]
        readers = [stack.enter_context(replace(way, pause=0.001)) for way in ways]
        for start in range(0, len(load.actions), BURST):
            replace(load, actions=load.actions[start : start + BURST]).send(per_second=BURST)
            rested = time.monotonic() + REST
            room.wait(lambda rested=rested: time.monotonic() > rested, REST * 2)  # type: ignore[misc]
        room.until(lambda: sum(reader.reads for reader in readers) >= READS, 300)
        score.note("reads", sum(reader.reads for reader in readers), "", target=10_000 if LONG else None, at_most=False)
        score.note("of these 304", sum(reader.not_modified for reader in readers), "")
        score.note("compressed", readers[-1].packed, "")
        judge(room, load, score, readers)
        score.count("stuck", ["the web process was started again"] if room.supervisor.children["web"].process.pid != web else [])
        assert all(reader.not_modified for reader in readers)
        assert readers[-1].packed
    assert score.clean, score.problems
