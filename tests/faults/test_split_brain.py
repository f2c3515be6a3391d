"""Split brain (FT16): two of everything at one ledger, and writers that sleep through the end of their lease, write nothing twice or late.

Writers are stopped (SIGSTOP) while they hold an outlet's lease, until somebody else has taken it over, and go on then.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import select

from pipeline.cli.start import free_port
from pipeline.cli.supervisor import COMMANDS
from pipeline.ledger import tables
from tests.cli.terminal import pressrun
from tests.faults import reading
from tests.faults.checking import judge
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = scaled(150, 1200)
ROUNDS = 4 if LONG else 1
IN_USE = 3
CRAFT_PAUSE, REACH_PAUSE = 6.5, 10.0
"""Seconds. Twice a lease; a process of `craft` would be ended by its time limit after eight, so it sleeps for less, and still too long."""


@pytest.mark.fault("FT16")
@pytest.mark.timeout(300)
def test_split_brain(own_room: Callable[..., AbstractContextManager[Running]], score: Score) -> None:
    """Two web processes and four workers; of the first ones, one in each worker falls asleep at its work."""
    with own_room() as room, ExitStack() as stack:
        config = room.context.settings.data.parent / "pressrun.toml"
        assert pressrun(config.parent, "up", "--config", str(config)).returncode == IN_USE
        other = stack.enter_context(second_set(room))
        load = Load(room.context.settings.server.port, story("s", ARTICLES, score.seed, room.context.clock.now()))
        readers = [stack.enter_context(reader) for port in (load.port, other) for reader in reading.everybody(port, SITE)]
        rate = len(load.actions) / (ROUNDS * 8.0)
        senders = [
            *replace(load, actions=load.actions[::2]).start(per_second=rate / 2),
            *replace(load, actions=load.actions[1::2], port=other).start(per_second=rate / 2),
        ]
        asleep = sum(_sleep(room) for _ in range(ROUNDS))
        for sender in senders:
            room.until(lambda sender=sender: not sender.is_alive())  # type: ignore[misc]
        score.note("slept through the end of a lease", asleep, "writers")
        judge(room, load, score, readers)
        score.note("found out before they wrote", _lost(room), "times")
        score.note("refused meanwhile", load.refused[503], "times")
    assert score.clean, score.problems


@contextmanager
def second_set(room: Running) -> Iterator[int]:
    """Another web process and two more workers over the same ledger and broker; the port of the web process."""
    port, data = free_port(0), room.context.settings.data
    environment = {**os.environ, "PRESSRUN_CONFIG": str(data.parent / "pressrun.toml"), "PRESSRUN_PORT": str(port)}
    commands = {name: [word.replace(f"{name}@", f"{name}2@") for word in words] for name, words in COMMANDS.items()}
    with ExitStack() as stack:
        for name, words in commands.items():
            log = stack.enter_context((data / "logs" / f"{name}2.log").open("wb"))
            process = subprocess.Popen([sys.executable, *words], env=environment, stdout=log, stderr=log, start_new_session=True)
            stack.callback(_end, process)
        room.until(lambda: _listens(port))
        yield port


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _sleep(room: Running) -> int:
    """Stop one process of each of the first workers in the middle of a lease; answers how many overslept."""
    reach = room.supervisor.children["reach"].process.pid
    craft = [child.pid for child in psutil.Process(room.supervisor.children["craft"].process.pid).children()]
    stopped = [(pid, pause) for pids, pause in (([reach], REACH_PAUSE), (craft, CRAFT_PAUSE)) for pid in _stop_one(room, pids)]
    began, overslept = time.monotonic(), 0
    for pid, pause in sorted(stopped, key=lambda one: one[1]):
        room.wait(lambda pause=pause: time.monotonic() > began + pause, REACH_PAUSE * 2)  # type: ignore[misc]
        # Who was at work for more than a second before it fell asleep is ended by its limit of time: no writer any more.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            overslept += 1
    return overslept


def _stop_one(room: Running, pids: list[int]) -> list[int]:
    """Stop whichever of these processes is seen with a lease, so that it holds it while it sleeps; none where none has work."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        for pid in set(pids) & _at_work(room):
            os.kill(pid, signal.SIGSTOP)
            if pid in _at_work(room):
                return [pid]
            os.kill(pid, signal.SIGCONT)
    return []


def _at_work(room: Running) -> set[int]:
    o = tables.outlets.c
    with room.context.ledger.read() as tx:
        return {int(row.lease_owner.split(":")[1]) for row in tx.all(select(o.lease_owner).where(o.lease_owner.is_not(None)))}


def _lost(room: Running) -> int:
    """Runs that found their lease in other hands."""
    logs = (room.context.settings.data / "logs").glob("*.log")
    return sum(log.read_text(errors="replace").count('"lease lost"') for log in logs)
