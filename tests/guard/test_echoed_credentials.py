"""A mirror that repeats the credentials it was sent: what it answers is kept and shown to people, and they are not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from pipeline.backends import open_backend
from pipeline.cli.start import first_token
from pipeline.kit.http import Http
from pipeline.ledger import tables, views
from pipeline.model.errors import Permanent, Transient
from pipeline.web.app import make_app
from tests.conftest import CONFIG, article
from tests.guard import canaries
from tests.guard.databases import everything
from tests.guard.echo_server import EchoServer, echoes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Newsroom

CREDENTIALS = {"bearer": canaries.BEARER, "basic": canaries.BASIC, "bare": canaries.BEARER.partition(" ")[2]}


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("status", [302, 400, 401, 403, 429, 500, 503])
def test_what_a_mirror_repeats_is_taken_out_of_what_it_said(kind: str, status: int) -> None:
    """In every spelling, and where the excerpt that is kept ends in the middle of it; the rest of its words stay."""
    token = CREDENTIALS[kind]
    with EchoServer(status, "X-Press-Token") as server:
        backend = open_backend("http", root_or_url=server.url, http=Http([server.authority]), token=token, token_header="X-Press-Token")
        for _ in echoes(token):
            with pytest.raises((Permanent, Transient)) as caught:
                backend.put("page.html", b"x", "text/html", 1)
            said = str(caught.value)
            assert not canaries.given_away(said.encode()), said
            assert said.startswith(f"PUT page.html: {status} ")
            assert "no valid token:" in said or "....." in said
        assert set(server.heard) == {token}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_nothing_that_a_mirror_repeats_comes_to_the_ledger_or_out_of_it(
    make_newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    """Rounds of failures of every sort: in attempts, reasons, logs, the API, an event's status and metrics."""
    monkeypatch.setenv("CANARY_MIRROR", CREDENTIALS[kind])
    with EchoServer(401) as denying, EchoServer(500) as failing, EchoServer(307) as moving:
        servers = {"denying": denying, "failing": failing, "moving": moving}
        text = CONFIG.replace("port = 8499", f"port = 8499\nallow_hosts = {[s.authority for s in servers.values()]}")
        for name, server in servers.items():
            text += f'[sites.demo.mirrors.{name}]\nbackend = "http"\ntarget = "{server.url}"\nbase_url = "{server.url}"\n'
            text += 'token = "env:CANARY_MIRROR"\n'
        room = make_newsroom(text)
        event = room.send("published", article())
        for _ in range(12):
            room.send("updated", article(id="a-2", headline=f"At {room.clock.now()}"))
            room.drain()
            room.clock.move(120)
        token = {"authorization": f"Bearer {first_token(room.context)}"}
        with TestClient(make_app(room.context, lambda _n: None)) as client:
            places = ["/api/v1/articles", "/api/v1/articles/a-1", "/api/v1/outlets", "/api/v1/deliveries", f"/events/{event}", "/metrics"]
            answers = {path: client.get(path, headers=token).content for path in places}
    with room.context.ledger.read() as tx:
        kept = tx.all(select(tables.attempts))
        answers["status"] = canaries.as_bytes([s.to_json() for s in views.status(tx, views.newest_articles(tx))])
    assert {row.outlet for row in kept} == {"demo/mirror:denying", "demo/mirror:failing", "demo/mirror:moving"}
    assert all(CREDENTIALS[kind] in server.heard for server in servers.values())
    assert b"no valid token: ***" in answers["/api/v1/articles/a-1"]
    out, err = capfd.readouterr()
    assert canaries.found_in({**answers, **everything(room.context.ledger), "out": out.encode(), "err": err.encode()}) == {}
