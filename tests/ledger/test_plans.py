"""What a publish, a turn of upkeep and a question cost does not depend on the archive: no statement walks it, at 100,000 articles.

Every statement of every path is looked at while the product runs it, on an SQLite file and on a real PostgreSQL.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from pipeline import context as contexts
from pipeline import feeds, mirrors, recovery, social, upkeep, validate
from pipeline.cli.start import first_token
from pipeline.ledger import deliveries, documents, duties, events, outlets, revisions, views
from pipeline.ledger import tables as t
from pipeline.web.app import ROUTES, make_app
from tests.conftest import open_newsroom
from tests.ledger.archive import GROWING, PATTERNS, stock, story
from tests.ledger.explaining import Explainer
from tests.support.running import fresh_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Newsroom
    from tests.ledger.explaining import Plan

SIZE = int(os.environ.get("PRESSRUN_PLANS_ARTICLES", "100000"))
OUTLETS = {
    "feeds": ["demo/feed:all", "demo/feed:world"],
    "mirrors": ["demo/mirror:one"],
    "social": ["demo/network:email", "demo/network:x"],
}
RUNS = {"feeds": feeds.run, "mirrors": mirrors.run, "social": social.run}
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("plans")]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def plans(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Plan]]:
    """Every statement of every path, over each database in turn."""
    folder = tmp_path_factory.mktemp("plans")
    if request.param == "sqlite":
        yield everything(open_newsroom(folder, f"sqlite:///{folder / 'ledger.sqlite'}"))
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield everything(open_newsroom(folder, url))


def everything(room: Newsroom) -> list[Plan]:
    """What a newsroom with a long past does, once."""
    stock(room, SIZE)
    with Explainer() as explainer:
        life(room, explainer)
        time_alone(room, explainer)
        questions(room, explainer)
        web(room, explainer)
    room.context.close()
    return list(explainer.plans.values())


def life(room: Newsroom, explainer: Explainer) -> None:
    """A new article, one corrected out of the archive, one withdrawn out of it, one that nobody knew; then the outlets."""
    old = f"o-{PATTERNS // 2}-{SIZE // PATTERNS // 2}"
    with explainer.path("accept"):
        for number in range(3):
            room.send("published", story(PATTERNS + number))
        room.send("corrected", story(0, id=old, summary="Put right after years."))
        room.send("withdrawn", {"id": f"o-3-{SIZE // PATTERNS // 3}"})
        room.send("withdrawn", {"id": "nobody-knew"})
        room.send("published", story(1, id="later", published_at="2030-01-01T00:00:00Z"))
        room.send("published", {"id": "bad"})
    again = room.event(room.body("published", story(PATTERNS)), "msg_twice")
    for name in ("accept", "accept again"):
        with explainer.path(name), room.context.ledger.write(durable=True) as tx:
            events.add(tx, [again])
    with explainer.path("validate"):
        validate.run(room.context, ["newsroom"])
    for kind, run in RUNS.items():
        with explainer.path(kind):
            run(room.context, OUTLETS[kind])


def time_alone(room: Newsroom, explainer: Explainer) -> None:
    """Upkeep with everything it may find: an embargo over, dead leases, forgotten events, twins to make, a machine started."""
    room.clock.move(5)
    with explainer.path("upkeep"):
        upkeep.run(room.context)
    with room.context.ledger.write() as tx:
        gone = f"here:999999:1:{contexts.kernel()}:1"
        tx.run(
            t.outlets.update()
            .where(t.outlets.c.key == "demo/mirror:one")
            .values(lease_owner=gone, lease_until=tx.now + timedelta(seconds=4))
        )
    room.send("published", story(PATTERNS + 5))
    with explainer.path("upkeep, with the dead"):
        upkeep.run(room.context)
    room.clock.move(4 * 365 * 86_400)
    for _ in range(3):
        with explainer.path("upkeep, years later"):
            upkeep.run(room.context)
        validate.run(room.context, ["newsroom"])
        for kind, run in RUNS.items():  # once, not to their end: what is due of so many years takes a long time to make
            run(room.context, OUTLETS[kind])
        room.clock.move(10)
    with explainer.path("start"):
        contexts.register(room.context)
        recovery.check_feeds(room.context)
        recovery.check_in(room.context, "another kernel")
        recovery.compare(room.context, room.context.clock.monotonic() + 1)
    with explainer.path("verify"), room.context.ledger.read() as tx:
        documents.everything(tx, "demo/mirror:one", "5")
    with explainer.path("an outage"), room.context.ledger.write() as tx:
        deliveries.hasten(tx, "demo/mirror:one")
        outlets.to_nudge(tx, sorted(key for keys in OUTLETS.values() for key in keys))
        events.sources_with_work(tx)


def questions(room: Newsroom, explainer: Explainer) -> None:
    """What people ask at a terminal, with an outlet that is left alone."""
    with room.context.ledger.write() as tx:
        later = tx.now + timedelta(seconds=60)
        tx.run(t.outlets.update().where(t.outlets.c.key == "demo/mirror:one").values(circuit_failures=5, circuit_until=later))
    with room.context.ledger.read() as tx:
        event, identity = tx.value(select(t.events.c.event_id).limit(1)), tx.value(select(t.articles.c.identity).limit(1))
        asked: dict[str, Callable[[], object]] = {
            "find by id": lambda: views.find_articles(tx, "o-7-3"),
            "find by identity": lambda: views.find_articles(tx, identity, "demo"),
            "newest": lambda: views.newest_articles(tx),
            "newest before": lambda: views.newest_articles(tx, 20, SIZE // 2),
            "status": lambda: views.status(tx, views.newest_articles(tx, 50)),
            "left alone": lambda: views.left_alone(tx),
            "waiting": lambda: views.waiting(tx),
            "completeness": lambda: views.completeness(tx),
            "event": lambda: views.event(tx, event),
            "rejections": lambda: views.rejections(tx),
            "outlets": lambda: views.outlets(tx),
            "outlet keys": lambda: views.outlet_keys(tx),
            "attempts": lambda: views.attempts(tx, 5),
            "attempts of an outlet": lambda: views.attempts(tx, 5, "demo/mirror:one"),
            "deliveries": lambda: views.deliveries(tx, None, None),
            "deliveries of an outlet": lambda: views.deliveries(tx, "demo/mirror:one", "failed"),
            "named": lambda: views.named(tx, "demo", "o-7-3", "network"),
            "shares": lambda: views.shares(tx, "demo", "aaaaaaaaaa"),
            "unsettled": lambda: deliveries.unsettled_counts(tx),
            "unread": lambda: events.waiting_counts(tx),
            "seen": lambda: duties.comparing(tx),
            "addresses to tell": lambda: revisions.shown_since(tx, "demo/mirror:one", range(SIZE // 2, SIZE // 2 + 200)),
        }
        for name, ask in asked.items():
            with explainer.path(f"asked: {name}"):
                ask()


def web(room: Newsroom, explainer: Explainer) -> None:
    """Every address that answers GET: a new one needs its line here."""
    token = {"authorization": f"Bearer {first_token(room.context)}"}
    with room.context.ledger.read() as tx:
        event = tx.value(select(t.events.c.event_id).order_by(t.events.c.id.desc()).limit(1))
        row = tx.first(
            select(t.documents.c.path)
            .where(t.documents.c.outlet == "demo/mirror:one", t.documents.c.article_id.is_not(None))
            .order_by(t.documents.c.path.desc())
            .limit(1)
        )
    page = row.path.removesuffix("index.html")
    asked = {
        "/events/{event_id}": f"/events/{event}",
        "/api/v1/articles": "/api/v1/articles?limit=200",
        "/api/v1/articles/{article:path}": "/api/v1/articles/o-7-3",
        "/api/v1/outlets": "",
        "/api/v1/deliveries": "/api/v1/deliveries?state=failed",
        "/api/v1/rejections": "",
        "/api/v1/subscriptions": "",
        "/healthz": "",
        "/readyz": "",
        "/metrics": "",
        "/openapi.json": "",
        "/docs": "",
        "/": "",
        "/static/examples/{file}": "/static/examples/none.jpg",
        "/mirrors/{site}/{mirror}/{path:path}": f"/mirrors/demo/one/{page}",
        "/{site}/feeds/{file}": "/demo/feeds/all.rss",
        "/{site}/sitemaps/{file}": "/demo/sitemaps/none.xml",
        "/{site}/items/{file}": "/demo/items/none.ninjs.json",
        "/{site}/shares/{article:path}.json": "/demo/shares/o-7.json",
        "/{key}.txt": "/none.txt",
    }
    assert set(asked) == {route.path for route in ROUTES if route.methods and "GET" in route.methods}
    with TestClient(make_app(room.context, lambda _n: None), follow_redirects=False) as client:
        for route, path in asked.items():
            with explainer.path(f"GET {route}"):
                client.get(path or route, headers=token)
        with explainer.path("GET a feed again"):  # on SQLite it asks nothing, unless something was committed just then
            tag = client.get("/demo/feeds/all.rss").headers["etag"]
            assert client.get("/demo/feeds/all.rss", headers={"if-none-match": tag}).status_code == 304
        with explainer.path("GET a page by another name"):
            short = page.rstrip("/").rpartition("-")[2]
            client.get(f"/mirrors/demo/one/other-{short}/")


MOST = {"sqlite": 60_000, "postgresql": 5_000}
"""Steps of SQLite's virtual machine, rows met by PostgreSQL, in one statement: the longest list that may be asked for takes 42,000 and
2,000, going through all articles 700,000 and 100,000."""

WALKS = {
    "SELECT articles.id FROM articles ORDER BY articles.id DESC LIMIT": "newest first by row id, which ends at its limit",
}
"""How statements begin that SQLite calls a scan and that have a good reason to be one."""


def test_no_statement_walks_a_table_that_grows(plans: list[Plan]) -> None:
    """Neither with an index nor without: by what the database says it will do."""
    walking = [plan for plan in plans if plan.scans and not any(" ".join(plan.statement.split()).startswith(known) for known in WALKS)]
    assert not walking, "\n".join(map(str, walking))


def test_no_statement_looks_at_more_than_it_answers_for(plans: list[Plan]) -> None:
    """By what it did look at: windows, batches and what is open, never the archive."""
    dialect = "sqlite" if any(" ? " in plan.statement for plan in plans) else "postgresql"
    long = sorted((plan for plan in plans if plan.work > MOST[dialect]), key=lambda plan: -plan.work)
    assert not long, "\n".join(map(str, long))


def test_every_path_was_explained(plans: list[Plan]) -> None:
    """And the table that every walk would be noticed in is as long as it should be."""
    explained = {plan.where for plan in plans}
    assert {"accept", "accept again", "validate", "feeds", "mirrors", "social", "upkeep", "start", "GET /{site}/feeds/{file}"} <= explained
    assert {f"asked: {name}" for name in ("status", "find by id", "left alone", "deliveries")} <= explained
    touched = {name for name in GROWING for plan in plans if f"FROM {name}" in plan.statement or f"INTO {name}" in plan.statement}
    assert touched >= GROWING - {"audit"}
