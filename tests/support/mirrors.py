"""A mirror at another domain, a real server that can be told to misbehave, and what the ledger says of it.

Where tests count in seconds, every limit is cut to a tenth (`tenths`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

import pipeline.backends.http as http_backend
from pipeline import leasing, mirrors, validate
from pipeline.ledger import outlets, tables
from tests.conftest import CONFIG, Newsroom, article, open_newsroom
from tests.support.put_server import PutServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.context import Context

KEY = "demo/mirror:one"
TOKEN = "Bearer t"
TENTH = 0.1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PutServer]:
    """Another domain's web server."""
    with PutServer(tmp_path / "remote", TOKEN) as made:
        yield made


def remote_config(server: PutServer) -> str:
    """The usual newsroom, its mirror at that server."""
    mirror = f'[sites.demo.mirrors.one]\nbackend = "http"\ntarget = "{server.url}"\nbase_url = "{server.url}"\ntoken = "env:PUT_TOKEN"\n'
    return CONFIG.replace("[sites.demo.mirrors.one]\n", mirror).replace("port = 8499", f'port = 8499\nallow_hosts = ["{server.authority}"]')


@pytest.fixture
def remote(server: PutServer, make_newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    """A newsroom whose mirror is put over HTTP."""
    monkeypatch.setenv("PUT_TOKEN", TOKEN)
    return make_newsroom(remote_config(server))


@pytest.fixture(params=["sqlite", "postgres"])
def remote_over_each(
    request: pytest.FixtureRequest, server: PutServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Newsroom]:
    """The same over each database."""
    monkeypatch.setenv("PUT_TOKEN", TOKEN)
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = open_newsroom(tmp_path, url, remote_config(server))
    yield made
    made.context.close()


def has_work(context: Context, key: str) -> bool:
    """Whether anything is due at an outlet now."""
    with context.ledger.read() as tx:
        return outlets.has_work(tx, key)


@pytest.fixture
def tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit of a run is a tenth of itself; nothing is asked for in seconds that a slow machine must keep."""
    monkeypatch.setattr(mirrors, "LIMIT", mirrors.LIMIT * TENTH)
    monkeypatch.setattr(mirrors, "REQUEST", mirrors.REQUEST * TENTH)
    monkeypatch.setattr(http_backend, "_SECONDS", http_backend._SECONDS * TENTH)
    monkeypatch.setattr(leasing, "TAKES_WORK", leasing.TAKES_WORK * TENTH)


def story(name: str, **changes: Any) -> dict[str, Any]:
    """An article with an address of its own."""
    return article(id=name, **{"url": f"https://www.example.org/news/{name}.html", "headline": f"About {name}", **changes})


def validated(room: Newsroom) -> None:
    """Events have become revisions with their plans."""
    validate.run(room.context, ["newsroom"])


def outlet(context: Context) -> Any:
    """The mirror's row."""
    with context.ledger.read() as tx:
        return tx.first(select(tables.outlets).where(tables.outlets.c.key == KEY))


def rows(context: Context) -> dict[int, Any]:
    """Article → row of its delivery to the mirror."""
    with context.ledger.read() as tx:
        found = tx.all(select(tables.deliveries).where(tables.deliveries.c.outlet == KEY))
    return {row.article_id: row for row in found}


def pages_with(server: PutServer, words: str) -> list[str]:
    """Pages at the other domain with these words."""
    return sorted(str(path.relative_to(server.root)) for path in server.root.rglob("*.html") if words in path.read_text())


def settle_for(room: Newsroom, seconds: float = 60, times: int = 4) -> None:
    """Work, and let time pass, several times."""
    for _ in range(times):
        room.drain()
        room.clock.move(seconds)
    room.drain()


def one_by_one(room: Newsroom, failures: int = 5) -> None:
    """The mirror is put one document after the other, and its circuit takes so many failures."""
    settings = room.context.settings
    site = settings.sites[0]
    site = replace(site, mirrors=tuple(replace(mirror, parallel=1) for mirror in site.mirrors))
    room.context.settings = replace(settings, sites=(site,), limits=replace(settings.limits, circuit_failures=failures))
