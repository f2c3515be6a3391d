"""The entrance: what a CMS may send, what it is answered, and that nothing refused is stored."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from pipeline.kit import signatures
from pipeline.ledger import tables
from pipeline.web.app import make_app
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.model.run import Nudge
    from tests.conftest import Newsroom

URL = "/webhooks/newsroom"


class Desk:
    """A CMS with the right secret."""

    def __init__(self, room: Newsroom, client: TestClient) -> None:
        """The secret is the newsroom's."""
        self.room, self.client, self.nudged = room, client, 0

    def headers(self, body: bytes, webhook_id: str = "msg_1", shift: int = 0) -> dict[str, str]:
        """What Standard Webhooks asks for."""
        stamp = int(self.room.clock.now().timestamp()) + shift
        secret = self.room.context.settings.sources[0].secrets[0]
        return {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signatures.sign(secret, webhook_id, stamp, body),
        }

    def post(self, body: bytes, url: str = URL, **headers: str) -> Any:
        """Sign and send; `headers` replace what would be sent."""
        given = {**self.headers(body), **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.client.post(url, content=body, headers={k: v for k, v in given.items() if v})

    def events(self) -> int:
        """How many are stored."""
        with self.room.context.ledger.read() as tx:
            return int(tx.value(select(func.count()).select_from(tables.events)))


@pytest.fixture
def desk(small_newsroom: Newsroom) -> Iterator[Desk]:
    """The app with nudges that go nowhere: accepting never waits for them."""

    def deaf(_nudges: Sequence[Nudge]) -> None:
        raise ConnectionError

    app = make_app(small_newsroom.context, deaf)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Desk(small_newsroom, client)


def good(**changes: Any) -> bytes:
    """The body of a valid event."""
    return json.dumps({"type": "article.published", "timestamp": "2026-11-23T08:00:00Z", "data": article(**changes)}).encode()


def test_a_signed_event_is_stored_and_answered_202(desk: Desk) -> None:
    """With its id and where to look."""
    answer = desk.post(good())
    assert answer.status_code == 202
    said = answer.json()
    assert said["status"] == "accepted"
    assert said["status_url"].endswith(f"/events/{said['event_id']}")
    assert desk.events() == 1
    seen = desk.client.get(f"/events/{said['event_id']}").json()
    assert seen["status"] == "accepted"


def test_the_same_id_is_answered_the_same(desk: Desk) -> None:
    """A replay inside the window changes nothing and learns nothing new."""
    first, second = desk.post(good()), desk.post(good())
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert desk.events() == 1


def test_the_same_id_with_another_body_is_409(desk: Desk) -> None:
    """The first stays."""
    desk.post(good())
    answer = desk.post(good(headline="Another"))
    assert answer.status_code == 409
    assert desk.events() == 1


REFUSED: dict[str, Callable[[Desk], Any]] = {
    "no headers": lambda d: d.client.post(URL, content=good(), headers={"content-type": "application/json"}),
    "wrong signature": lambda d: d.post(good(), webhook_signature="v1," + "A" * 43 + "="),
    "signature of another body": lambda d: d.client.post(URL, content=good(headline="x"), headers=d.headers(good())),
    "other version": lambda d: d.post(good(), webhook_signature="v2,abc"),
    "garbage signature": lambda d: d.post(good(), webhook_signature="v1,%%%"),
    "no timestamp": lambda d: d.post(good(), webhook_timestamp=""),
    "timestamp with a fraction": lambda d: d.post(good(), webhook_timestamp="1700.9"),
    "stale": lambda d: d.client.post(URL, content=good(), headers=d.headers(good(), shift=-301)),
    "from the future": lambda d: d.client.post(URL, content=good(), headers=d.headers(good(), shift=302)),
    "unknown source": lambda d: d.post(good(), url="/webhooks/nobody"),
    "id with a dot": lambda d: d.post(good(), webhook_id="a.b"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_every_refused_signature_is_one_plain_401(desk: Desk, how: str) -> None:
    """Nothing is stored and nothing tells an attacker what was wrong."""
    answer = REFUSED[how](desk)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == desk.client.post(URL, content=b"{}", headers={"content-type": "application/json"}).json()
    assert desk.events() == 0


def test_the_window_is_300_seconds_both_ways(desk: Desk) -> None:
    """Inside it a signature holds."""
    for shift, webhook_id in ((-299, "old"), (299, "new")):
        headers = desk.headers(good(), webhook_id, shift)
        assert desk.client.post(URL, content=good(), headers=headers).status_code == 202


BAD_BODIES = {
    "not JSON": b"headline: A quiet harbour",
    "empty": b"",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "duplicate key": b'{"a": 1, "a": 2}',
    "deep": b"[" * 65 + b"]" * 65,
    "very deep": b"[" * 100_000,
    "lone surrogate": b'{"a": "\\ud800"}',
    "huge integer": b'{"a": 99999999999999999999999999}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "trailing garbage": b"{} x",
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_not_strict_json_is_400(desk: Desk, name: str) -> None:
    """A problem document says what, and nothing is stored."""
    answer = desk.post(BAD_BODIES[name])
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["status"] == 400
    assert problem["errors"][0]["detail"]
    assert desk.events() == 0


def test_a_long_body_is_413_while_it_is_read(desk: Desk) -> None:
    """Declared or dripped, no more than the cap is read."""
    long = good(extra={"x": "y" * 1_100_000})
    assert desk.post(long).status_code == 413

    def dripped() -> Iterator[bytes]:
        for start in range(0, len(long), 65536):
            yield long[start : start + 65536]

    headers = desk.headers(long)
    assert desk.client.post(URL, content=dripped(), headers=headers).status_code == 413
    assert desk.events() == 0


@pytest.mark.parametrize(
    ("name", "value"), [("content-encoding", "gzip"), ("content-type", "text/plain"), ("content-type", "application/xml")]
)
def test_another_media_type_is_415(desk: Desk, name: str, value: str) -> None:
    """JSON as it is, or nothing."""
    headers = {**desk.headers(good()), name: value}
    assert desk.client.post(URL, content=good(), headers=headers).status_code == 415
    assert desk.events() == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405_as_a_problem(desk: Desk, method: str) -> None:
    """Never a redirect, always JSON."""
    answer = desk.client.request(method, URL)
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_trailing_slash_is_no_redirect(desk: Desk) -> None:
    """Senders do not follow them."""
    assert desk.client.post(URL + "/", content=good(), follow_redirects=False).status_code == 404


def test_what_the_schema_refuses_is_accepted_and_then_rejected_with_every_problem(desk: Desk) -> None:
    """Unknown fields, wrong types: the event is kept, and its status says all that is wrong."""
    answer = desk.post(b'{"type": "article.published", "timestamp": 5, "data": {"id": "x", "headlin": 1, "tags": "a"}}')
    assert answer.status_code == 202
    desk.room.drain()
    seen = desk.client.get(f"/events/{answer.json()['event_id']}").json()
    assert seen["status"] == "rejected"
    pointers = {p["pointer"] for p in seen["problems"]}
    assert {"/timestamp", "/data/headlin", "/data/tags", "/data/headline"} <= pointers
    assert all(p["detail"] for p in seen["problems"])


def test_a_switched_off_source_is_403_only_to_who_can_sign(small_newsroom: Newsroom) -> None:
    """Others learn nothing."""
    from dataclasses import replace

    settings = small_newsroom.context.settings
    small_newsroom.context.settings = replace(settings, sources=(replace(settings.sources[0], enabled=False),))
    with TestClient(make_app(small_newsroom.context, lambda _n: None)) as client:
        desk = Desk(small_newsroom, client)
        assert desk.post(good()).status_code == 403
        assert desk.post(good(), webhook_signature="v1,AAAA").status_code == 401


def test_any_of_several_secrets_is_good(small_newsroom: Newsroom) -> None:
    """Rotation: the new secret is added before the old one goes."""
    from dataclasses import replace

    settings = small_newsroom.context.settings
    source = replace(settings.sources[0], secrets=(b"n" * 32, *settings.sources[0].secrets))
    small_newsroom.context.settings = replace(settings, sources=(source,))
    with TestClient(make_app(small_newsroom.context, lambda _n: None)) as client:
        desk = Desk(small_newsroom, client)
        assert desk.post(good()).status_code == 202
        source = replace(source, secrets=())
        small_newsroom.context.settings = replace(settings, sources=(source,))
        stamp = str(int(time.time()))
        headers = {"content-type": "application/json", "webhook-id": "m", "webhook-timestamp": stamp, "webhook-signature": "v1,x"}
        assert client.post(URL, content=good(), headers=headers).status_code == 401


def test_a_locked_ledger_is_503_with_retry_after(make_newsroom: Callable[..., Newsroom], tmp_path: object) -> None:
    """Refused, not lost: the sender is told when to come again, and then it is stored once."""
    room = make_newsroom(url=f"sqlite:///{tmp_path}/locked.sqlite")
    room.context.ledger.clock = __import__("pipeline.kit.clock", fromlist=["SystemClock"]).SystemClock()
    with TestClient(make_app(room.context, lambda _n: None)) as client:
        desk = Desk(room, client)
        with room.context.ledger.write():
            answer = desk.post(good())
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert desk.post(good()).status_code == 202
        assert desk.events() == 1
