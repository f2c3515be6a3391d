"""Nothing anybody writes to Redis, and nothing that happens to Redis, ends a worker or makes it reconnect for ever.

The tests named `upstream` show each fault in kombu's own transport. One of them failing is good news: the fault is mended
and its part of `tasks.transport` can go.
"""

from __future__ import annotations

import base64
import inspect
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import kombu
import pytest
import redis
from celery import Celery
from celery.worker.request import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.transport import TRANSPORT_ALIASES, get_transport_cls
from kombu.transport import redis as upstream
from kombu.transport.virtual import Message

from pipeline.model.errors import ConfigError
from tasks import envelope, transport
from tasks.broker import EmbeddedBroker, dead_counts, queue_length, tied
from tests.support.envelopes import MISSING, poison, template
from tests.support.envelopes import altered as but
from tests.support.toxic import Toxic, ToxicProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
QUEUE = "probe"
NAMES = ("probe.mark", "probe.hold")

TRANSPORT_ALIASES["stock"] = "kombu.transport.redis:Transport"


def until(holds: Callable[[], bool], what: str, seconds: float = 25.0) -> None:
    """Wait for something to hold, and fail by its name when it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def connect(url: str) -> redis.Redis:
    """A plain connection to the server."""
    return redis.Redis(unix_socket_path=urlsplit(url).path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One server for the tests that do not break it."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def url(server: EmbeddedBroker) -> str:
    """The URL of an empty server, hardened."""
    connect(server.url).flushall()
    return transport.transport_url(server.url)


def stock(url: str) -> str:
    """The same server through kombu's own transport."""
    return "stock" + url.removeprefix("redis")


def channel_of(connection: kombu.Connection) -> upstream.Channel:
    """The channel a connection uses for itself."""
    channel = connection.default_channel
    assert isinstance(channel, upstream.Channel)
    return channel


# What Celery sends -------------------------------------------------------------------------------------------------


def sender(url: str) -> Celery:
    """An app that only sends."""
    app = Celery("sender", broker=url, set_as_current=False)
    app.conf.update(task_ignore_result=True, task_send_sent_event=True)
    return app


def nothing(*_: object) -> None:
    """A task's work, where only its message matters."""


def send(url: str, name: str, *args: object, **options: Any) -> None:
    """Send one task over a connection of its own."""
    with sender(url) as app:
        app.send_task(name, args=args, queue=QUEUE, **options)


def sent(url: str, **options: Any) -> bytes:
    """The raw message of one task as this version of Celery writes it."""
    send(url, "probe.mark", ["demo/feed:world"], **options)
    raw = connect(url).rpop(QUEUE)
    assert isinstance(raw, bytes)
    return raw


@pytest.mark.parametrize(
    "options", [{}, {"expires": 3}, {"root_id": "root", "parent_id": "parent"}, {"headers": {"traceparent": "00-1-2-03"}}]
)
def test_what_celery_sends_passes(url: str, options: dict[str, Any]) -> None:
    """Plain, with an expiry, from inside a task, and with a tracer's header."""
    assert envelope.task_problem(sent(url, **options), NAMES) == ""


def test_a_retry_after_a_lost_child_passes(url: str) -> None:
    """`task_retry_on_worker_lost` sends the message again from what the request was."""
    app = sender(url)
    task = app.task(name="probe.mark")(nothing)
    headers = json.loads(sent(url))["headers"]
    context = task.request_stack.top or task.request
    context.update({**headers, "args": [["demo/feed:world"]], "kwargs": {}, "delivery_info": {"exchange": "", "routing_key": QUEUE}})
    task.signature_from_request(context, queue=QUEUE, countdown=0, retries=1).apply_async()
    raw = connect(url).rpop(QUEUE)
    assert isinstance(raw, bytes)
    assert json.loads(raw)["headers"]["retries"] == 1
    assert envelope.task_problem(raw, NAMES) == ""


def test_a_message_put_back_passes(url: str) -> None:
    """It is marked as redelivered."""
    raw = sent(url)
    with kombu.Connection(url) as connection:
        with kombu.Consumer(connection, [kombu.Queue(QUEUE)], on_message=lambda _: None):
            connect(url).lpush(QUEUE, raw)
            connection.drain_events(timeout=5)
        channel_of(connection).close()
    back = connect(url).rpop(QUEUE)
    assert isinstance(back, bytes)
    assert json.loads(back)["headers"]["redelivered"] is True
    assert envelope.task_problem(back, NAMES) == ""


# Poison ------------------------------------------------------------------------------------------------------------

SOUND = template("probe.mark", QUEUE)
POISON = poison("probe.mark", QUEUE)


def altered(*path: str, to: object = MISSING) -> bytes:
    """The sound message with one member changed or, without `to`, left out."""
    return but(SOUND, *path, to=to)


def test_the_template_itself_is_sound() -> None:
    """Each poison differs from it in one place."""
    assert envelope.task_problem(json.dumps(SOUND).encode(), NAMES) == ""


@pytest.mark.parametrize("raw", POISON.values(), ids=POISON)
def test_poison_gets_a_reason_that_repeats_nothing_of_it(raw: bytes) -> None:
    """The reason goes to the log, and the message may hold anything."""
    reason = envelope.task_problem(raw, NAMES)
    assert reason
    assert len(reason) < 80
    assert "%%%%" not in reason
    assert "hello" not in reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [(a,) for a in SOUND] + [(a, b) for a in ("headers", "properties") for b in SOUND[a]] + [("headers", "new"), ("properties", "new")]


class Codec:
    """As much of a channel as a message asks for."""

    no_ack_consumers = None

    def decode_body(self, body: str, encoding: str | None = None) -> bytes:
        """Decode as kombu's channel does."""
        assert encoding == "base64"
        return base64.b64decode(body)


@settings(deadline=None)
@given(path=st.sampled_from(PATHS), value=JSON)
def test_whatever_passes_can_be_made_a_request(path: tuple[str, ...], value: object) -> None:
    """Change any member to anything: either there is a reason, or Celery can take it."""
    raw = altered(*path, to=value)
    if envelope.task_problem(raw, NAMES):
        return
    message = Message(json.loads(raw), channel=Codec())  # type: ignore[arg-type]
    request = Request(message, app=REQUESTS, task=REQUESTS.tasks["probe.mark"], headers=message.headers)
    request.revoked()
    request.info()
    hash(request.id)


REQUESTS = Celery("requests", broker="memory://", set_as_current=False)
REQUESTS.task(name="probe.mark")(nothing)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_check_raise(raw: bytes) -> None:
    """Whatever was pushed, there is an answer."""
    assert envelope.task_problem(raw, NAMES)
    assert envelope.control_problem(raw)
    assert envelope.restored_problem(raw, NAMES)


# In this process ---------------------------------------------------------------------------------------------------


@contextmanager
def consuming(url: str, queue: kombu.Queue | None = None, **options: object) -> Iterator[tuple[kombu.Connection, list[object]]]:
    """A consumer, and the ids of what reached it."""
    got: list[object] = []
    with kombu.Connection(url, transport_options={"task_names": NAMES, **options}) as connection:
        consumer = kombu.Consumer(
            connection, [queue or kombu.Queue(QUEUE)], on_message=lambda m: got.append(m.headers.get("id")), no_ack=True
        )
        consumer.consume()
        yield connection, got


def drain(connection: kombu.Connection, got: list[object], count: int = 1) -> None:
    """Take messages until that many were seen."""
    deadline = time.monotonic() + 20
    while len(got) < count:
        assert time.monotonic() < deadline, "never: the message arrived"
        with suppress(socket.timeout):
            connection.drain_events(timeout=0.1)


@pytest.mark.parametrize("key", [QUEUE, f"{QUEUE}\x06\x169"], ids=["queue", "priority 9"])
def test_poison_is_parked_as_it_was_and_the_good_message_behind_it_arrives(url: str, key: str) -> None:
    """Each is accounted for, in the list and in the count."""
    client = connect(url)
    client.lpush(key, *POISON.values())
    client.lpush(key, json.dumps(SOUND))
    with consuming(url) as (connection, got):
        drain(connection, got)
    assert got == ["an-id"]
    assert client.lrange(f"dead.{QUEUE}", 0, -1) == [raw[: transport.DEAD_BYTES] for raw in reversed(POISON.values())]
    assert dead_counts(url) == {QUEUE: len(POISON)}
    assert queue_length(url, QUEUE) == 0


def test_parked_messages_are_bounded_and_counted_beyond_that(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept."""
    monkeypatch.setattr(transport, "DEAD_KEPT", 5)
    client = connect(url)
    client.lpush(QUEUE, *(str(n) for n in range(20)), json.dumps(SOUND))
    with consuming(url) as (connection, got):
        drain(connection, got)
    assert client.lrange(f"dead.{QUEUE}", 0, -1) == [b"19", b"18", b"17", b"16", b"15"]
    assert dead_counts(url) == {QUEUE: 20}


def test_the_log_names_the_event_and_never_the_message(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each."""
    connect(url).lpush(QUEUE, b"a secret in the wrong place", json.dumps(SOUND))
    with consuming(url) as (connection, got):
        drain(connection, got)
    (record,) = [r for r in caplog.records if r.name == "tasks.transport"]
    assert record.getMessage() == "message_parked"
    assert vars(record).items() >= {"queue": QUEUE, "size": 27, "reason": "cannot be read: JSONDecodeError"}.items()
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "name", ["not JSON", "a number", "no properties", "no delivery_tag", "headers a string", "very deep", "body a number"]
)
def test_upstream_lets_a_malformed_message_raise(url: str, name: str) -> None:
    """Fault 2 (kombu 5.7.0): out of `drain_events`, which is the worker's main loop."""
    connect(url).lpush(QUEUE, POISON[name])
    with consuming(stock(url)) as (connection, _), pytest.raises(Exception, match=r".*") as caught:
        connection.drain_events(timeout=5)
    assert not isinstance(caught.value, socket.timeout)


BROADCASTS = {
    name: POISON[name]
    for name in (
        "not JSON",
        "a number",
        "a list",
        "null",
        "no properties",
        "delivery_info a string",
        "very deep",
        "headers a string",
        "body null",
    )
}


def broadcast_queue(url: str) -> kombu.Queue:
    """A queue like the one remote control listens on."""
    exchange = kombu.Exchange("probe.pidbox", type="fanout", durable=False)
    return kombu.Queue(f"node.{urlsplit(url).scheme}.probe.pidbox", exchange, durable=False, auto_delete=True)


def listen(connection: kombu.Connection, client: redis.Redis) -> None:
    """Poll until the subscription stands."""
    deadline = time.monotonic() + 10
    while not client.pubsub_numpat():
        assert time.monotonic() < deadline, "never: subscribed"
        with suppress(socket.timeout):
            connection.drain_events(timeout=0.05)


def test_a_malformed_broadcast_is_dropped(url: str) -> None:
    """Remote control goes on working behind it."""
    client = connect(url)
    with consuming(url, broadcast_queue(url)) as (connection, got):
        listen(connection, client)
        for raw in BROADCASTS.values():
            client.publish("/0.probe.pidbox", raw)
        client.publish("/0.probe.pidbox", json.dumps(SOUND))
        drain(connection, got)
    assert got == ["an-id"]


@pytest.mark.parametrize("name", ["a number", "no properties", "very deep"])
def test_upstream_lets_a_malformed_broadcast_raise(url: str, name: str) -> None:
    """Fault 3 (kombu 5.7.0)."""
    client = connect(url)
    with consuming(stock(url), broadcast_queue(stock(url))) as (connection, _):
        listen(connection, client)
        client.publish("/0.probe.pidbox", BROADCASTS[name])
        with pytest.raises(Exception, match=r".*") as caught:
            connection.drain_events(timeout=5)
    assert not isinstance(caught.value, socket.timeout)


UNACKED = {
    "not JSON": b"hello",
    "no triple": b"[1]",
    "a number": b"5",
    "message a string": b'["x", "", "probe"]',
    "poison inside": b'[{"headers": 1}, "", "probe"]',
    "exchange a list": json.dumps([SOUND, [], QUEUE]).encode(),
}


def hold_unacked(client: redis.Redis, tag: str, raw: bytes) -> None:
    """An entry as a worker that died an age ago left it."""
    client.hset("unacked", tag, raw)
    client.zadd("unacked_index", {tag: 1.0})


def test_unacked_entries_come_back_or_are_parked(url: str) -> None:
    """What a dead worker held is delivered again; what cannot be is kept aside and gone from the hash."""
    client = connect(url)
    for tag, raw in UNACKED.items():
        hold_unacked(client, tag, raw)
    hold_unacked(client, "a-tag", json.dumps([SOUND, "", QUEUE]).encode())
    with consuming(url, unacked_restore_throttle=1) as (connection, got):
        drain(connection, got)
    assert got == ["an-id"]
    assert not client.hgetall("unacked")
    assert client.zcard("unacked_index") == 0
    assert sorted(client.lrange("dead.unacked", 0, -1)) == sorted(UNACKED.values())
    assert dead_counts(url) == {"unacked": len(UNACKED)}


@pytest.mark.parametrize("name", ["not JSON", "no triple", "a number"])
def test_upstream_lets_a_malformed_unacked_entry_raise(url: str, name: str) -> None:
    """Fault 4 (kombu 5.7.0): and as it stays where it is, at every start again."""
    hold_unacked(connect(url), "a-tag", UNACKED[name])
    for _ in range(2):
        with kombu.Connection(stock(url)) as connection, pytest.raises((ValueError, TypeError)):
            channel_of(connection).qos.restore_visible(interval=1)


def test_an_answer_to_remote_control_is_no_task_and_passes(url: str) -> None:
    """Replies travel by queue, without task headers."""
    reply = json.dumps({**SOUND, "headers": {"ticket": "t", "clock": 3}, "body": base64.b64encode(b'{"node": {"ok": "pong"}}').decode()})
    client = connect(url)
    name = "oid.reply.celery.pidbox"
    client.lpush(name, b"poison", reply)
    with consuming(url, kombu.Queue(name)) as (connection, got):
        drain(connection, got)
    assert dead_counts(url) == {name: 1}


# When Redis goes away ----------------------------------------------------------------------------------------------


@contextmanager
def killed_while_waiting(url: str, server: EmbeddedBroker) -> Iterator[tuple[upstream.Channel, kombu.Message]]:
    """A channel whose BRPOP is under way to a server that was just killed, and a message it has not acknowledged."""
    got: list[kombu.Message] = []
    connection = kombu.Connection(url)
    channel = channel_of(connection)
    kombu.Consumer(channel, [kombu.Queue(QUEUE)], on_message=got.append).consume()
    connect(url).lpush(QUEUE, json.dumps(SOUND))
    connection.drain_events(timeout=5)
    with suppress(socket.timeout):
        connection.drain_events(timeout=0.05)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: server.pid is None, "the server is dead")
    try:
        yield channel, got[0]
    finally:
        channel.do_restore = False
        with suppress(Exception):
            connection.release()


def test_a_channel_closes_without_its_server(tmp_path: Path) -> None:
    """Nothing raises, closing again does nothing, and its sockets are closed."""
    with EmbeddedBroker(tmp_path) as server, killed_while_waiting(transport.transport_url(server.url), server) as (channel, _):
        channel.close()
        assert channel.closed
        channel.close()
        assert channel.client.connection is None


def test_a_late_acknowledgement_is_a_connection_error(tmp_path: Path) -> None:
    """Celery catches and logs those; the message is delivered again."""
    with EmbeddedBroker(tmp_path) as server, killed_while_waiting(transport.transport_url(server.url), server) as (channel, message):
        channel.close()
        with pytest.raises(transport.Transport.connection_errors, match="closed"):
            message.ack()


@pytest.mark.parametrize(("way", "room"), [(transport.transport_url, True), (stock, False)], ids=["ours", "upstream"])
def test_a_failed_acknowledgement_leaves_room_for_the_next_message(tmp_path: Path, way: Callable[[str], str], room: bool) -> None:  # noqa: FBT001
    """Fault 8 (kombu 5.7.0): a worker of one process, whose one message could not be acknowledged, would never take another."""
    with EmbeddedBroker(tmp_path) as server, killed_while_waiting(way(server.url), server) as (channel, message):
        channel.qos.prefetch_count = 1
        assert not channel.qos.can_consume()
        with pytest.raises(redis.ConnectionError):
            message.ack()
        assert channel.qos.can_consume() is room


def test_upstream_raises_at_close_when_redis_is_gone(tmp_path: Path) -> None:
    """Fault 1 (kombu 5.7.0)."""
    with EmbeddedBroker(tmp_path) as server, killed_while_waiting(stock(server.url), server) as (channel, _):
        with pytest.raises(redis.ConnectionError):
            channel.close()
        assert not channel.closed


def test_a_publish_to_a_deaf_redis_is_given_up(tmp_path: Path) -> None:
    """A stopped server accepts connections and never answers; the default bound is 2 s, here it is shorter."""
    assert transport.Channel.socket_timeout == 2.0
    with EmbeddedBroker(tmp_path) as server:
        app = sender(transport.transport_url(server.url))
        app.conf.update(broker_transport_options={"socket_timeout": 0.3}, task_publish_retry=False)
        app.send_task("probe.mark", queue=QUEUE)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(kombu.exceptions.OperationalError):
                app.send_task("probe.mark", queue=QUEUE)
        finally:
            os.kill(server.pid, signal.SIGCONT)
            app.close()


def test_once_one_connection_waited_in_vain_the_others_are_made_anew(server: EmbeddedBroker) -> None:
    """A network that forgot its connections tells nobody; to wait for each of a worker's would take longer than its tasks may."""
    with ToxicProxy(Path(urlsplit(server.url).path)) as proxy:
        first, second = (transport._TcpConnection(host="127.0.0.1", port=proxy.port, socket_timeout=0.3, retry=None) for _ in range(2))
        for connection in (first, second):
            connection.send_command("PING")
            assert connection.read_response() == b"PONG"
        proxy.toxic = Toxic.FORGET
        first.send_command("PING")
        with pytest.raises(redis.TimeoutError):
            first.read_response()
        second.send_command("PING")
        assert second.read_response() == b"PONG"
        made = proxy.connections
        second.send_command("PING")
        assert second.read_response() == b"PONG"
        assert proxy.connections == made
        first.disconnect()
        second.disconnect()


@pytest.mark.parametrize(("way", "bounded"), [(transport.transport_url, True), (stock, False)], ids=["ours", "upstream"])
def test_nobody_waits_for_ever_for_a_broadcast(server: EmbeddedBroker, way: Callable[[str], str], bounded: bool) -> None:  # noqa: FBT001
    """Fault 7 (redis-py 8.1.0): it takes the socket's bound away, and a main process that was told of nothing is never heard of again."""
    with kombu.Connection(way(server.url), transport_options={"socket_timeout": 0.2}) as connection:
        listener = channel_of(connection).client.pubsub()
        listener.subscribe("quiet")
        assert listener.parse_response()[0] == b"subscribe"

        def listen() -> None:
            with suppress(redis.TimeoutError):
                listener.parse_response()

        waiting = threading.Thread(target=listen, daemon=True)
        waiting.start()
        waiting.join(10 if bounded else 1)
        assert waiting.is_alive() is not bounded
        connect(server.url).publish("quiet", b"the end")
        waiting.join(10)
        assert not waiting.is_alive()


def test_upstream_waits_for_ever_by_default() -> None:
    """Fault 5 (kombu 5.7.0)."""
    assert upstream.Channel.socket_timeout is None


# With a real worker ------------------------------------------------------------------------------------------------


@contextmanager
def worker(url: str, pool: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker with two slots; it is alive when this begins."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    command = [sys.executable, "-m", "celery", "-A", "worker_app", "worker", "-P", pool, "-c", "2", "-Q", QUEUE, "-l", "INFO"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            tied([*command, "--without-gossip", "--without-mingle", "-Ofair"]),
            env={**os.environ, "PYTHONPATH": path, "PROBE_BROKER": url, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def runs_a_task(url: str, process: subprocess.Popen[bytes], mark: Path) -> None:
    """Send one good task and see its effect."""
    send(url, "probe.mark", str(mark))
    until(lambda: mark.exists() or process.poll() is not None, "the good task ran")
    assert process.poll() is None, "the worker died"


def flows_again(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Nudge as upkeep does, again while nothing happens, until one task ran.

    A single message proves too little and too much: Celery 5.7.0 forgets at a reconnect which children are busy with a job
    whose acknowledgement it has not read yet (`asynpool.flush`), and may put the next job behind such a one.
    """
    folder.mkdir()
    mark = folder / "mark"
    patience = 25
    for _ in range(patience):
        send(url, "probe.mark", str(mark))
        with suppress(AssertionError):
            until(lambda: mark.exists() or process.poll() is not None, "a task ran", seconds=1.0)
            break
    assert process.poll() is None, "the worker died"
    assert mark.exists(), "never: work flows again"


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_takes_every_poison_and_then_the_next_task(url: str, tmp_path: Path, pool: str) -> None:
    """No death, no reconnect, each accounted for, and remote control answers (FT13)."""
    client, log = connect(url), tmp_path / "log"
    with worker(url, pool, log) as process:
        runs_a_task(url, process, tmp_path / "before")
        for raw in BROADCASTS.values():
            client.publish("/0.celery.pidbox", raw)
        client.lpush(QUEUE, *POISON.values())
        runs_a_task(url, process, tmp_path / "after")
        with sender(url) as app:
            assert app.control.ping(timeout=5, limit=1)
        assert client.hlen("unacked") == 0
    assert sorted(client.lrange(f"dead.{QUEUE}", 0, -1)) == sorted(raw[: transport.DEAD_BYTES] for raw in POISON.values())
    assert "Connection to broker lost" not in log.read_text()


@pytest.mark.parametrize(("pool", "ack"), [("prefork", "PROBE_EARLY"), ("prefork", "PROBE_LATE"), ("threads", "PROBE_LATE")])
def test_a_busy_worker_lives_on_when_redis_is_killed(tmp_path: Path, pool: str, ack: str) -> None:
    """One slot busy, one free, two kills (FT2, the short form). Acknowledging late is the harder case: fault 1 ended that worker."""
    with EmbeddedBroker(tmp_path / "data") as server, worker(server.url, pool, tmp_path / "log", **{ack: "1"}) as process:
        url = transport.transport_url(server.url)
        for number in range(2):
            started, end = tmp_path / f"started{number}", tmp_path / f"end{number}"
            send(url, "probe.hold", str(started), str(end))
            until(started.exists, "the long task runs")
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            until(lambda: server.pid is None, "the server is dead")
            server.start()
            flows_again(url, process, tmp_path / f"next{number}")
            end.touch()


@pytest.mark.parametrize("stock", [False, True], ids=["ours", "upstream"])
def test_a_child_that_is_done_outlives_its_limit(url: str, tmp_path: Path, *, stock: bool) -> None:
    """The main process waits for the broker while a task ends within its limit. Upstream (Celery 5.7.0) it then kills the idle child."""
    started, end, log = tmp_path / "started", tmp_path / "end", tmp_path / "log"
    environment = {"PROBE_DEAF": str(tmp_path), **({"PROBE_STOCK": "1"} if stock else {})}
    with worker(url, "prefork", log, **environment) as process:
        send(url, "probe.hold", str(started), str(end))
        until(started.exists, "the task runs")
        (tmp_path / "deaf").touch()
        until((tmp_path / "is deaf").exists, "the main process is kept away")
        end.touch()
        time.sleep(1.2)  # the limit is over, and the task was long before
        (tmp_path / "hears").touch()
        flows_again(url, process, tmp_path / "next")
    assert ("Soft time limit" in log.read_text(errors="replace")) is stock


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_queue_that_is_no_list_stops_nobody_for_ever(url: str, tmp_path: Path, pool: str) -> None:
    """Redis refuses each read (as it does on a full disk); when that is put right work goes on. Needs `broker_channel_error_retry`."""
    client, log = connect(url), tmp_path / "log"
    with worker(url, pool, log) as process:
        runs_a_task(url, process, tmp_path / "before")
        client.set(QUEUE, "no list")
        until(lambda: "Connection to broker lost" in log.read_text(errors="replace"), "the worker met it")
        client.delete(QUEUE)
        runs_a_task(url, process, tmp_path / "after")


@pytest.mark.parametrize("name", ["timelimit a string", "body no triple", "body an empty list"])
def test_upstream_worker_dies_of_a_malformed_message(url: str, tmp_path: Path, name: str) -> None:
    """Fault 2 where it hurts (Celery 5.7.0): the check of the envelope ends in the strategy, past `drain_events`."""
    connect(url).lpush(QUEUE, POISON[name])
    with worker(url, "threads", tmp_path / "log", PROBE_STOCK="1") as process:
        until(lambda: process.poll() is not None, "the stock worker dies")
    assert process.returncode != 0


def test_a_worker_rests_shortly_between_tries_to_reconnect() -> None:
    """A server that was started again is back in a tenth of a second; kombu's first rest is 2 s long."""
    rests: list[float] = []

    def heard(error: Exception, rest: float) -> None:
        rests.append(rest)
        if len(rests) == 3:
            raise error

    with (
        Celery("reader", broker="redis://127.0.0.1:1/0", amqp=transport.AMQP, set_as_current=False) as app,
        app.connection_for_read() as connection,
        pytest.raises(kombu.exceptions.OperationalError),
    ):
        connection.ensure_connection(heard)
    assert rests == [0.1, pytest.approx(0.3), pytest.approx(0.5)]


def test_upstream_rests_for_seconds() -> None:
    """Fault 6 (kombu 5.7.0)."""
    assert inspect.signature(kombu.Connection._ensure_connection).parameters["interval_start"].default == 2


def test_upkeep_is_read_before_what_waits_for_it(url: str) -> None:
    """The others take turns behind it."""
    queues = ("validate", "feeds", "upkeep")
    for queue in queues:
        connect(url).lpush(queue, *[altered("headers", "id", to=queue)] * 3)
    with consuming(url, kombu.Queue("validate")) as (connection, got):
        others = [kombu.Queue(queue) for queue in queues[1:]]
        kombu.Consumer(connection, others, on_message=lambda m: got.append(m.headers["id"]), no_ack=True).consume()
        drain(connection, got, 9)
    assert got[:3] == ["upkeep"] * 3
    assert set(got[3:5]) == {"validate", "feeds"}


# URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["redis://:secret@localhost:6379/1", "redis+socket:///run/redis.sock?virtual_host=2"])
def test_a_url_stays_as_it_is_and_means_the_hardened_transport(url: str) -> None:
    """So Flower and `celery --broker` understand it too."""
    assert transport.transport_url(url) == url
    connection = kombu.Connection(url)
    assert isinstance(connection.create_transport(), transport.Transport)
    assert urlsplit(connection.as_uri()).scheme == urlsplit(url).scheme


def test_a_stock_class_resolved_before_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was once resolved is kept by kombu."""
    monkeypatch.setitem(TRANSPORT_ALIASES, "redis", "kombu.transport.redis:Transport")
    kombu.transport._transport_cache.pop("redis", None)  # type: ignore[attr-defined]
    assert str(get_transport_cls("redis")) == str(upstream.Transport)
    transport.transport_url("redis://localhost")
    assert str(get_transport_cls("redis")) == str(transport.Transport)


def test_tls_certificates_are_checked_unless_the_url_says_otherwise() -> None:
    """A bare rediss:// means "do not check" to kombu."""
    url = transport.transport_url("rediss://broker.example:6380/0")
    assert kombu.Connection(url).ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    chosen = "rediss://broker.example:6380/0?ssl_cert_reqs=CERT_NONE"
    assert transport.transport_url(chosen) == chosen


@pytest.mark.parametrize("url", ["amqp://localhost", "memory://", "sentinel://localhost", "", "tasks.transport:Transport://x"])
def test_another_kind_of_broker_is_a_configuration_error(url: str) -> None:
    """Only Redis is spoken here."""
    with pytest.raises(ConfigError, match="redis://"):
        transport.transport_url(url)


def test_to_celery_and_flower_it_is_redis() -> None:
    """They switch on features by this word."""
    assert transport.Transport.driver_type == "redis"
