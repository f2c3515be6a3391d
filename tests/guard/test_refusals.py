"""Who may change anything: every address that takes more than a question refuses the anonymous and the forged; then nothing has changed.

Nothing is read out of a cookie anywhere, so no page of another site can act for somebody who is logged in; the day
something is, its address is in this file's tables or a test fails.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from pipeline.cli.start import first_token
from pipeline.kit import signatures
from pipeline.ledger import Ledger
from pipeline.ledger import tables as t
from pipeline.model.run import Nudge, Step
from pipeline.web.app import ROUTES, make_app
from tasks.drain import drain
from tests.conftest import article, open_newsroom
from tests.guard import databases
from tests.support.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Newsroom
    from tests.support.subscriber import Subscription

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
ELSEWHERE = {"origin": "https://evil.example", "referer": "https://evil.example/page", "sec-fetch-site": "cross-site"}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain")


@pytest.fixture(params=["sqlite", "postgres"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Newsroom]:
    """A newsroom with a published and a withdrawn article, over each database."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = open_newsroom(tmp_path, url)
    made.send("published", article())
    made.send("published", article(id="gone"))
    made.send("published", {"id": "bad"})
    made.drain()
    made.send("withdrawn", {"id": "gone"})
    made.drain()
    yield made
    made.context.close()


@pytest.fixture
def client(room: Newsroom) -> Iterator[TestClient]:
    """A client of its app; the app is not entered, for then it would compare feeds, which is a change of its own."""
    app = make_app(room.context, lambda _n: None)
    app.state.checked.set()
    yield TestClient(app, follow_redirects=False)
    app.state.acceptor.stop()


@dataclass(frozen=True, slots=True)
class Asking:
    """A request to a mutating address: what follows it, its headers and body."""

    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def _webhook(room: Newsroom, *, key: bytes | None = None, off: int = 0, webhook_id: str = "msg_forged") -> tuple[bytes, dict[str, str]]:
    """A webhook that would withdraw the article, and its headers."""
    body = room.body("withdrawn", {"id": "a-1"})
    stamp = int((room.clock.now() + timedelta(seconds=off)).timestamp())
    signature = signatures.sign(key or room.context.settings.sources[0].secrets[0], webhook_id, stamp, body)
    return body, {"webhook-id": webhook_id, "webhook-timestamp": str(stamp), "webhook-signature": signature}


def _forged_webhooks(room: Newsroom, token: str) -> Mapping[str, Asking]:
    """Everything but a good signature of a secret that this source has now."""
    body, good = _webhook(room)
    json_type = {"content-type": "application/json"}

    def asking(headers: Mapping[str, str], query: str = "", content: bytes = body) -> Asking:
        return Asking(query, tuple({**json_type, **headers}.items()), content)

    unsigned = {name: value for name, value in good.items() if name != "webhook-signature"}
    return {
        "nothing": asking({}),
        "no signature": asking(unsigned),
        "an empty signature": asking({**good, "webhook-signature": ""}),
        "another secret": asking(_webhook(room, key=b"a secret of somebody else, long")[1]),
        "a signature of other bytes": asking(good, content=body + b" "),
        "a signature for another id": asking({**good, "webhook-id": "msg_other"}),
        "too old": asking(_webhook(room, off=-301)[1]),
        "too new": asking(_webhook(room, off=301)[1]),
        "another version": asking({**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}),
        "the signature in the query": asking(unsigned, "?webhook-signature=" + good["webhook-signature"]),
        "the signature in a cookie": asking({**unsigned, "cookie": "webhook-signature=" + good["webhook-signature"]}),
        "the signature as a token": asking({**unsigned, "authorization": "Bearer " + good["webhook-signature"]}),
        "the console's token": asking({**unsigned, "authorization": f"Bearer {token}"}),
        "the console's token in the query": asking(unsigned, f"?token={token}"),
        "the console's token in a cookie": asking({**unsigned, "cookie": f"token={token}; session={token}"}),
        **{f"a form of another site: {form}": asking({**unsigned, **ELSEWHERE, "content-type": form}) for form in FORMS},
    }


def _accepted_webhook(room: Newsroom, client: TestClient) -> dict[str, Any]:
    """A good one: who (source), what (type and body), of what (article) and when, as the ledger keeps it."""
    body, headers = _webhook(room, webhook_id="msg_good")
    answer = client.post("/webhooks/newsroom", content=body, headers={"content-type": "application/json", **headers})
    assert answer.status_code == 202
    room.drain()
    with room.context.ledger.read() as tx:
        row = tx.first(select(t.events).where(t.events.c.event_id == answer.json()["event_id"]))
        target = tx.value(select(t.articles.c.cms_id).where(t.articles.c.id == row.article_id))
        kept = tx.value(select(t.bodies.c.body).where(t.bodies.c.event == row.id))
    assert kept == body
    assert row.headers["webhook-id"] == "msg_good"
    return {"who": row.source, "what": row.type, "target": target, "when": row.received_at}


PRIVATE = (
    "127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "10.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.0.1", "0",
    "localhost", "localhost.", "printer", "db.internal", "x.local",
    "[::1]", "[::ffff:7f00:1]", "[fd00::1]", "[64:ff9b::7f00:1]", "[::127.0.0.1]",
)  # fmt: skip
CALLBACK = "https://reader.example.org/told?x=1"


def _asked_of_the_hub(room: Newsroom, **changes: str) -> list[tuple[str, str]]:
    """The fields of a good subscription, some of them changed; "" leaves one out."""
    topic = f"{room.context.settings.sites[0].feeds_base}all.atom"
    fields = {
        "hub.mode": "subscribe",
        "hub.topic": topic,
        "hub.callback": CALLBACK,
        **{k.replace("_", ".", 1): v for k, v in changes.items()},
    }
    return [(name, value) for name, value in fields.items() if value]


def _refused_by_the_hub(room: Newsroom, token: str) -> Mapping[str, Asking]:
    """Everything that is no subscription to one of our feeds by somebody on the public internet."""

    def asking(*, form: str = FORMS[0], more: tuple[tuple[str, str], ...] = (), raw: bytes | None = None, **changes: str) -> Asking:
        body = urlencode([*_asked_of_the_hub(room, **changes), *more]).encode() if raw is None else raw
        return Asking("", (("content-type", form),), body)

    return {
        "nothing": asking(raw=b""),
        "no form": asking(raw=b"\xff\xfe\x00"),
        "many fields": asking(raw=b"a=b&" * 200),
        "no mode": asking(hub_mode=""),
        "another mode": asking(hub_mode="denied"),
        "no topic": asking(hub_topic=""),
        "no callback": asking(hub_callback=""),
        "a callback given twice": asking(more=(("hub.callback", "https://other.example/"),)),
        "a topic of somebody else": asking(hub_topic="https://news.example/feed.atom"),
        "a page of ours that is no feed": asking(hub_topic=room.context.settings.server.public_url),
        "a feed that does not exist": asking(hub_topic=f"{room.context.settings.sites[0].feeds_base}none.atom"),
        "a topic with a query": asking(hub_topic=f"{room.context.settings.sites[0].feeds_base}all.atom?x"),
        "a lease of -1": asking(hub_lease_seconds="-1"),
        "a lease of 0": asking(hub_lease_seconds="0"),
        "a lease that is no number": asking(hub_lease_seconds="1e9"),
        "a lease in other digits": asking(hub_lease_seconds="\u0661\u0662\u0663\u0664"),
        "a secret of 200 bytes": asking(hub_secret="x" * 200),
        "a secret of 300 bytes": asking(hub_secret="\u20ac" * 100),
        "a fragment": asking(hub_callback="https://reader.example.org/#told"),
        "an empty fragment": asking(hub_callback="https://reader.example.org/#"),
        "a user name": asking(hub_callback="https://u:p@reader.example.org/"),
        "a user name that looks like a host": asking(hub_callback="https://reader.example.org@127.0.0.1/"),
        "line ends": asking(hub_callback="https://reader.example.org/\r\nx: 1"),
        "a line end in the topic": asking(hub_topic="https://reader.example.org/\n"),
        "a tab in the host": asking(hub_callback="https://reader\t.example.org/"),
        "a NUL": asking(hub_callback="https://reader.example.org/\0"),
        "a blank": asking(hub_callback="https://reader.example.org/a b"),
        "letters beyond ASCII": asking(hub_callback="https://r\u00e9ader.example.org/"),
        "digits that look like an address": asking(hub_callback="http://\uff11\uff12\uff17.1/"),
        "a long callback": asking(hub_callback="https://reader.example.org/" + "x" * 2000),
        "another scheme": asking(hub_callback="ftp://reader.example.org/"),
        "a file": asking(hub_callback="file:///etc/passwd"),
        "no host": asking(hub_callback="https:///x"),
        "another port": asking(hub_callback="https://reader.example.org:8080/"),
        "a port that is none": asking(hub_callback="https://reader.example.org:99999/"),
        "an end of what never began": asking(hub_mode="unsubscribe"),
        "news of what is not ours": asking(hub_mode="publish", hub_topic="https://news.example/feed.atom"),
        "news of nothing": asking(hub_mode="publish", hub_topic=""),
        "the console's token": Asking("", (("authorization", f"Bearer {token}"), ("content-type", "application/json")), b"{}"),
        **{f"a callback at {host}": asking(hub_callback=f"http://{host}/x") for host in PRIVATE},
        **{f"a form of another kind: {form}": asking(form=form) for form in (*FORMS[1:], "application/json", "")},
    }


def _accepted_by_the_hub(room: Newsroom, client: TestClient) -> dict[str, Any]:
    """A good one: who (the callback), what, of what (the topic) and when, as the ledger keeps it, before anybody was asked."""
    answer = client.post("/hub", content=urlencode(_asked_of_the_hub(room)).encode(), headers={"content-type": FORMS[0]})
    assert answer.status_code == 202
    with room.context.ledger.read() as tx:
        row = tx.first(select(t.subscriptions))
    assert row.state == "asked"
    return {"who": row.callback, "what": row.asked, "target": row.topic, "when": row.changed_at}


@dataclass(frozen=True, slots=True)
class Mutating:
    """An address that changes something: how it is asked, all that it must refuse, and a good request with the trace it leaves."""

    path: str
    forged: Callable[[Newsroom, str], Mapping[str, Asking]]
    accepted: Callable[[Newsroom, TestClient], dict[str, Any]]
    trace: Mapping[str, str]
    refuses: frozenset[int] = frozenset({401, 415})
    in_words: str = "application/problem+json"


MUTATING: dict[tuple[str, str], Mutating] = {
    ("POST", "/webhooks/{source}"): Mutating(
        "/webhooks/newsroom",
        _forged_webhooks,
        _accepted_webhook,
        {"who": "newsroom", "what": "article.withdrawn", "target": "a-1"},
    ),
    ("POST", "/hub"): Mutating(
        "/hub",
        _refused_by_the_hub,
        _accepted_by_the_hub,
        {"who": CALLBACK, "what": "subscribe", "target": "http://127.0.0.1:8499/demo/feeds/all.atom"},
        frozenset({400, 403, 404, 415}),
        "text/plain; charset=utf-8",  # W3C WebSub section 5.2
    ),
}
"""(method, route) → what is asked of it here. What leaves no event leaves a row of the audit (`duties.note`)."""


def test_every_address_that_changes_something_is_in_the_table() -> None:
    """A new one fails here until somebody said what it must refuse."""
    found = {(method, route.path) for route in ROUTES for method in (route.methods or ()) if method not in SAFE}
    assert found == set(MUTATING)


@pytest.mark.parametrize("key", MUTATING, ids=" ".join)
def test_the_forged_are_refused_and_nothing_has_changed(room: Newsroom, client: TestClient, key: tuple[str, str]) -> None:
    """Not a row in any table, whatever was sent; nor later, when the steps ran."""
    what, token = MUTATING[key], first_token(room.context)
    before = databases.rows(room.context.ledger)
    forged = what.forged(room, token)
    assert len(forged) > 15
    for name, asking in forged.items():
        answer = client.request(key[0], what.path + asking.query, headers=dict(asking.headers), content=asking.body)
        assert answer.status_code in what.refuses, (name, answer.status_code)
        assert answer.headers["content-type"] == what.in_words
        assert len(answer.text) > 20, name
        assert token not in answer.text
    assert databases.rows(room.context.ledger) == before
    room.drain()
    assert room.status().state == "live"


@pytest.mark.parametrize("key", MUTATING, ids=" ".join)
def test_what_is_accepted_leaves_who_what_of_what_and_when(room: Newsroom, client: TestClient, key: tuple[str, str]) -> None:
    """In the ledger, where it can be asked for."""
    when = room.clock.now()
    left = MUTATING[key].accepted(room, client)
    assert {name: left[name] for name in ("who", "what", "target")} == MUTATING[key].trace
    assert when <= left["when"] <= when + timedelta(seconds=1)  # by the set clock, which stands but for microseconds


def test_a_subscription_that_nobody_confirms_changes_nothing(tmp_path: Path) -> None:
    """It is asked about once; what its subscriber had before goes on as it was, and a callback that knows of nothing is told nothing."""
    from tests.conftest import CONFIG

    with Subscriber() as reader:
        room = open_newsroom(tmp_path, "sqlite://", CONFIG.replace("port = 8499", f'port = 8499\nallow_hosts = ["{reader.authority}"]'))
        topic = f"{room.context.settings.sites[0].feeds_base}all.atom"
        room.send("published", article())
        drain(room.context)
        had, stranger = reader.make(topic, secret="the first"), reader.make(topic)
        stranger.confirms = False

        def ask(client: TestClient, made: Subscription, secret: str) -> None:
            body = urlencode(_asked_of_the_hub(room, hub_topic=topic, hub_callback=made.callback, hub_secret=secret)).encode()
            assert client.post("/hub", content=body, headers={"content-type": FORMS[0]}).status_code == 202
            drain(room.context, [Nudge(Step.HUB)])
            assert room.context.crew.idle(30)

        with TestClient(make_app(room.context, lambda _n: None)) as app:
            ask(app, had, "the first")
            had.confirms = False
            ask(app, had, "the secret of somebody else")
            ask(app, stranger, "")
        room.send("published", article(id="a-2"))
        drain(room.context)
        assert room.context.crew.idle(30)
        assert [told.counts for told in had.told] == [True]
        assert stranger.told == []
        room.context.close()


def test_a_source_without_secrets_or_switched_off_takes_nothing(tmp_path: Path) -> None:
    """Neither unsigned nor signed with the empty key."""
    from tests.conftest import CONFIG

    switched = CONFIG.replace('secrets = ["env:PRESSRUN_TEST_SECRET"]', 'secrets = ["env:PRESSRUN_TEST_SECRET"]\nenabled = false')
    closed = open_newsroom(tmp_path, "sqlite://", switched + '[sources.bare]\nsite = "demo"\n')
    body, good = _webhook(closed)
    empty = {**good, "webhook-signature": "v1," + base64.b64encode(b"").decode()}
    before = databases.rows(closed.context.ledger)
    with TestClient(make_app(closed.context, lambda _n: None)) as client:
        statuses = [client.post(f"/webhooks/{name}", content=body, headers=headers).status_code for name, headers in (
            ("newsroom", {"content-type": "application/json", **good}), ("bare", {"content-type": "application/json", **good}),
            ("bare", {"content-type": "application/json", **empty}), ("nobody", {"content-type": "application/json", **good}),
        )]  # fmt: skip
    assert statuses == [403, 401, 401, 401]
    assert databases.rows(closed.context.ledger, without=frozenset({"documents"})) == {k: v for k, v in before.items() if k != "documents"}
    closed.context.close()


ADDRESSES = {
    "/webhooks/{source}": "/webhooks/newsroom",
    "/events/{event_id}": "/events/EVENT",
    "/api/v1/articles/{article:path}": "/api/v1/articles/a-1",
    "/static/examples/{file}": "/static/examples/none.jpg",
    "/{key}.txt": "/none.txt",
    "/mirrors/{site}/{mirror}/{path:path}": "/mirrors/demo/one/",
    "/{site}/feeds/{file}": "/demo/feeds/all.atom",
    "/{site}/sitemaps/{file}": "/demo/sitemaps/index.xml",
    "/{site}/items/{file}": "/demo/items/none.ninjs.json",
    "/{site}/shares/{article:path}.json": "/demo/shares/a-1.json",
}
"""Of the routes with names in them; the others stand for themselves."""


def addresses(room: Newsroom) -> dict[str, str]:
    """Route → an address of it that has something to say."""
    with room.context.ledger.read() as tx:
        event = tx.value(select(t.events.c.event_id).limit(1))
    made = {route.path: ADDRESSES.get(route.path, route.path).replace("EVENT", event) for route in ROUTES}
    assert not any("{" in path for path in made.values()), "a new route needs its line in ADDRESSES"
    return made


def test_whoever_asks_changes_nothing(room: Newsroom, client: TestClient) -> None:
    """GET, HEAD and OPTIONS, with the token and without, once more with what was answered, and for what is not there."""
    token = {"authorization": f"Bearer {first_token(room.context)}"}
    before = databases.rows(room.context.ledger)
    said = set()
    for route, path in addresses(room).items():
        for method in SAFE:
            for headers in ({}, token, {**ELSEWHERE, "cookie": "token=x"}):
                answer = client.request(method, path, headers=headers)
                again = {"if-none-match": answer.headers.get("etag", '"x"'), "if-modified-since": answer.headers.get("last-modified", "")}
                client.request(method, path, headers={**headers, **again})
                said.add(answer.status_code)
                assert "set-cookie" not in answer.headers
        client.get(f"{path}/not-there", headers=token)
        assert databases.rows(room.context.ledger) == before, route
    assert said >= {200, 401, 405, 404}


def test_no_address_takes_a_method_it_does_not_name(room: Newsroom, client: TestClient) -> None:
    """405, with the token too, and whatever a form of another site can send; a header that renames the method is nothing."""
    token = {"authorization": f"Bearer {first_token(room.context)}"}
    before = databases.rows(room.context.ledger)
    for route, path in addresses(room).items():
        for method in UNSAFE:
            if (method, route) in MUTATING:
                continue
            for form in FORMS:
                answer = client.request(method, path, headers={**token, **ELSEWHERE, "content-type": form}, content=b"a=b")
                assert answer.status_code == 405, (method, path)
        client.get(path, headers={**token, "x-http-method-override": "DELETE"}, params={"_method": "DELETE"})
    assert databases.rows(room.context.ledger) == before


NEEDS_TOKEN = {
    "/api/v1/articles", "/api/v1/articles/{article:path}", "/api/v1/outlets", "/api/v1/deliveries", "/api/v1/rejections",
    "/api/v1/subscriptions",
}  # fmt: skip
PUBLIC = {
    "/events/{event_id}", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/static/examples/{file}", "/{key}.txt",
    "/mirrors/{site}/{mirror}/{path:path}", "/{site}/feeds/{file}", "/{site}/sitemaps/{file}", "/{site}/items/{file}",
    "/{site}/shares/{article:path}.json",
}  # fmt: skip


def test_every_address_to_read_is_public_or_needs_the_token() -> None:
    """By a person's decision."""
    assert {route.path for route in ROUTES if route.methods and "GET" in route.methods} == NEEDS_TOKEN | PUBLIC


def test_the_token_is_taken_from_its_header_and_from_nowhere_else(room: Newsroom, client: TestClient) -> None:
    """Not from query, cookie, form or a user's password; and no page of another site may read the answer."""
    token = first_token(room.context)
    basic = base64.b64encode(f"{token}:{token}".encode()).decode()
    wrong: list[tuple[str, dict[str, str]]] = [
        ("", {}),
        ("", {"authorization": token}),
        ("", {"authorization": f"Basic {basic}"}),
        ("", {"authorization": "Bearer "}),
        ("", {"authorization": f"Bearer {token}x"}),
        ("", {"authorization": f"Bearer {token[:-1]}"}),
        ("", {"authorization": f"Bearer {token.swapcase()}"}),
        ("", {"cookie": f"token={token}; session={token}; authorization=Bearer {token}"}),
        ("", {"x-api-key": token, "x-forwarded-user": "admin", "x-real-ip": "127.0.0.1"}),
        (f"?token={token}&access_token={token}&authorization=Bearer%20{token}", {}),
    ]
    for path in (addresses(room)[route] for route in NEEDS_TOKEN):
        for query, headers in wrong:
            answer = client.get(path + query, headers=headers)
            assert answer.status_code == 401, (path, query, headers)
            assert "a-1" not in answer.text
        good = client.get(path, headers={"authorization": f"Bearer {token}", **ELSEWHERE})
        assert good.status_code == 200
        assert not [name for name in good.headers if name.startswith("access-control-")]
        assert good.headers["cache-control"] == "no-store"


def test_an_event_tells_its_sender_only_what_was_the_senders(room: Newsroom, client: TestClient) -> None:
    """Ids can be guessed where a sender counts them: without the token neither headline nor outlet is in the answer."""
    path = addresses(room)["/events/{event_id}"]
    public = client.get(path).json()
    assert set(public) == {"event_id", "source", "status", "type", "received_at", "processed_at", "revision", "problems"}
    assert "A quiet harbour" not in json.dumps(public)


def test_the_first_token_is_audited(tmp_path: Path) -> None:
    """Who, what, of what, when."""
    room = open_newsroom(tmp_path, "sqlite://")
    first_token(room.context)
    with room.context.ledger.read() as tx:
        rows = tx.all(select(t.audit))
    assert [(r.actor, r.action, r.target) for r in rows] == [("pressrun", "token made", "api")]
    assert rows[0].at <= room.clock.now() <= rows[0].at + timedelta(seconds=1)
    room.context.close()


def test_a_fault_of_the_ledger_is_told_to_the_log_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Names of hosts and users, which a library's words hold, are nobody's business at an address anybody may ask."""
    room = open_newsroom(tmp_path, "sqlite://")
    away = replace(room.context, ledger=Ledger("postgresql+psycopg://press@127.0.0.1:1/news"))
    app = make_app(away, lambda _n: None)
    app.state.checked.set()
    client = TestClient(app)
    for path in ("/readyz", "/demo/feeds/all.rss", "/mirrors/demo/one/", "/events/ev_x", "/demo/shares/a-1.json"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), path
        assert "127.0.0.1" not in answer.text
        assert answer.json()["detail"] == "The ledger does not answer just now. Ask again in a moment; the log says why."
    out, err = capfd.readouterr()
    assert 'connection to server at "127.0.0.1", port 1 failed' in (out + err).replace('\\"', '"')
    room.context.close()
