"""Board: headers, signatures and broken HTTP over a real socket, against each parser uvicorn may have."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook
from starlette.testclient import TestClient

from pipeline.context import open_context
from pipeline.kit import signatures
from pipeline.ledger import tables
from pipeline.web.app import make_app
from tests.boards.board import none_of
from tests.boards.server import KEY, PATIENCE, STARTS, Heard, Web, request, signed, web_in
from tests.conftest import START, Newsroom, article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY = json.dumps({"type": "article.published", "timestamp": "2026-11-23T08:00:00Z", "data": article()}).encode()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LONG = b'{"a":"' + b"x" * 1_100_000 + b'"}'
GOOD_SIGNATURE = b"v1," + base64.b64encode(b"x" * 32)

Case = tuple[bytes, set[int]]
"""What is sent, and what may be answered."""


def with_(changes: dict[str, bytes | None], body: bytes = BODY, *more: bytes) -> bytes:
    """A signed request with some headers changed, or left out where None; `more` are lines of their own."""
    headers = {**signed(body, "board"), **changes}
    return request({name: value for name, value in headers.items() if value is not None}, body, *more)


IDS = [b"", b"a.b", b".", b"a b", b"\xc3\xa9", b"\xff\xfe", b"x" * 201, b"x" * 60_000, b"a\tb", "\u0430".encode(), b"a,\xa0b"]
STAMPS = [
    b"", b"1700.9", b" 17 ", b"1_7", b"+1", b"-1", b"0", b"00", b"1e9", b"0x10", b"NaN", b"inf", b"9" * 12, b"9" * 13, b"9" * 5000,
    "\u0661\u0667".encode(), "\uff11\uff17".encode(), b"1700000000", b"4102444800", b"2026-11-23T08:00:00Z", b"true", b"null", b"1 7", b"1,7",
]  # fmt: skip


def stamps() -> Iterator[bytes]:
    """Malformed or out of the window; some are of now and only spelled otherwise."""
    yield from STAMPS
    now = str(int(time.time())).encode()
    yield from (now + b".0", now + b"_", b"+" + now, b"0" * 6 + now, now + b" 1", now + b"," + now, now[:5] + b"_" + now[5:])
    yield "".join(chr(0x0660 + int(digit)) for digit in now.decode()).encode()


def signature_forms() -> Iterator[bytes]:
    """None of them matches, however it is read."""
    raw = base64.b64decode(signed(BODY, "board")["webhook-signature"][3:])
    good = base64.b64encode(raw)
    yield from (b"", b"v1", b"v1,", b"v1,,", b",", b"v", b"v1,====", b"v1,%%%", b"v1,\xff", b"v1;" + good, b"v1:" + good, good)
    yield from (b"v%d," % version + good for version in (0, 2, 3, 10, 11))
    yield from (b"V1," + good, b"v1a," + good, b"v01," + good, b"v1 ," + good, b"v1, " + good, b"v1,\t" + good, b"v1," + good[:-1])
    yield from (b"v1," + base64.b64encode(raw[:length]) for length in (0, 1, 16, 31))
    yield from (b"v1," + base64.b64encode(raw + b"\0"), b"v1," + raw.hex().encode(), b"v1," + good.lower(), b"v1," + good[::-1])
    yield from (b"v1," + good + tail for tail in (b"=", b"x", b",", b";", b"\xa0"))
    yield b"v1," + base64.b64encode(bytes([raw[0] ^ 1]) + raw[1:])
    yield b" ".join([GOOD_SIGNATURE] * 17)
    yield b" ".join([GOOD_SIGNATURE] * 1200)
    yield b" ".join([GOOD_SIGNATURE] * 16 + [b"v1," + good])
    yield b"v1," + b"A" * 60_000


def signatures_and_ids() -> Iterator[Case]:
    """One plain 401 for each."""
    yield from ((with_({"webhook-id": value}), {401}) for value in IDS)
    yield from ((with_({"webhook-timestamp": value}), {401}) for value in stamps())
    yield from ((with_({"webhook-signature": value}), {401}) for value in signature_forms())
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        own = signed(BODY, "board")[name]
        yield with_({name: None}), {401}
        yield from ((with_({}, BODY, name.encode() + b": " + other), {401}) for other in (b"", b"x", GOOD_SIGNATURE))
        if name != "webhook-signature":
            yield with_({}, BODY, name.encode() + b": " + own), {401}
    yield with_({}).replace(b"/newsroom", b"/nobody"), {401}
    yield with_({}).replace(b"quiet harbour", b"quite harbour"), {401}


TYPES = [
    b"", b"text/plain", b"application/xml", b"application", b"json", b"application/jsonx", b"application/+json", b"application/x-json",
    b"multipart/form-data; boundary=x", b"application/json, text/plain", b"application/json\xff", b"application/json application/json",
    b"*/*", b"application/*", b"x" * 50_000, b";", b"; charset=utf-8", b"text/json", b"application//json",
]  # fmt: skip
CODINGS = [b"", b"gzip", b"br", b"deflate", b"zstd", b"compress", b"identity, gzip", b"gzip, identity", b"identity;q=1", b"utf-8", b"\xff"]


def contents() -> Iterator[Case]:
    """A body that is not said to be JSON as it is."""
    yield from ((with_({"content-type": value}), {415}) for value in TYPES)
    yield from ((with_({"content-encoding": value}), {415}) for value in CODINGS)
    yield with_({"content-type": None}), {415}
    yield with_({}, BODY, b"content-type: text/plain"), {415}
    yield with_({"content-encoding": b"identity"}, BODY, b"content-encoding: gzip"), {415}
    yield with_({}, LONG), {413}
    yield with_({"content-length": b"1048577"}), {413}
    chunks = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(20))
    yield with_({"content-length": None, "transfer-encoding": b"chunked"}, chunks + b"0\r\n\r\n"), {413}


def lengths() -> Iterator[Case]:
    """Where a message ends is said once and plainly, or it is no message; what the parsers read differently is refused by one of them."""
    spoiled = [b"-1", b"+5", b"0x10", b"abc", b"", b"1.0", b"1e3", b"9" * 30, b"\xb2", b"12 12", b"1_0"]
    yield from ((with_({"content-length": value}), {400}) for value in spoiled)
    yield from ((with_({"content-length": value}), {400, 401}) for value in (b"0", b"10", b"%d" % (len(BODY) - 1)))
    yield with_({}, BODY, b"content-length: 3"), {400}
    chunked: dict[str, bytes | None] = {"content-length": None, "transfer-encoding": b"chunked"}
    yield from ((with_({**chunked, "transfer-encoding": coding}, CHUNKED), {400}) for coding in (b"gzip", b"chunked, identity", b"x"))
    for size in (b"zz", b"-5", b"0x5", b"5 5", b"f" * 40, b" "):
        yield with_(chunked, size + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), {400, 401}
    yield with_({"connection": b"Upgrade, HTTP2-Settings", "upgrade": b"h2c", "http2-settings": b"AAMAAABkAAQCAAAAAAIAAAAA"}), {400}
    yield with_({"connection": b"Upgrade", "upgrade": b"websocket"}), {400}


def no_http() -> Iterator[Case]:
    """Bytes of something else, and requests that only look like one."""
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 60 + b"\r\n\r\n", {400}
    yield b"\0\xff\xfe" * 50 + b"\r\n\r\n", {400}
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404, 405}
    for first in (
        b"post /webhooks/newsroom HTTP/1.1", b"P%ST / HTTP/1.1", b"A" * 9000 + b" / HTTP/1.1", b"POST  HTTP/1.1", b"POST webhooks HTTP/1.1",
        b"POST /webhooks/newsroom\xff HTTP/1.1", b"POST /a b HTTP/1.1", b"POST /webhooks/newsroom HTTX/1.1", b"POST /webhooks/newsroom\0 HTTP/1.1",
        b"POST /\xe2\x82\xac HTTP/1.1", b"HTTP/1.1 200 OK", b"FOO /webhooks/newsroom HTTP/1.1",
    ):  # fmt: skip
        yield request(signed(BODY, "board"), BODY, first=first), {400, 404, 405}
    for value in (b"a\0b", b"a\rb", b"a\nb", b"\x01", b"<id>\x7f", b"1700000000\x0b", b"a\r\n folded"):
        yield with_({"webhook-id": value}), {400, 401}
    yield from ((with_({}, BODY, line), {400}) for line in (b"no colon", b": empty", b"sp ace: x", b"n\xc3\xa4me: x"))
    yield with_({"host": None}).replace(b"webhook-signature: v1,", b"webhook-signature: v1,A"), {400, 401}
    yield with_({}, BODY, b"host: other", b"webhook-id: 2"), {400, 401}


BOARDS: dict[str, tuple[Callable[[], Iterator[Case]], int]] = {
    "signatures and ids": (signatures_and_ids, 80),
    "contents": (contents, 30),
    "lengths": (lengths, 20),
    "no HTTP": (no_http, 20),
}


@pytest.fixture(scope="module", params=STARTS)
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A process for each parser."""
    with web_in(tmp_path_factory.mktemp(request.param), request.param) as made:
        yield made


@pytest.mark.parametrize("board", BOARDS)
def test_everything_malformed_is_refused_in_words_and_stores_nothing(web: Web, board: str) -> None:
    """A problem document with the right status; nobody learns which part was wrong; the log has no fault of ours."""
    cases, least = BOARDS[board]
    heard = [(sent, allowed, web.ask(sent)) for sent, allowed in cases()]
    failed = [(sent[:300], allowed, answer) for sent, allowed, answer in heard if answer.status not in allowed or not answer.is_problem]
    none_of(heard, failed, least=least)
    assert len({answer.body for _, allowed, answer in heard if allowed == {401}}) <= 1
    assert web.process.poll() is None
    assert web.faults() == []
    assert _stored(web) == set()


def _stored(web: Web) -> set[str]:
    """The webhook ids of this board that are in the ledger."""
    context = open_context(web.folder / "pressrun.toml")
    with context.ledger.read() as tx:
        found = {str(row.webhook_id) for row in tx.all(select(tables.events.c.webhook_id))}
    context.close()
    return {name for name in found if not name.startswith("good-")}


GOOD: dict[str, Callable[[str], bytes]] = {
    "plain": lambda name: request(signed(BODY, name), BODY),
    "chunked": lambda name: request(
        {k: v for k, v in signed(BODY, name).items() if k != "content-length"}, CHUNKED, b"transfer-encoding: chunked"
    ),
    "expecting 100": lambda name: request(signed(BODY, name), BODY, b"expect: 100-continue"),
    "names in capitals": lambda name: request({k.upper(): v for k, v in signed(BODY, name).items()}, BODY),
    "a charset": lambda name: request({**signed(BODY, name), "content-type": b"APPLICATION/JSON; charset=utf-8"}, BODY),
    "a structured suffix": lambda name: request({**signed(BODY, name), "content-type": b"application/cloudevents+json"}, BODY),
    "identity": lambda name: request(signed(BODY, name), BODY, b"content-encoding: identity"),
    "a second version": lambda name: request(
        {**signed(BODY, name), "webhook-signature": b"v2,zz v1a,yy " + signed(BODY, name)["webhook-signature"]}, BODY
    ),
    "fifteen others before": lambda name: request(
        {**signed(BODY, name), "webhook-signature": (GOOD_SIGNATURE + b" ") * 15 + signed(BODY, name)["webhook-signature"]}, BODY
    ),
    "many headers of its own": lambda name: request(signed(BODY, name), BODY, *(b"x-%d: y" % number for number in range(500))),
    "an id in underscores beside": lambda name: request(signed(BODY, name), BODY, b"webhook_id: other"),
}


@pytest.mark.parametrize("way", GOOD)
def test_what_is_well_said_is_accepted_however_it_is_sent(web: Web, way: str) -> None:
    """Nothing on this board is refused because something like it is malformed."""
    answer: Heard = web.ask(GOOD[way](f"good-{way.replace(' ', '-')}"))
    assert answer.status == 202, answer


def test_who_hangs_up_half_way_is_no_fault_of_ours(web: Web) -> None:
    """No error in the log, however often; and the next one is served."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", web.port)) as line:
            line.sendall(request(signed(BODY, "board"), BODY[:40]))
    assert web.ask(request(signed(BODY, "good-after"), BODY)).status == 202
    ends, counted = time.monotonic() + PATIENCE, 0
    while counted < 20 and not web.faults():  # the count is made where the answer would have been
        assert time.monotonic() < ends
        found = re.search(
            rb'webhooks_total\{outcome="400",source="newsroom"\} ([0-9]+)', web.ask(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").body
        )
        counted = int(found[1]) if found else 0
    assert web.faults() == []


class _Still:
    """A clock that stands, to the microsecond."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("off", "status"), [(-301, 401), (-300.000001, 401), (-300, 202), (0, 202), (300, 202), (300.000001, 401), (301, 401), (1e6, 401)]
)
def test_the_window_is_exact_by_the_clock_of_the_context(small_newsroom: Newsroom, off: float, status: int) -> None:
    """Three hundred seconds either way are inside, a microsecond more is not; the answer says no more than any other refusal."""
    stamp = int(START.timestamp())
    small_newsroom.context.clock = _Still(datetime.fromtimestamp(stamp, UTC) + timedelta(seconds=off))
    source = small_newsroom.context.settings.sources[0]
    headers = {
        "content-type": "application/json",
        "webhook-id": "m",
        "webhook-timestamp": str(stamp),
        "webhook-signature": signatures.sign(source.secrets[0], "m", stamp, BODY),
    }
    with TestClient(make_app(small_newsroom.context, lambda _n: None)) as client:
        assert client.post("/webhooks/newsroom", content=BODY, headers=headers).status_code == status


def test_the_reference_package_and_we_take_the_same_webhooks() -> None:
    """Whatever the length of id and body, whatever their bytes: what it signs we take, what we sign it takes."""
    oracle, now = Webhook("whsec_" + base64.b64encode(KEY).decode()), int(time.time())
    for number in range(200):
        body = json.dumps({"n": "\u00e9" * number, "s": chr(0x2000 + number)}, ensure_ascii=number % 2 == 0)
        webhook_id = "".join(chr(0x21 + (number * 7 + i) % 94) for i in range(1 + number)).replace(".", "-")[:200]
        theirs = oracle.sign(webhook_id, datetime.fromtimestamp(now, UTC), body)
        ours = signatures.sign(KEY, webhook_id, now, body.encode())
        assert theirs == ours
        headers = {"webhook-id": webhook_id, "webhook-timestamp": str(now), "webhook-signature": theirs}
        assert signatures.verify(headers, body.encode(), [KEY], now) == webhook_id
        assert oracle.verify(body, {**headers, "webhook-signature": ours}) == json.loads(body)
