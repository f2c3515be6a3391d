"""Leases of dead processes end at once, and those of processes that only seem to be beside this one run out by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline import context as contexts
from pipeline import mirrors, upkeep
from pipeline.ledger import deliveries, duties, outlets
from pipeline.model.run import Nudge, Run, Step
from tests.conftest import article

if TYPE_CHECKING:
    from tests.conftest import Newsroom

KEY = "demo/mirror:one"


@pytest.fixture
def gone() -> str:
    """The owner's name of a process of this machine that has ended."""
    child = subprocess.run(
        [sys.executable, "-c", "from pipeline.context import process_name; print(process_name())"],
        check=True,
        capture_output=True,
        text=True,
    )
    return child.stdout.strip() + ":1"


def elsewhere(owner: str, kernel: str) -> str:
    """The same host name, process and start, in another place."""
    host, pid, started, _, thread = owner.split(":")
    return f"{host}:{pid}:{started}:{kernel}:{thread}"


def freed(room: Newsroom, owner: str) -> bool:
    """Whether the owner's lease is to be had after a look of upkeep."""
    with room.context.ledger.write() as tx:
        assert outlets.claim(tx, KEY, owner) is not None
    upkeep._free_the_dead(room.context)
    with room.context.ledger.write() as tx:
        return outlets.claim(tx, KEY, "the next") is not None


def test_the_lease_of_a_process_that_ended_here_is_free_at_once(newsroom: Newsroom, gone: str) -> None:
    """Its kernel and its process ids are ours, so that it is gone can be seen."""
    assert freed(newsroom, gone)


@pytest.mark.parametrize("kernel", ["another-boot/4-4026531836", ""])
def test_a_lease_of_another_kernel_or_of_nobody_knows_where_runs_out_by_itself(newsroom: Newsroom, gone: str, kernel: str) -> None:
    """Two machines may have one host name, and a process of theirs lives though none of ours has its number."""
    assert not freed(newsroom, elsewhere(gone, kernel))
    newsroom.clock.move(outlets.LEASE.total_seconds() + 1)
    with newsroom.context.ledger.write() as tx:
        assert outlets.claim(tx, KEY, "the next") is not None


def test_two_containers_of_one_host_name_leave_each_other_alone(newsroom: Newsroom, gone: str) -> None:
    """The same kernel, and process ids of their own: a number means nothing there."""
    boot, _, space = contexts.kernel().partition("/")
    assert boot
    assert space
    assert not freed(newsroom, elsewhere(gone, f"{boot}/{space}0"))


def test_where_the_system_tells_no_kernel_nobody_is_judged(newsroom: Newsroom, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not Linux: the lease runs out, five seconds later than it might."""
    monkeypatch.setattr(upkeep, "kernel", lambda: "")
    assert not freed(newsroom, elsewhere(gone, ""))


def test_a_process_that_is_there_and_hidden_lives(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/proc` may show only one's own processes; whether one of that number is there can still be asked."""
    host, _, started, kernel, thread = gone.split(":")
    monkeypatch.setattr(upkeep, "start_time", lambda _pid: "")
    assert not upkeep.is_dead(f"{host}:{os.getpid()}:{started}:{kernel}:{thread}")


def test_a_number_that_was_given_again_is_another_process(newsroom: Newsroom) -> None:
    """Its start tells them apart."""
    host, pid, started, kernel = contexts.process_name().split(":")
    assert not upkeep.is_dead(f"{host}:{pid}:{started}:{kernel}:1")
    assert upkeep.is_dead(f"{host}:{pid}:{int(started) - 1}:{kernel}:1")
    assert not upkeep.is_dead(newsroom.context.me())


def test_a_process_nobody_waited_for_is_dead(newsroom: Newsroom) -> None:
    """Its entry stays in the kernel's table until its parent asks: in a container whose first process never asks, for ever."""
    told = "from pipeline.context import process_name; print(process_name(), flush=True)"
    with subprocess.Popen([sys.executable, "-c", told], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        owner = child.stdout.read().strip() + ":1"  # to the end: the process has let go of everything
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert freed(newsroom, owner)


def test_upkeep_of_a_dead_process_is_taken_over_at_once(newsroom: Newsroom, gone: str) -> None:
    """Everything that was lost with that process waits for upkeep; five seconds of its lease would be added to all of it."""
    with newsroom.context.ledger.write() as tx:
        assert duties.take(tx, duties.UPKEEP, gone)
    newsroom.send("published", article())
    assert Nudge(Step.VALIDATE, ("newsroom",)) in upkeep.run(newsroom.context).nudges


def test_upkeep_of_a_living_process_is_left_to_it(newsroom: Newsroom) -> None:
    """One at a time."""
    with newsroom.context.ledger.write() as tx:
        assert duties.take(tx, duties.UPKEEP, contexts.process_name() + ":another thread")
    newsroom.send("published", article())
    assert upkeep.run(newsroom.context) == Run()


def test_an_outlet_whose_holder_died_is_told_of_again_at_once(newsroom: Newsroom, gone: str) -> None:
    """Whoever was told a moment ago was told in vain."""
    newsroom.send("published", article())
    newsroom.drain()
    with newsroom.context.ledger.write() as tx:
        deliveries.again(tx, KEY, ())
    newsroom.clock.move(outlets.NUDGE_PAUSE.total_seconds() + 1)
    nudge = Nudge(Step.MIRRORS, (KEY,))
    assert nudge in upkeep.run(newsroom.context).nudges
    assert nudge not in upkeep.run(newsroom.context).nudges
    with newsroom.context.ledger.write() as tx:
        assert outlets.claim(tx, KEY, gone) is not None
    assert nudge in upkeep.run(newsroom.context).nudges


def test_a_nudge_that_finds_nothing_to_do_takes_no_lease(newsroom: Newsroom) -> None:
    """Many of them come when work flows again, and each would hold the outlet for a whole build."""
    newsroom.send("published", article())
    newsroom.drain()
    before = fence(newsroom)
    assert mirrors.run(newsroom.context, (KEY,)) == Run()
    assert fence(newsroom) == before


def fence(room: Newsroom) -> int:
    """How often the outlet was held."""
    with room.context.ledger.read() as tx:
        return next(int(row.fence) for row in outlets.everyone(tx) if row.key == KEY)
