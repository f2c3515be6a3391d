"""Two sites in one deployment: whoever asks for one learns nothing of the other, and no source of one changes anything of the other.

The API's token and the terminal are the deployment's: they may ask for everything, and where they ask for one site they get that one.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from pipeline import validate
from pipeline.cli import VERBS
from pipeline.cli.start import first_token
from pipeline.ledger import tables as t
from pipeline.ledger import views
from pipeline.web.app import ROUTES, make_app
from tests.cli.terminal import pressrun
from tests.conftest import open_newsroom
from tests.guard import databases
from tests.guard.two_sites import CONFIG, KEYS, SITES, a_day, left_alone, secrets, send, signed, speaks_of, story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pipeline.ledger.engine import Tx
    from tests.conftest import Newsroom

OTHER = {"kestrel": "osprey", "osprey": "kestrel"}


@pytest.fixture(params=["sqlite", "postgres"])
def two(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newsroom]:
    """Both after a day, over each database."""
    for name, value in secrets().items():
        monkeypatch.setenv(name, value)
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    room = open_newsroom(tmp_path, url, CONFIG)
    a_day(room)
    yield room
    room.context.close()


@pytest.fixture
def client(two: Newsroom) -> Iterator[TestClient]:
    """A client of the app of both."""
    app = make_app(two.context, lambda _n: None)
    yield TestClient(app, follow_redirects=False)  # entered, the app would begin to compare feeds
    app.state.acceptor.stop()


def documents_of(room: Newsroom, site: str) -> list[Any]:
    """Rows of everything that stands at a site's outlets."""
    with room.context.ledger.read() as tx:
        return tx.all(select(t.documents).where(t.documents.c.outlet.like(f"{site}/%")).order_by(t.documents.c.outlet, t.documents.c.path))


def short_ids(room: Newsroom, cms_id: str) -> dict[str, str]:
    """Site → short id of the article with that CMS id."""
    with room.context.ledger.read() as tx:
        return {r.site: r.short_id for r in tx.all(select(t.articles.c.site, t.articles.c.short_id).where(t.articles.c.cms_id == cms_id))}


def events_of(room: Newsroom, site: str) -> list[str]:
    """The ids of a site's events."""
    with room.context.ledger.read() as tx:
        return [r.event_id for r in tx.all(select(t.events.c.event_id).where(t.events.c.source == f"{site}-cms"))]


def feeds(room: Newsroom, site: str) -> list[str]:
    """Addresses of a site's feeds."""
    return [f"/{row.path}" for row in documents_of(room, site) if "/feed:" in row.outlet]


def pages(room: Newsroom, site: str) -> list[str]:
    """Addresses of all that stands at a site's mirror, with and without the name of the file."""
    made = [f"/mirrors/{site}/one/{row.path}" for row in documents_of(room, site) if "/mirror:" in row.outlet]
    return [*made, *(path.removesuffix("index.html") for path in made)]


def shares(room: Newsroom, site: str) -> list[str]:
    """Addresses of a site's share payloads, by CMS id and by short id; of the other's, too, which must not be there."""
    ids = [x for cms_id in ("a-1", "gone", "later", "only-b") for x in (cms_id, *short_ids(room, cms_id).values())]
    return [f"/{site}/shares/{x}.json" for x in ids]


def api_articles(room: Newsroom, site: str) -> list[str]:
    """The articles of a site, by every id they have."""
    return [f"/api/v1/articles/{x}?site={site}" for cms_id in ("a-1", "gone", "later") for x in (cms_id, short_ids(room, cms_id)[site])]


OF_A_SITE: dict[str, Callable[[Newsroom, str], list[str]]] = {
    "/events/{event_id}": lambda room, site: [f"/events/{event_id}" for event_id in events_of(room, site)],
    "/api/v1/articles/{article:path}": api_articles,
    "/api/v1/deliveries": lambda _room, site: [f"/api/v1/deliveries?outlet={site}/mirror:one"],
    "/mirrors/{site}/{mirror}/{path:path}": pages,
    "/{site}/feeds/{file}": feeds,
    "/{site}/sitemaps/{file}": lambda _room, site: [f"/{site}/sitemaps/{name}.xml" for name in ("index", "sitemap", "news-sitemap")],
    "/{site}/items/{file}": lambda room, site: [f"/{site}/items/{short_ids(room, x)[site]}.ninjs.json" for x in ("a-1", "gone")],
    "/{site}/shares/{article:path}.json": shares,
}
OF_ALL = {
    "/api/v1/articles": "the newest of the deployment, for the token of the deployment",
    "/api/v1/outlets": "every outlet of the deployment, for its token",
    "/api/v1/rejections": "what was refused in the deployment, for its token",
    "/api/v1/subscriptions": "the subscriptions of the deployment, for its token",
    "/metrics": "names of outlets and sources, and numbers; not for the public",
}
OF_NONE = {"/healthz", "/readyz", "/openapi.json", "/docs", "/", "/static/examples/{file}", "/{key}.txt"}


def test_every_address_is_a_sites_or_the_deployments_or_nobodys() -> None:
    """By a person's decision: a new one needs its place here."""
    reading = {route.path for route in ROUTES if route.methods and "GET" in route.methods}
    assert {*OF_A_SITE, *OF_ALL, *OF_NONE} == reading


@pytest.mark.parametrize("site", SITES)
def test_no_address_of_a_site_tells_of_the_other(two: Newsroom, client: TestClient, site: str) -> None:
    """In body, headers or redirect; also of what is withdrawn, under embargo, refused, or left alone."""
    left_alone(two, "kestrel/mirror:one", "osprey/mirror:one")
    send(two, "kestrel", "updated", story("kestrel", "a-1", headline="Anew at kestrel"))
    send(two, "osprey", "updated", story("osprey", "a-1", headline="Anew at osprey"))
    validate.run(two.context, ["kestrel-cms", "osprey-cms"])
    token = {"authorization": f"Bearer {first_token(two.context)}"}
    for route, addresses in OF_A_SITE.items():
        answers = {path: client.get(path, headers=token) for path in addresses(two, site)}
        told = [path for path, answer in answers.items() if answer.status_code in {200, 410}]
        assert len(told) > 0, route
        for path, answer in answers.items():
            said = answer.content + json.dumps(dict(answer.headers)).encode()
            assert answer.status_code != 200 or speaks_of(answer.content, site) or "robots" in path or "/events/" in path, path
            assert not speaks_of(said, OTHER[site]), (path, said)


@pytest.mark.parametrize("route", sorted(OF_NONE))
def test_what_belongs_to_nobody_tells_of_no_site(client: TestClient, route: str) -> None:
    """Neither of the two is named."""
    answer = client.get(route.replace("{file}", "none.jpg"))
    assert not any(speaks_of(answer.content, site) for site in SITES)


def test_a_site_does_not_answer_for_what_the_other_has(two: Newsroom, client: TestClient) -> None:
    """Not by CMS id, short id, path of a page or name of a feed, and not by a redirect either."""
    short = short_ids(two, "only-b")["osprey"]
    theirs = [row.path for row in documents_of(two, "osprey") if "/mirror:" in row.outlet and short in row.path]
    assert client.get(f"/mirrors/osprey/one/{theirs[0]}").status_code == 200
    assert client.get(f"/osprey/shares/{short}.json").status_code == 200
    asked = [
        f"/kestrel/shares/{short}.json",
        "/kestrel/shares/only-b.json",
        f"/mirrors/kestrel/one/x-{short}/",
        *(f"/mirrors/kestrel/one/{p}" for p in theirs),
    ]
    asked += [
        "/kestrel/feeds/%2e%2e%2f%2e%2e%2fosprey%2ffeeds%2fall.rss",
        f"/mirrors/kestrel/one/%2e%2e%2f%2e%2e%2fosprey%2fone%2f{theirs[0]}",
    ]
    for path in asked:
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert not speaks_of(answer.text, "as osprey has it"), path


def test_what_waits_for_its_time_is_at_no_address(two: Newsroom, client: TestClient) -> None:
    """Of neither site, and not as a hint."""
    for site in SITES:
        for path in [*feeds(two, site), *pages(two, site), *shares(two, site)]:
            answer = client.get(path)
            assert "later as" not in answer.text
            assert answer.status_code == 404 or "later" not in path


ASKED: dict[str, Callable[[Tx, str], object]] = {
    "find_articles": lambda tx, site: [s.to_json() for s in views.status(tx, views.find_articles(tx, "a-1", site))],
    "newest_articles": lambda tx, site: [s.to_json() for s in views.status(tx, views.newest_articles(tx, site=site))],
    "status": lambda tx, site: [s.to_json() for x in ("gone", "later") for s in views.status(tx, views.find_articles(tx, x, site))],
    "waiting": lambda tx, site: [w.to_json() for w in views.waiting(tx, site=site)],
    "attempts": lambda tx, site: views.attempts(tx, views.find_articles(tx, "a-1", site)[0]),
    "deliveries": lambda tx, site: views.deliveries(tx, f"{site}/mirror:one", None),
    "named": lambda tx, site: [str(n) for n in views.named(tx, site, "a-1", "network")] and views.find_articles(tx, "a-1", site),
    "shares": lambda tx, site: [
        (r.outlet, r.body.decode()) for n in views.named(tx, site, "a-1", "network") for r in views.shares(tx, site, n.short_id)
    ],
}
ASKED_OF_ALL = {
    "left_alone": "outlet → why, for whoever has the keys to choose by",
    "completeness": "outlet → state → number, for whoever has the keys to choose by",
    "event": "one event, by an id that names its source",
    "rejections": "the deployment's, for its token",
    "outlet_keys": "every key of the deployment",
    "outlets": "every outlet of the deployment",
    "subscriptions": "every topic's, for whoever has the keys to choose by",
}


def test_every_question_to_the_ledger_is_a_sites_or_the_deployments() -> None:
    """A new view needs its place here."""
    public = {
        name
        for name, what in inspect.getmembers(views, inspect.isfunction)
        if what.__module__ == views.__name__ and not name.startswith("_")
    }
    assert {*ASKED, *ASKED_OF_ALL} == public


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", ASKED)
def test_no_question_about_a_site_is_answered_with_the_other(two: Newsroom, name: str, site: str) -> None:
    """By ids, slugs and names that both have."""
    left_alone(two, "kestrel/mirror:one", "osprey/mirror:one")
    for one in SITES:
        send(two, one, "updated", story(one, "a-1", headline=f"Anew at {one}"))
    validate.run(two.context, ["kestrel-cms", "osprey-cms"])
    with two.context.ledger.write() as tx:
        for article in tx.all(select(t.articles.c.id, t.articles.c.site)):
            values = {"article_id": article.id, "outlet": f"{article.site}/mirror:one", "at": tx.now, "milliseconds": 1}
            tx.run(t.attempts.insert(), {**values, "outcome": "failed", "answer": f"said {article.site}"})
    with two.context.ledger.read() as tx:
        answer = ASKED[name](tx, site)
    assert answer
    assert not speaks_of(answer, OTHER[site])


def rows_of(room: Newsroom, site: str) -> Mapping[str, object]:
    """Everything the ledger has of a site, and every file of it."""
    found = databases.rows(room.context.ledger)
    data = room.context.settings.data
    files = {
        str(p): p.read_bytes()
        for folder in (data / "origin" / site, data / "mirrors" / site)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    ours = {name: [row for row in listed if site in repr(row) and OTHER[site] not in repr(row)] for name, listed in found.items()}
    return {**ours, "files": files}


INTRUSIONS: dict[str, Callable[[Newsroom], object]] = {
    "publishes the same ids": lambda room: [
        send(room, "kestrel", "published", story("kestrel", x)) for x in ("a-1", "gone", "later", "only-b")
    ],
    "corrects them": lambda room: [send(room, "kestrel", "corrected", story("kestrel", x, summary="Other.")) for x in ("a-1", "only-b")],
    "withdraws them": lambda room: [send(room, "kestrel", "withdrawn", {"id": x}) for x in ("a-1", "gone", "later", "only-b", "nobody")],
    "names the other's short id": lambda room: send(room, "kestrel", "withdrawn", {"id": short_ids(room, "only-b")["osprey"]}),
    "names the other's identity": lambda room: send(room, "kestrel", "withdrawn", {"id": "tag:example.org,2026-01-01:cms/only-b"}),
    "names the other's outlet": lambda room: send(room, "kestrel", "withdrawn", {"id": "osprey/feed:all"}),
    "says it is of the other site": lambda room: send(room, "kestrel", "published", story("kestrel", "a-1") | {"site": "second"}),
    "uses the other's webhook ids": lambda room: send(room, "kestrel", "withdrawn", {"id": "only-b"}, "msg_osprey_1"),
}


@pytest.mark.parametrize("intrusion", INTRUSIONS)
def test_no_source_changes_anything_of_the_other_site(two: Newsroom, intrusion: str) -> None:
    """Not a row, not a byte, whatever its events name; time goes on, and upkeep with it."""
    two.drain()
    before = rows_of(two, "osprey")
    INTRUSIONS[intrusion](two)
    two.drain()
    two.clock.move(1)
    two.drain()
    after = rows_of(two, "osprey")
    assert before["articles"]
    assert before["files"]
    for name in before:
        if name not in {"leases", "events", "bodies"}:  # an event says what it says
            assert after[name] == before[name], name


def test_a_source_speaks_for_itself_only(two: Newsroom, client: TestClient) -> None:
    """Its secret opens no other's address, and a url of the other's host is refused."""
    body = two.body("withdrawn", {"id": "only-b"})
    headers = {"content-type": "application/json", **signed(two, "osprey", body, "msg_x", KEYS["kestrel"])}
    before = databases.rows(two.context.ledger)
    assert client.post("/webhooks/osprey-cms", content=body, headers=headers).status_code == 401
    assert databases.rows(two.context.ledger) == before
    refused = send(two, "kestrel", "published", story("kestrel", "a-9", url="https://www.osprey.example/news/a-9.html"))
    two.drain()
    assert two.seen(refused)["status"] == "rejected"


WITH_A_SITE: dict[str, list[tuple[str, ...]]] = {
    "status": [
        ("status", "--site", "kestrel"),
        ("status", "--site", "kestrel", "--json"),
        ("status", "a-1", "--site", "kestrel", "--json"),
    ],
    "verify": [("verify", "kestrel/mirror:one", "--json"), ("verify", "kestrel/feed:all")],
    "explain": [("explain", "FILE", "--source", "kestrel-cms")],
    "validate": [("validate", "FILE", "--source", "kestrel-cms")],
    "preview": [("preview", "FILE", "--source", "kestrel-cms", "--out", "OUT")],
    "withdraw": [("withdraw", "only-b", "--source", "kestrel-cms")],
}
WITHOUT = {"up", "demo", "drain", "config", "db", "doctor", "test", "bench", "faults", "publish", "lint"}
"""These are the deployment's. `publish --source` waits for its own site's articles: see the test below."""


def test_every_verb_is_a_sites_or_the_deployments() -> None:
    """A new one needs its place here."""
    assert {*WITH_A_SITE, *WITHOUT} == set(VERBS)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Both sites after a day, in a folder that verbs are run in; answers what a verb said."""
    from pipeline.ledger.upgrade import upgrade

    for name, value in secrets().items():
        monkeypatch.setenv(name, value)
    upgrade(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}")
    room = open_newsroom(tmp_path, f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}", CONFIG)
    a_day(room)
    left_alone(room, "kestrel/mirror:one", "osprey/mirror:one")
    for site in SITES:
        send(room, site, "updated", story(site, "a-1", headline=f"Anew at {site}"))
    validate.run(room.context, ["kestrel-cms", "osprey-cms"])
    send(room, "osprey", "updated", story("osprey", "only-b"))
    room.context.close()
    (tmp_path / "article.json").write_text(json.dumps(story("kestrel", "a-7")))

    def run(*arguments: str) -> str:
        places = {"FILE": str(tmp_path / "article.json"), "OUT": str(tmp_path / "out")}
        done = pressrun(tmp_path, *(places.get(word, word) for word in arguments), seconds=90, **secrets())
        made = [p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()] if "OUT" in arguments else []
        return "\n".join([done.stdout, done.stderr, *made])

    return run


def test_no_verb_that_is_asked_for_a_site_tells_of_the_other(terminal: Callable[..., str]) -> None:
    """Neither its articles, nor what is open, unread, waiting or left alone there."""
    said = {arguments: terminal(*arguments) for listed in WITH_A_SITE.values() for arguments in listed}
    assert {arguments for arguments, text in said.items() if speaks_of(text, "osprey")} == set()
    assert all(text.strip() for text in said.values())
    assert "later" in said["status", "--site", "kestrel"]
    assert "events wait" not in said["status", "--site", "kestrel"]
    assert "No article “only-b” of the site “kestrel”" in said["withdraw", "only-b", "--source", "kestrel-cms"]
    both = terminal("status")
    assert "1 events wait" in both
    assert speaks_of(both, "osprey")
    assert "there is no site “gamma”; there is kestrel, osprey" in terminal("status", "--site", "gamma")


def test_who_waits_for_what_was_sent_waits_for_the_senders_site(two: Newsroom) -> None:
    """The other site's article of the same id is none of it."""
    from pipeline.cli import sending

    sent = [sending.Sent(events_of(two, "kestrel")[0], "a-1", "a.json", "kestrel")]
    waited = sending.wait(two.context, sent, 0)
    assert [a.site for a in waited.articles] == ["kestrel"]
