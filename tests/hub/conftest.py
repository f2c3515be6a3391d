"""Rooms for tests of the hub: a newsroom whose app answers on a real socket, and a subscriber beside it."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from pipeline.kit.clock import SetClock
from pipeline.ledger import subscription_views
from pipeline.model.run import Nudge, Step
from pipeline.web.__main__ import behind
from pipeline.web.app import make_app
from tasks.drain import drain
from tests.conftest import CONFIG, Newsroom, article
from tests.support.publishing import Publisher
from tests.support.subscriber import Found, Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Row

PATIENCE = 30.0


@dataclass
class HubRoom:
    """A newsroom, its hub's address, and a subscriber on the same machine."""

    newsroom: Newsroom
    reader: Subscriber
    publisher: Publisher
    nudges: list[Nudge]

    @property
    def hub(self) -> str:
        """Where to subscribe."""
        return self.newsroom.context.settings.hub_url

    def topic(self, name: str = "all", extension: str = "atom") -> str:
        """A feed's own address."""
        return f"{self.newsroom.context.settings.sites[0].feeds_base}{name}.{extension}"

    def found(self, name: str = "all", extension: str = "atom") -> Found:
        """A feed as a subscriber finds it."""
        return self.reader.discover(self.topic(name, extension))

    def publish(self, **changes: Any) -> None:
        """An article, published or updated, into every outlet."""
        self.newsroom.send("published", article(**changes))
        self.settle()

    def settle(self) -> None:
        """Run everything that is due, the hub's slow requests included."""
        for _ in range(3):  # a verification may lead to a distribution
            drain(self.newsroom.context, [Nudge(Step.HUB)])
            assert self.newsroom.context.crew.idle(PATIENCE)

    def later(self, seconds: float) -> None:
        """Let time pass, and run what is due then."""
        self.newsroom.clock.move(seconds)
        self.settle()

    def rows(self) -> list[Row[Any]]:
        """Every subscription, the newest first."""
        with self.newsroom.context.ledger.read() as tx:
            return subscription_views.listed(tx, None, None, 1000)


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database's URL; tests that are about rows name more of them."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def make_hub(make_newsroom: Callable[..., Newsroom], database: str) -> Iterator[Callable[..., HubRoom]]:
    """Rooms with `more` in the configuration, `{publisher}` and `{reader}` in it being where these are."""
    ends: list[Callable[[], object]] = []

    def make(
        more: str = "", hubs: Sequence[str] = (), allow: Sequence[str] = ("{reader}", "{publisher}"), proxies: Sequence[str] = ()
    ) -> HubRoom:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        reader, publisher = Subscriber().__enter__(), Publisher().__enter__()
        ends.extend([listener.close, publisher.__exit__, reader.__exit__])
        named = {"{reader}": reader.authority, "{publisher}": publisher.authority}
        text = CONFIG.replace("port = 8499", f"port = {port}\nallow_hosts = {list(allow)}\ntrusted_proxies = {list(proxies)}")
        text = text.replace('tag_date = "2026-01-01"', f'tag_date = "2026-01-01"\nhubs = {list(hubs)}') + more
        for name, value in named.items():
            text = text.replace(name, value)
        newsroom = make_newsroom(text, database)
        nudges: list[Nudge] = []
        app, settings = make_app(newsroom.context, nudges.extend), newsroom.context.settings
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, **behind(settings.server)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        ends.append(lambda: _stop(server, thread))
        return HubRoom(newsroom, reader, publisher, nudges)

    yield make
    for end in reversed(ends):
        end()


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(PATIENCE)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every pause. Pauses are real: of many threads that meet at SQLite's lock, none gives up because a clock was moved."""
    pauses: list[float] = []

    def sleep(_clock: SetClock, seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(SetClock, "sleep", sleep)
    return pauses


@pytest.fixture
def room(make_hub: Callable[..., HubRoom]) -> HubRoom:
    """The usual one, with an article published."""
    made = make_hub()
    made.publish()
    return made


def until(what: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Look again and again until the answer is true."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.01)
