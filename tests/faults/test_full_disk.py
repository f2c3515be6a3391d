"""Full disk (FT11): what cannot be written leaves the last good document where it was, is told, tried again, and heals by itself.

First in the workers alone, call by call: no room, an input/output error, a folder that may not be written. Then for real:
everything a press run writes lies on a disk that is full to the last byte, the ledger too.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from pipeline.ledger import tables
from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story
from tests.support.planted import planted
from tests.support.running import running_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = scaled(30, 300)
FAULTS = [("write", errno.ENOSPC), ("replace", errno.EIO), ("open", errno.EACCES)]
FULL_FOR = 8.0 if LONG else 3.0
_LIMITS = "[limits]\ncircuit_seconds = 2\n"
_SICK = """
class Sick:
    def __getattr__(self, name):
        told = HERE / "sick"
        if any("celery" in word for word in sys.argv) and told.exists():
            call, number = told.read_text().split()
            if call == name:
                return lambda *_, **__: self.fail(int(number))
        return getattr(os, name)

    def fail(self, number):
        raise OSError(number, os.strerror(number))


def in_local(module):
    module.os = Sick()


PATCHES = {"pipeline.backends.local": in_local}
"""


@pytest.mark.fault("FT11")
@pytest.mark.timeout(300)
def test_disk_that_refuses(tmp_path: Path, score: Score) -> None:
    """Each call of the workers' backend fails for a while amid publishing; feeds, mirror and readers have the last good documents."""
    sick = tmp_path / "planted" / "sick"
    with planted(tmp_path / "planted", _SICK), running_in(tmp_path, sites=(SITE,), more=_LIMITS) as room, ExitStack() as stack:
        load = Load(room.context.settings.server.port, story("d", ARTICLES, score.seed, room.context.clock.now()))
        readers = [stack.enter_context(reader) for reader in reading.everybody(load.port, SITE)]
        size = len(load.actions) // (len(FAULTS) + 1)
        parts = [load.actions[number * size : (number + 1) * size] for number in range(len(FAULTS))]
        replace(load, actions=parts[0]).send()
        room.settle(SITE)
        for (call, number), part in zip(FAULTS, [*parts[1:], load.actions[len(FAULTS) * size :]], strict=True):
            before = _documents(room)
            sick.write_text(f"{call} {number}")
            replace(load, actions=part).send()
            room.until(lambda number=number: _told(room, os.strerror(number)))  # type: ignore[misc]
            score.count(
                "malformed",
                [f"{path} was touched by a failed {call}" for path, body in _documents(room).items() if before.get(path) != body],
            )
            assert b'pressrun_alerts_total{kind="feed held back"}' in room.get("/metrics").body
            sick.unlink()
            began = time.monotonic()
            room.settle(SITE)
            score.note(f"healed after {errno.errorcode[number]} of {call}", time.monotonic() - began)
        judge(room, load, score, readers)
    assert score.clean, score.problems


@pytest.mark.fault("FT11")
@pytest.mark.timeout(300)
def test_disk_that_is_full(tmp_path: Path, score: Score) -> None:
    """A small disk of its own is filled up while webhooks come: 202 or 503, and once there is room nothing was lost."""
    with _small_disk(tmp_path) as disk, running_in(disk, sites=(SITE,), more=_LIMITS) as room, ExitStack() as stack:
        load = Load(room.context.settings.server.port, story("f", ARTICLES, score.seed, room.context.clock.now()))
        readers = [stack.enter_context(reader) for reader in reading.everybody(load.port, SITE)]
        third = len(load.actions) // 3
        replace(load, actions=load.actions[:third]).send()
        room.settle(SITE)
        with closing(sqlite3.connect(room.context.settings.data / "ledger.sqlite", timeout=30)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        senders = []
        with _filled(disk):
            ends = time.monotonic() + FULL_FOR
            senders = replace(load, actions=load.actions[third:]).start()
            room.wait(lambda: time.monotonic() > ends, FULL_FOR * 2)
            refused = load.refused[503]
        began = time.monotonic()
        for sender in senders:
            room.until(lambda sender=sender: not sender.is_alive())  # type: ignore[misc]
        room.settle(SITE)
        score.note("healed after", time.monotonic() - began)
        score.note("refused while it was full", refused, "times")
        score.note("processes started again", len(room.died), "")
        assert refused
        judge(room, load, score, readers)
    assert score.clean, score.problems


def _documents(room: Running) -> dict[str, bytes]:
    """Every document of the origin and the mirror, by its path."""
    data = room.context.settings.data
    roots = (room.context.settings.origin, data / "mirrors")
    kinds = {".rss", ".atom", ".json", ".html"}
    return {str(path): path.read_bytes() for root in roots for path in root.rglob("*") if path.suffix in kinds}


def _told(room: Running, reason: str) -> bool:
    """Whether a feed's and the mirror's delivery say why they are not made."""
    d = tables.deliveries.c
    with room.context.ledger.read() as tx:
        rows = tx.all(select(d.outlet, d.state).where(d.reason.contains(reason), d.state == "retrying").distinct())
    return {row.outlet for row in rows} >= {f"{SITE}/feed:all", f"{SITE}/mirror:one"}


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 48 MB; skips the test where none may be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "pressrun-test", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def _filled(disk: Path) -> Iterator[None]:
    """Not a byte is free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    yield
    ballast.unlink()
