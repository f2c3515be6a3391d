"""Order (FT8): whatever is shuffled, doubled or late, every outlet ends with what the newsroom did last.

One state machine over five ways to run the steps. In full over drain and SQLite in memory, where it may also run single
steps, so that outlets lag behind each other; shorter over the others. PRESSRUN_FAULT_HISTORIES sets how many histories
the full one has (300, in CI too); the others have 40 at most. A failure prints the blob that replays it.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pipeline.model.run import Nudge, Run, Step
from tasks.drain import STEPS
from tests.conftest import Newsroom, open_newsroom
from tests.faults.looking import held_leases, look, loose_ends, temporary_files
from tests.faults.newsroom_order import SECTIONS, SLUGS, Action, Desk, Oracle
from tests.support.running import SHORT_WINDOW, site_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pipeline.context import Context
    from tests.faults.scoreboard import Score
    from tests.support.running import Running

HISTORIES = int(os.environ.get("PRESSRUN_FAULT_HISTORIES", "300"))
FEWER = min(40, HISTORIES)
STEPS_IN_FULL = 40
STEPS_OF_OTHERS = 10
SITE = "order"
CONFIG = 'data = "data"\n[server]\nport = 8499\n' + site_text(SITE, SHORT_WINDOW).replace("file:secret", "env:PRESSRUN_TEST_SECRET")
OUTLETS = ("feed:all", "feed:world", "mirror:one", "network:x", "network:email")
KINDS = {"feed": Step.FEEDS, "mirror": Step.MIRRORS, "network": Step.SOCIAL}
BETWEEN_DRAINS = 8
"""Deliveries there must be between two full drains: a drain renders everything and costs more than all other rules."""

SOMETIMES = 0.4
"""How likely a coin falls on its rarer side. Choices are drawn from one seed a history: with a draw of Hypothesis's own for
each, which prefers simple values and repeats itself, most histories were alike and planted faults went unseen."""

_histories = itertools.count(1)


class Way(Protocol):
    """A way to run the pipeline."""

    single_steps: bool

    @property
    def context(self) -> Context:
        """Where what stands can be looked at."""

    def now(self) -> datetime:
        """The newsroom's time."""

    def pass_time(self, seconds: int) -> None:
        """Let time pass in the newsroom."""

    def deliver(self, action: Action, webhook_id: str, data: dict[str, Any]) -> None:
        """One webhook arrives."""

    def step(self, nudge: Nudge) -> None:
        """Run one step, where single steps can be run."""

    def settle(self) -> None:
        """Have everything done that is to do."""


@dataclass
class Drained:
    """In this process, one step after the other."""

    room: Newsroom
    single_steps: bool = True

    @property
    def context(self) -> Context:
        """The newsroom's."""
        return self.room.context

    def now(self) -> datetime:
        """The set clock's time."""
        return self.room.clock.now()

    def pass_time(self, seconds: int) -> None:
        """Move the clock."""
        self.room.clock.move(seconds)

    def deliver(self, action: Action, webhook_id: str, data: dict[str, Any]) -> None:
        """Stored as `accept` does."""
        self.room.send(action.kind, data, at=action.at, webhook_id=webhook_id)

    def step(self, nudge: Nudge) -> None:
        """Its nudges are lost: upkeep must find what they stood for."""
        run: Run = STEPS[nudge.step](self.context, nudge.keys)
        assert isinstance(run, Run)

    def settle(self) -> None:
        """Drain; upkeep waits 3 s before it nudges an outlet again, so that much time passes first."""
        self.room.clock.move(3.5)
        self.room.drain()


@dataclass
class OnWorkers:
    """Posted to the web process, done by the workers."""

    room: Running
    single_steps: bool = False

    @property
    def context(self) -> Context:
        """The one the supervisor was given; its ledger and folders are the workers' too."""
        return self.room.context

    def now(self) -> datetime:
        """Now."""
        return self.room.context.clock.now()

    def pass_time(self, seconds: int) -> None:
        """The workers' clock passes by itself."""

    def deliver(self, action: Action, webhook_id: str, data: dict[str, Any]) -> None:
        """Over HTTP, signed."""
        self.room.send(action.kind, data, site=SITE, at=action.at, webhook_id=webhook_id)

    def step(self, nudge: Nudge) -> None:
        """The workers do."""

    def settle(self) -> None:
        """Wait for it."""
        self.room.settle(SITE)


@dataclass
class Outgoing:
    """Webhooks the newsroom has made: (action, webhook id), delivered or not."""

    waiting: list[tuple[Action, str]] = field(default_factory=list)
    sent: list[tuple[Action, str]] = field(default_factory=list)


class History(RuleBasedStateMachine):
    """A newsroom with three articles, a network that shuffles, doubles and delays, and looks at everything in between."""

    def __init__(self, open_way: Callable[[], Way]) -> None:
        """Begin in a newsroom that has never heard of these articles."""
        super().__init__()
        self.way = open_way()
        self.prefix = f"h{next(_histories)}"
        self.articles = [f"{self.prefix}-{letter}" for letter in "abc"]
        self.desk, self.oracle, self.out = Desk(self.prefix), Oracle(), Outgoing()
        self.published_at = self.way.now()
        self.ids = itertools.count(1)
        self.deliveries = 0
        self.kept: frozenset[str] = frozenset()
        self.luck = Random(0)

    @initialize(seed=st.integers(0, 2**24 - 1))
    def morning(self, seed: int) -> None:
        """There is something to begin with."""
        self.luck = Random(seed)
        for _ in self.articles:
            self._write(self.luck)

    @rule()
    def newsroom(self) -> None:
        """The desk does something, and something it did arrives, once or a few times."""
        ways = [self._write, self._withdraw, self._publish_again, self._arrive, self._arrive_again]
        for happens in self.luck.choices(ways, [4, 3, 2, 3, 2], k=self.luck.randint(1, 3)):
            happens(self.luck)

    def _write(self, luck: Random) -> None:
        """A new text, maybe in another section, maybe under another address."""
        article, kind = luck.choice(self.articles), luck.choice(["published", "updated", "corrected"])
        section, slug, same_time = luck.choice(SECTIONS), luck.choice(SLUGS), luck.random() < SOMETIMES
        self._made(self.desk.write(article, kind, self.way.now(), section, slug, same_time=same_time), luck)

    def _withdraw(self, luck: Random) -> None:
        """Take it back."""
        self._made(self.desk.withdraw(luck.choice(self.articles), self.way.now()), luck)

    def _publish_again(self, luck: Random) -> None:
        """The last text as it was, with its `updated_at` of then."""
        made = self.desk.repeat(luck.choice(self.articles), self.way.now())
        if made:
            self._made(made, luck)

    def _arrive(self, luck: Random) -> None:
        """Some of those on their way arrive, whichever."""
        for _ in range(min(len(self.out.waiting), luck.randint(1, 3))):
            self._deliver(*self.out.waiting.pop(luck.randrange(len(self.out.waiting))))

    def _arrive_again(self, luck: Random) -> None:
        """A double, under the same id as a retry or under a new one as a second click."""
        if self.out.sent:
            action, webhook_id = luck.choice(self.out.sent)
            self._deliver(action, self._id() if luck.random() < SOMETIMES else webhook_id)

    @rule()
    @precondition(lambda self: self.way.single_steps)
    def meanwhile(self) -> None:
        """Time passes, also more than a lease or a webhook's time window; or one step is done before the others."""
        luck = self.luck
        if luck.random() < SOMETIMES:
            self.way.pass_time(luck.randint(1, 400))
        elif luck.random() < SOMETIMES:
            outlet = luck.choice(OUTLETS)
            self.way.step(Nudge(KINDS[outlet.partition(":")[0]], (f"{SITE}/{outlet}",)))
        else:
            self.way.step(Nudge(Step.VALIDATE, (SITE,)))

    @rule()
    @precondition(lambda self: self.deliveries >= BETWEEN_DRAINS)
    def settle(self) -> None:
        """Everything is done, and compared with what the newsroom did last."""
        self._compare()

    def teardown(self) -> None:
        """At last everything arrives, the last first, and is compared."""
        for action, webhook_id in reversed(self.out.waiting):
            self._deliver(action, webhook_id)
        self._compare()
        if self.way.single_steps:  # nobody else is at work, so nothing may be in anybody's hands
            assert not held_leases(self.way.context, SITE)
            assert not temporary_files(self.way.context)

    def _id(self) -> str:
        return f"{self.prefix}_{next(self.ids)}"

    def _made(self, action: Action, luck: Random) -> None:
        webhook_id = self._id()
        if luck.random() < SOMETIMES:
            self._deliver(action, webhook_id)
        else:
            self.out.waiting.append((action, webhook_id))

    def _deliver(self, action: Action, webhook_id: str) -> None:
        note(f"{webhook_id} arrives: {action}")
        self.way.deliver(action, webhook_id, action.data(self.published_at))
        self.oracle.deliver(action)
        self.out.sent.append((action, webhook_id))
        self.deliveries += 1
        if action.text is None:  # a network keeps what it took until a withdrawal, however the two are ordered
            self.kept = frozenset(name for name in self.kept if name != action.article)

    def _compare(self) -> None:
        self.way.settle()
        self.deliveries = 0
        seen = look(self.way.context, SITE, self.articles, self.prefix)
        assert seen == self.oracle.shown(seen.network_world)
        live = self.oracle.live()
        for name in self.kept & live.keys():
            assert live[name].mark in seen.network_world, f"{name} left a network that had taken it"
        self.kept = frozenset(name for name, text in live.items() if text.mark in seen.network_world)
        assert not loose_ends(self.way.context, SITE)


def explore(open_way: Callable[[], Way], histories: int, steps: int, *, replayable: bool = True) -> None:
    """Run that many histories. What real processes do cannot be shrunk: they do not do it the same way twice."""
    phases = [Phase.generate, Phase.shrink] if replayable else [Phase.generate]
    run_state_machine_as_test(
        lambda: History(open_way),  # type: ignore[arg-type]  # any callable that makes a machine will do
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    ("database", "histories", "steps"),
    [("memory", HISTORIES, STEPS_IN_FULL), ("sqlite", FEWER, STEPS_OF_OTHERS), ("postgres", FEWER, STEPS_OF_OTHERS)],
)
@pytest.mark.fault("FT8")
@pytest.mark.timeout(600)
def test_over_drain(database: str, histories: int, steps: int, tmp_path: Path, request: pytest.FixtureRequest, score: Score) -> None:
    """One ledger with the articles of all histories in it; over SQLite in memory 300 histories of 40 steps."""
    urls = {"memory": "sqlite://", "sqlite": f"sqlite:///{tmp_path / 'ledger.sqlite'}"}
    way = Drained(open_newsroom(tmp_path, urls.get(database) or request.getfixturevalue("postgres"), CONFIG))
    score.what, score.database = "order, drained", database
    score.note("histories", histories, "")
    score.note("steps of each", steps, "")
    try:
        explore(lambda: way, histories, steps)
    finally:
        way.context.close()


@pytest.mark.fault("FT8")
@pytest.mark.timeout(300)
def test_over_real_workers(running: Running, score: Score) -> None:
    """The same posted to the web process and done by both workers, on each database."""
    score.what, score.database = "order, on workers", "sqlite" if running.context.ledger.sqlite else "postgres"
    score.note("histories", FEWER, "")
    explore(lambda: OnWorkers(running), FEWER, STEPS_OF_OTHERS, replayable=False)
    assert not running.supervisor.look()
