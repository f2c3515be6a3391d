"""Real processes, every secret a canary, everything done to them that can happen: none is found in anything that was written.

One life, told by the fixture; the tests look at what it left. It runs where there is `/proc`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import psutil
import pytest
from sqlalchemy import create_engine, text

from pipeline.cli.start import free_port
from pipeline.ledger import subscription_views
from tests.guard import canaries
from tests.guard.watched_run import Watched, story, watched_run
from tests.support.running import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.xdist_group("watched"),
    pytest.mark.timeout(400),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="command lines are read from /proc"),
]
SENT = canaries.SENT
RIGHT = {"authorization": f"Bearer {canaries.API_TOKEN}"}
GETS = [
    "/",
    "/docs",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    "/demo/feeds/all.rss",
    "/demo/feeds/all.json",
    "/demo/feeds/all.atom",
]
GETS += ["/mirrors/demo/here/", "/mirrors/demo/here/robots.txt", "/demo/shares/a-1.json", "/nothing/at/all"]
GUARDED = ["articles", "articles/a-1", "outlets", "deliveries", "rejections", "subscriptions"]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Watched]:
    """A day on which everything happens, and then the end."""
    with fresh_database(postgres_server) as url:
        with watched_run(tmp_path_factory.mktemp("watched"), url) as run:
            for chapter in (
                good_webhooks, bad_webhooks, subscribers, readers, a_worker_crashes, the_broker_goes_and_comes_back, a_worker_is_killed,
                verbs, things_out_of_reach,
            ):  # fmt: skip
                chapter(run)
            readers(run, "later")
        yield run


def good_webhooks(run: Watched) -> None:
    """Signed by each of the two secrets: published, updated, withdrawn, and one that the rules refuse."""
    assert run.send("published", story("a-1")) == 202
    assert run.send("published", story("a-2"), canaries.KEY + b" 2", cookie=SENT["a cookie"]) == 202
    assert run.send("updated", story("a-1", headline="Anew")) == 202
    assert run.send("published", {"id": "bad"}, authorization=f"Bearer {SENT['a wrong token']}") == 202
    run.until(lambda: run.settled_here("a-1") and run.settled_here("a-2"))
    assert run.send("withdrawn", {"id": "a-2", "reason": "It was wrong."}) == 202
    run.until(lambda: run.settled_here("a-2"))
    run.until(
        lambda: {run.states("a-1")[f"demo/mirror:{name}"] for name in ("echo307", "echo401", "echo500", "deaf")} <= {"retrying", "failed"}
    )


def bad_webhooks(run: Watched) -> None:
    """Forged, broken, too large, unreadable, for nobody."""
    body = json.dumps({"type": "article.published", "data": story("a-3")}).encode()
    forged = {**run.signed(body), "webhook-signature": "v1," + base64.b64encode(SENT["a signature"].encode()).decode()}
    assert run.ask("forged", "POST", "/webhooks/newsroom", body, forged) == 401
    assert run.ask("plain signature", "POST", "/webhooks/newsroom", body, {**forged, "webhook-signature": SENT["a signature"]}) == 401
    assert run.ask("another's", "POST", "/webhooks/newsroom", body, run.signed(body, SENT["another sender's secret"].encode() * 2)) == 401
    assert (
        run.ask("query", "POST", f"/webhooks/newsroom?token={SENT['a token in a query']}", body, {"content-type": "application/json"})
        == 401
    )
    assert run.ask("nobody", "POST", "/webhooks/nobody", body, run.signed(body)) == 401
    assert run.ask("no json", "POST", "/webhooks/newsroom", b"{", run.signed(b"{")) == 400
    assert run.ask("packed", "POST", "/webhooks/newsroom", body, {**run.signed(body), "content-encoding": "gzip"}) == 415
    once = run.signed(body)
    assert run.ask("once", "POST", "/webhooks/newsroom", body, once) == 202
    other = {**run.signed(body + b" "), "webhook-id": once["webhook-id"], "webhook-timestamp": once["webhook-timestamp"]}
    assert run.ask("same id", "POST", "/webhooks/newsroom", body + b" ", other) == 401


def subscribers(run: Watched) -> None:
    """One whose secret signs what it is told, one that answers 500, one that did not mean it; and requests that are refused."""
    topic = f"{run.context.settings.sites[0].feeds_base}all.atom"
    found, secret = run.reader.discover(topic), SENT["a subscriber's secret"]
    good = run.reader.subscribe(found, secret=secret)
    bad = run.reader.subscribe(found, secret=secret, query="?x=1")
    bad.answers = [500]
    other = run.reader.make(topic, secret=secret)
    other.confirms = False
    run.reader.request(found, other, "subscribe")
    run.until(lambda: _states(run) == {"active": 2, "refused": 1})
    assert run.send("updated", story("a-1", headline="Told to subscribers")) == 202
    run.until(lambda: good.heard and bad.told)
    for name, fields in {"long": {"hub.secret": secret * 9}, "nowhere": {"hub.topic": "http://x.example/"}, "twice": {}}.items():
        asked = {"hub.mode": "subscribe", "hub.topic": topic, "hub.callback": good.callback, "hub.secret": secret, **fields}
        body = urlencode([*asked.items(), *([("hub.secret", secret)] if name == "twice" else [])]).encode()
        assert run.ask(f"hub {name}", "POST", "/hub", body, {"content-type": "application/x-www-form-urlencoded"}) in {400, 404}
    run.sent_signatures += [told.headers["x-hub-signature"].partition("=")[2] for told in (*good.heard, *bad.heard)]


def _states(run: Watched) -> dict[str, int]:
    with run.context.ledger.read() as tx:
        return dict(subscription_views.by_state(tx))


def readers(run: Watched, when: str = "first") -> None:
    """Everybody asks for everything: with the token, and with all that is none."""
    user = base64.b64encode(f"desk:{SENT['a password']}".encode()).decode()
    asking = {
        "right": RIGHT,
        "wrong": {"authorization": f"Bearer {SENT['a wrong token']}"},
        "basic": {"authorization": f"Basic {user}"},
        "cookie": {"cookie": f"session={SENT['a cookie']}; token={canaries.API_TOKEN.partition(chr(34))[0]}"},
    }
    for who, headers in asking.items():
        for path in [*GETS, *(f"/api/v1/{name}" for name in GUARDED)]:
            status = run.ask(f"{when} {who} {path}", "GET", path, headers=headers)
            assert (status == 401) is (path.startswith("/api/") and who != "right"), (who, path, status)
    for path in ("/api/v1/articles", "/demo/feeds/all.rss"):
        run.ask(f"{when} query {path}", "GET", f"{path}?token={SENT['a token in a query']}")
        run.ask(f"{when} post {path}", "POST", path, b"token=" + SENT["a wrong token"].encode(), asking["wrong"])


def a_worker_crashes(run: Watched) -> None:
    """A table is not there: the library raises an error with the statement in it, and a traceback is logged."""
    engine = create_engine(run.secrets["CANARY_DATABASE"], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("ALTER TABLE topics RENAME TO topics_away"))
        try:
            assert run.send("updated", story("a-1", headline="While the table was away")) == 202
            run.until(lambda: "topics" in run.log("craft"))
        finally:
            connection.execute(text("ALTER TABLE topics_away RENAME TO topics"))
    engine.dispose()
    run.until(lambda: run.settled_here("a-1"))


def the_broker_goes_and_comes_back(run: Watched) -> None:
    """Webhooks are taken all the same; what is parked and what is waiting is looked at too."""
    with run.broker.client() as client:
        client.lpush("feeds", "this is no message", json.dumps({"body": "e30=", "headers": {}, "properties": {}}))
    run.broker.stop()
    assert run.send("published", story("a-4")) == 202
    run.until(lambda: "nudge not sent" in run.log("web"))
    run.verb("doctor")
    run.broker.start()
    run.until(lambda: run.settled_here("a-4"))


def a_worker_is_killed(run: Watched) -> None:
    """And started again."""
    worker = next(p for p in psutil.Process(run.process.pid).children() if any("craft@" in word for word in p.cmdline()))
    os.killpg(worker.pid, signal.SIGKILL)
    run.until(lambda: b"craft died" in (run.folder / "up.err").read_bytes())
    assert run.send("published", story("a-5")) == 202
    run.until(lambda: run.settled_here("a-5"))


def verbs(run: Watched) -> None:
    """What a person does at a terminal."""
    file = run.folder / "article.json"
    file.write_text(json.dumps(story("a-6")))
    reading = [
        ("config", "check"), ("config", "show"), ("doctor",), ("status",), ("status", "a-1", "--json"), ("verify", "good", "--json"),
        ("verify", "deaf"), ("explain", str(file)), ("validate", str(file)), ("preview", str(file), "--out", str(run.folder / "preview")),
        ("db", "upgrade"), ("up",), ("nonsense",), ("--help",),
    ]  # fmt: skip
    with ThreadPoolExecutor(3) as several:
        list(several.map(lambda arguments: run.verb(*arguments), reading))
    run.verb("publish", str(file))


def things_out_of_reach(run: Watched) -> None:
    """A database and a broker that do not answer, at every door: verbs, the web process, workers; and a wrong configuration."""
    away = {"PRESSRUN_DATABASE": f"postgresql+psycopg://desk:{canaries.DATABASE_PASSWORD}@127.0.0.1:1/news"}
    deaf = {"PRESSRUN_BROKER": f"redis://:{canaries.BROKER_PASSWORD}@127.0.0.1:1/0"}
    wrong = {"PRESSRUN_DATABASE": f"postgres://desk:{canaries.DATABASE_PASSWORD}@127.0.0.1:1/news"}
    out_of_reach = [
        (("status",), away), (("doctor",), away), (("config", "check"), away), (("drain",), away), (("up",), away),
        (("doctor",), deaf), (("config", "show"), deaf), (("status",), wrong), (("status",), {"CANARY_DATABASE": ""}),
    ]  # fmt: skip
    with ThreadPoolExecutor(3) as several:
        list(several.map(lambda asked: run.verb(*asked[0], **asked[1]), out_of_reach))
    run.alone("web without database", "pipeline.web", until=b"does not answer", PRESSRUN_PORT=str(free_port(0)), **away)
    worker = ("celery", "-A", "tasks", "--quiet", "worker", "-P", "threads", "-c", "1", "-Q", "upkeep", "-l", "WARNING")
    run.alone("worker without database", *worker, "-n", "nodb@%h", until=b"does not answer", **away)
    run.alone("worker without broker", *worker, "-n", "nobroker@%h", until=b"Cannot connect", **deaf)


def test_no_secret_is_in_anything_that_was_written(life: Watched) -> None:
    """Logs, outputs, answers, metrics, documents at the origin and at mirrors, every column of every table, the broker, command lines."""
    assert canaries.found_in(life.places) == {}


def test_no_signature_that_was_valid_is_kept(life: Watched) -> None:
    """It would let whoever reads it say the same again, for five minutes."""
    assert len(life.sent_signatures) > 10
    kept = {place for place, body in life.places.items() if any(signature.encode() in body for signature in life.sent_signatures)}
    assert kept == set()


def test_it_all_did_happen(life: Watched) -> None:
    """Otherwise that nothing was found would say nothing: each kind of place has its words."""
    said = {name: "\n".join(body.decode(errors="replace") for place, body in life.places.items() if name in place) for name in WORDS}
    assert {name: [word for word in words if word not in said[name]] for name, words in WORDS.items()} == {name: [] for name in WORDS}


WORDS = {
    "web.log": ["webhook refused", "no signature matches a secret", "nudge not sent"],
    "craft.log": ["topics", "exception"],
    "reach.log": ["delivery failed", "circuit", "no valid token", "***"],
    "up.err": ["craft died and was started again"],
    "up.out": ["Pressrun is ready at"],
    "table attempts": ["401", "500", "307", "no valid token", "***"],
    "table bodies": ["bad", "a-4"],
    "table subscriptions": ["it answered 500", "active", "gAAAA"],
    "good/": ["About a-4"],
    "origin/": ["About a-4"],
    "command lines": ["pipeline.web", "celery", "craft@", "reach@", "publish"],
    "broker/": ["celery", "dead."],
    "published in the broker": ["worker.heartbeat"],
    "metrics/": ["pressrun_webhooks"],
    "answer first right /metrics": ["pressrun_webhooks_total"],
    "answer first right /api/v1/articles/a-1": ["no valid token"],
    "pressrun config show": ["postgresql+psycopg://***@", "redis://***@127.0.0.1"],
    "pressrun doctor": ["the broker does not answer"],
    "pressrun status a-1 --json": ["no valid token"],
    "process worker without broker": ["Cannot connect to redis://"],
}
