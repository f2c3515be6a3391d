"""A press run with real processes for tests: broker, web and both workers, over SQLite or a real PostgreSQL.

Starting one takes seconds, so each database has one for all files that use it; tests keep apart by site and article id.
It is started and watched by the product's own supervisor, lies in a folder and on a port of its own, and what a test
waits for it looks up in the ledger: nothing sleeps for a guessed time.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select, text

from pipeline.cli.start import free_port
from pipeline.cli.supervisor import Supervisor
from pipeline.cli.up import prepare
from pipeline.context import open_context
from pipeline.kit import signatures
from pipeline.kit.clock import rfc3339
from pipeline.ledger import tables, views
from pipeline.settings import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.context import Context

T = TypeVar("T")

SECRET = b"the secret of a test newsroom, 32"
PATIENCE = 60.0
"""Seconds after which waiting is given up and the test fails: far above what any wait here takes, so it only bounds."""

LOOK = 0.02
RETRIED = 503
SITES = ("demo", "order", "storm")
"""`demo` is for lives of single articles, `order` for histories (its windows are short), `storm` for many articles at once."""

_HEAD = """
data = "data"
database = "@DATABASE@"
[server]
port = @PORT@
"""
_SITE = """
[sources.@SITE@]
site = "@SITE@"
secrets = ["file:secret"]
[sites.@SITE@]
title = "The Test Courier"
home_url = "https://www.example.org/"
language = "en"
publisher = "The Test Courier"
tag_host = "example.org"
tag_date = "2026-01-01"
[sites.@SITE@.feeds.all]
title = "Everything"
@WINDOW@
[sites.@SITE@.feeds.world]
title = "World"
sections = ["News/World"]
@WINDOW@
[sites.@SITE@.mirrors.one]
sections = ["News"]
[sites.@SITE@.networks.x]
[sites.@SITE@.networks.email]
sections = ["News/World"]
"""
SHORT_WINDOW = "window = 10\nwindow_hours = 0\nwindow_max = 10"


def site_text(site: str, window: str = "") -> str:
    """Configuration of a source and a site of the same name with five outlets."""
    return _SITE.replace("@SITE@", site).replace("@WINDOW@", window)


def config_text(database: str, port: int, broker: str = "", sites: tuple[str, ...] = SITES, allow: Sequence[str] = ()) -> str:
    """The configuration of the room; `broker` is the URL of one that runs already, "" for the room's own.

    allow  `host:port` of servers of the test's own that requests may go to
    """
    head = _HEAD.replace("@DATABASE@", database).replace("@PORT@", f"{port}\nallow_hosts = {json.dumps(list(allow))}")
    head = f'broker = "{broker}"\n{head}' if broker else head
    return head + "".join(site_text(site, SHORT_WINDOW if site == "order" else "") for site in sites)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: status, headers with names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Line:
    """One kept HTTP connection, for one thread."""

    def __init__(self, port: int) -> None:
        """Nothing is opened yet."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request; once more where the kept connection had been closed meanwhile, which harms no webhook."""
        for last in (False, True):
            try:
                self._connection.request(method, path, body, headers or {})
                answer = self._connection.getresponse()
                return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            except (http.client.HTTPException, OSError):
                self._connection.close()
                if last:
                    raise
        raise AssertionError

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()


def signed(body: bytes, webhook_id: str) -> dict[str, str]:
    """The headers of a webhook, signed now."""
    stamp = int(time.time())
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signatures.sign(SECRET, webhook_id, stamp, body),
    }


@dataclass
class Running:
    """The room. `died` names every child that the supervisor had to start again; `killed` counts what else a test ended."""

    context: Context
    supervisor: Supervisor
    died: list[str] = field(default_factory=list)
    killed: int = 0
    _lines: threading.local = field(default_factory=threading.local)
    _opened: list[Line] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def line(self) -> Line:
        """This thread's connection to the web process."""
        if not hasattr(self._lines, "line"):
            self._lines.line = Line(self.context.settings.server.port)
            self._opened.append(self._lines.line)
        kept: Line = self._lines.line
        return kept

    def get(self, url: str) -> Answer:
        """One GET of an absolute URL of this room, or of a path."""
        return self.line().ask("GET", urlsplit(url).path)

    def post(self, body: bytes, webhook_id: str, site: str = "demo") -> Answer:
        """One signed webhook, sent again as a CMS would for as long as the answer is 503."""
        ends = time.monotonic() + PATIENCE
        while True:
            answer = self.line().ask("POST", f"/webhooks/{site}", body, signed(body, webhook_id))
            if answer.status != RETRIED or time.monotonic() > ends:
                return answer
            assert int(answer.headers["retry-after"]) > 0
            time.sleep(0.1)

    def send(self, kind: str, data: dict[str, Any], *, site: str = "demo", at: datetime | None = None, webhook_id: str = "") -> str:
        """Post an event that happened at `at`, or now; answers its id."""
        stamp = rfc3339(at or self.context.clock.now())
        body = json.dumps({"type": f"article.{kind}", "timestamp": stamp, "data": data}).encode()
        answer = self.post(body, webhook_id or f"msg_{os.getpid()}_{next(self._ids)}", site)
        assert answer.status == 202, answer
        event_id: str = answer.json()["event_id"]
        return event_id

    def until(self, what: Callable[[], T], seconds: float = PATIENCE) -> T:
        """Look again and again until the answer is true, starting what died as `pressrun up` does; fails after `seconds`."""
        ends = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < ends, self.account()
            self.died += self.supervisor.look()
            time.sleep(LOOK)
        return found

    def wait(self, what: Callable[[], object], seconds: float = PATIENCE) -> bool:
        """As `until`, for who wants to count it: whether it came true within `seconds`."""
        ends = time.monotonic() + seconds
        while not what():
            if time.monotonic() > ends:
                return False
            self.died += self.supervisor.look()
            time.sleep(LOOK)
        return True

    @property
    def broker_url(self) -> str:
        """Where the broker is: the room's own, or the one it was given."""
        return self.supervisor.broker.url if self.supervisor.broker else str(self.context.settings.broker)

    def open_work(self, site: str) -> dict[str, int]:
        """What a site still has to do: waiting events, deliveries not settled, outlets behind; empty when there is nothing."""
        e, d, o = tables.events.c, tables.deliveries.c, tables.outlets.c
        with self.context.ledger.read() as tx:
            counts = {
                "events": tx.value(select(func.count()).where(e.source == site, text("events.state = 'waiting'"))),
                "deliveries": tx.value(select(func.count()).where(d.outlet.like(f"{site}/%"), tables.UNSETTLED)),
                "outlets": tx.value(select(func.count()).where(o.site == site, o.held_seq < o.wanted_seq)),
            }
        return {name: count for name, count in counts.items() if count}

    def settle(self, site: str = "demo") -> None:
        """Wait until a site has nothing left to do."""
        self.until(lambda: not self.open_work(site))

    def status(self, cms_id: str, site: str = "demo") -> views.ArticleStatus:
        """Where an article is."""
        with self.context.ledger.read() as tx:
            return views.status(tx, views.find_articles(tx, cms_id, site))[0]

    def kill(self, name: str) -> None:
        """SIGKILL a worker or the web process, and the processes it forked: each leads a session of its own."""
        process = self.supervisor.children[name].process
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.killed += 1

    def account(self) -> str:
        """What is left to do and the ends of the logs, for a wait that failed."""
        sites = [site.name for site in self.context.settings.sites]
        logs = sorted((self.context.settings.data / "logs").glob("*.log"))
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs]
        return "\n".join([f"not in time; left: {[(site, self.open_work(site)) for site in sites]}; died: {self.died}", *tails])

    def close(self) -> None:
        """Let go of every connection; the supervisor is left by whoever entered it."""
        for line in self._opened:
            line.close()
        self.context.ledger.close()


@contextmanager
def running_in(
    folder: Path, database: str = "sqlite", *, broker: str = "", sites: tuple[str, ...] = SITES, more: str = "", allow: Sequence[str] = ()
) -> Iterator[Running]:
    """The room in a folder of its own, ready to take webhooks; on the way out only what was started here is ended.

    `broker` is the URL of one that runs already; `more` is added to the configuration's end; `allow` as in `config_text`.
    """
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(signatures.new_secret(SECRET))
    config = folder / "pressrun.toml"
    config.write_text(config_text(database, free_port(0), broker, sites, allow) + more)
    with pytest.MonkeyPatch.context() as patch:
        for name in ENVIRONMENT:  # what the developer has set for a deployment must not reach the children
            patch.delenv(name, raising=False)
        prepared = prepare(config, any_port=False)
        assert not isinstance(prepared, int), f"the configuration was not accepted: exit code {prepared}"
        with Supervisor(prepared[0]) as supervisor:
            supervisor.wait_until_ready()
            room = Running(open_context(config), supervisor)
            try:
                yield room
            finally:
                room.close()


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A new database on a PostgreSQL server, as SQLAlchemy URL; dropped on the way out."""
    import psycopg

    name = f"running_{os.getpid()}_{next(_databases)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    base, _, query = server.partition("?")
    yield f"{base.rpartition('/')[0]}/{name}{'?' + query if query else ''}".replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


_databases = itertools.count(1)


@dataclass
class _Shared:
    """One room and how many files hold it: pytest makes a fixture for each that imports it."""

    room: Running
    leave: Callable[[], object]
    users: int = 0


_ROOMS = pytest.StashKey[dict[str, _Shared]]()
_NO_MORE = pytest.StashKey[bool]()
_USERS = pytest.StashKey[set["Path"]]()
_FIXTURES = {"running", "running_sqlite", "running_postgres"}


@contextmanager
def _shared(config: pytest.Config, name: str, opened: Callable[[], Any]) -> Iterator[Running]:
    rooms = config.stash.setdefault(_ROOMS, {})
    if name not in rooms:
        manager = opened()
        rooms[name] = _Shared(manager.__enter__(), lambda: manager.__exit__(None, None, None))
    rooms[name].users += 1
    yield rooms[name].room
    rooms[name].users -= 1
    if config.stash[_NO_MORE]:
        _leave_unused(config)


def leave_rooms(config: pytest.Config, following: pytest.Item | None) -> None:
    """Before a test's teardown: unless a file of users follows, rooms end with their users. One that idles takes a tenth of a processor."""
    config.stash[_NO_MORE] = following is None or following.path not in _files_of_users(following.session)
    if config.stash[_NO_MORE]:
        _leave_unused(config)


def _leave_unused(config: pytest.Config) -> None:
    rooms = config.stash.get(_ROOMS, {})
    for name in [name for name, shared in rooms.items() if not shared.users]:
        rooms.pop(name).leave()


def _files_of_users(session: pytest.Session) -> set[Path]:
    if _USERS not in session.stash:
        items = (item for item in session.items if isinstance(item, pytest.Function))
        session.stash[_USERS] = {item.path for item in items if _FIXTURES.intersection(item.fixturenames)}
    return session.stash[_USERS]


@contextmanager
def _on_postgres(folder: Path, server: str) -> Iterator[Running]:
    with fresh_database(server) as url, running_in(folder, url) as room:
        yield room


@pytest.fixture(scope="module")
def running_sqlite(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The room over an SQLite file, one for all files of its users that follow each other."""
    with _shared(pytestconfig, "sqlite", lambda: running_in(tmp_path_factory.mktemp("running-sqlite"))) as room:
        yield room


@pytest.fixture(scope="module")
def running_postgres(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Running]:
    """The room over a real PostgreSQL, one for all files of its users that follow each other."""
    with _shared(pytestconfig, "postgres", lambda: _on_postgres(tmp_path_factory.mktemp("running-postgres"), postgres_server)) as room:
        yield room


@pytest.fixture(params=["sqlite", "postgres"])
def running(request: pytest.FixtureRequest) -> Running:
    """The room over each database in turn."""
    room: Running = request.getfixturevalue(f"running_{request.param}")
    return room
