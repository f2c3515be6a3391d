"""The hardened Redis transport: kombu's own, with its faults of 5.7.0 kept from the worker.

What is wrong upstream (each was seen with kombu and Celery 5.7.0 and redis-py 8.1.0, each has a test that fails once it is mended):

1. `Channel.close()` raises when Redis is gone, in the middle of its work; the worker's second try meets a closed transport
   and the worker exits. Here `close()` finishes without the server, and an acknowledgement that comes later, on the closed
   channel, is a connection error, which Celery logs.
2. A malformed message raises wherever it is first looked at, ends the worker or (KeyError counts as a lost connection) has it
   reconnect for ever. Here the raw bytes are checked before kombu parses them (`tasks.envelope`), and what fails is parked.
3. So does a malformed broadcast (remote control, events). Here it is dropped.
4. So does a malformed entry of the `unacked` hash, at every start. Here it is parked.
5. Without `socket_timeout` a publish to a Redis that no longer answers waits for ever. Here every wait has a bound. A worker
   has half a dozen connections, and after a network that forgot them would wait for each in turn, while its pool's limits
   of time run; here, once one has waited in vain, the others are made anew before they are used.
6. A worker whose first try to reconnect fails rests 2 s, then 4, then 6, up to 30. A broker that was started again is back in
   a tenth of a second, so here the rests begin there, and none is longer than 5 s.
7. redis-py reads what others broadcast without any bound. A worker that was told there was something, on a connection made anew
   meanwhile, waits for ever for the next broadcast. Here that wait is as long as any other.
8. An acknowledgement that fails leaves its message counted as under way, and the worker waits for room for ever. Here it
   counts no more; what Redis still has of it comes back by the visibility timeout.

A parked message is in the list `dead.<queue>`, newest first, and counted in the hash `dead.counts`.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import kombu
import kombu.transport
from celery.app import amqp
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as upstream
from kombu.utils.scheduling import round_robin_cycle

from pipeline.model.errors import ConfigError
from tasks import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    _Cycle = round_robin_cycle[str]
else:
    _Cycle = round_robin_cycle

_log = logging.getLogger(__name__)

DEAD_PREFIX = "dead."
"""The list of parked messages of a queue is this and the queue's name."""

DEAD_COUNTS = "dead.counts"
"""Hash of queue name → messages ever parked; the lists are bounded, this is not."""

DEAD_KEPT = 1_000
"""Parked messages kept a queue, the newest."""

DEAD_BYTES = 65_536
"""Bytes kept of one parked message, so that a thousand of them stay below 64 MiB."""

RESTS: dict[str, Any] = {"interval_start": 0.1, "interval_step": 0.2, "interval_max": 5.0}
"""Seconds a worker rests between tries to connect; kombu's annotations know whole ones only."""

FIRST = ("upkeep",)
"""Queues that are read before any other."""

_SCHEMES = ("redis", "rediss")


def transport_url(url: str) -> str:
    """The value for Celery's `broker_url` that reaches this broker through the hardened transport.

    Takes `redis://`, `rediss://` and `redis+socket:///path`. kombu resolves a transport from the scheme alone (import
    paths in URLs are refused, kombu issue 2641, and `broker_transport` is ignored for `redis+socket`), so the names
    `redis` and `rediss` are given to `Transport` for this process: the URL stays what Flower and other tools
    understand, and a broker named by `CELERY_BROKER_URL` or `--broker` is reached the same way.
    A `rediss://` URL that does not say how certificates are checked has them checked (kombu would not).

    Raises ConfigError for any other scheme.
    """
    parts = urlsplit(url)
    if parts.scheme not in {*_SCHEMES, "redis+socket"}:
        message = f"broker: {parts.scheme or 'this'} is not supported; expected redis://, rediss:// or redis+socket:///path"
        raise ConfigError(message)
    _take_names()
    query = dict(parse_qsl(parts.query))
    if parts.scheme != "rediss" or "ssl_cert_reqs" in query:
        return url
    return urlunsplit(parts._replace(query=urlencode({**query, "ssl_cert_reqs": "CERT_REQUIRED"})))


def _take_names() -> None:
    for name in _SCHEMES:
        TRANSPORT_ALIASES[name] = f"{__name__}:Transport"
        # a connection made earlier in this process has left the stock class here
        kombu.transport._transport_cache.pop(name, None)  # type: ignore[attr-defined]  # noqa: SLF001


class _Bounded:
    """A connection on which nobody waits for ever: not for broadcasts either, which redis-py reads without any bound."""

    def read_response(self, *given: Any, **options: Any) -> Any:
        """The answer. Raises redis-py's TimeoutError after `socket_timeout`, or what the caller named."""
        if options.get("timeout", 0) is None:
            del options["timeout"]
        return super().read_response(*given, **options)  # type: ignore[misc]


class _Wary(_Bounded):
    """A connection that is made anew before its next command, where another of this process waited in vain since it last heard.

    BRPOP is left alone: the loop waits on that socket, and kombu itself replaces it when its answer is overdue.
    """

    if TYPE_CHECKING:
        _sock: object
        disconnect: Callable[[], None]

    doubt = -math.inf
    _heard = math.inf

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002  redis-py's signature
        """Send, on a connection that is not in doubt. Raises redis-py's connection errors."""
        if self._sock is not None and self._heard < _Wary.doubt and not _is_brpop(command):
            self._heard = math.inf  # it greets the server, through here, while it is made anew
            self.disconnect()
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    def read_response(self, *given: Any, **options: Any) -> Any:
        """The answer. Raises redis-py's TimeoutError, from which on all others are in doubt."""
        try:
            answer = super().read_response(*given, **options)
        except upstream.redis.TimeoutError:  # type: ignore[attr-defined]  # the stubs leave it out
            _Wary.doubt = time.monotonic()
            raise
        self._heard = time.monotonic()
        return answer


def _is_brpop(command: Any) -> bool:
    return any(b"BRPOP" in part for part in ([command] if isinstance(command, bytes) else command))


class _TcpConnection(_Wary, upstream.Channel.connection_class):  # type: ignore[misc, valid-type]
    """redis-py's connection by TCP."""


class _TlsConnection(_Wary, upstream.Channel.connection_class_ssl):  # type: ignore[misc, valid-type]
    """redis-py's connection by TLS."""


class QoS(upstream.QoS):
    """kombu's record of unacknowledged messages; entries that cannot be put back are parked."""

    channel: Channel
    if TYPE_CHECKING:  # what kombu has and its stubs leave out
        _quick_ack: Callable[[str], None]

    def ack(self, delivery_tag: str) -> None:
        """Note a message as done with. Raises redis-py's connection errors, after which it counts no more, either.

        Upstream counts it as under way for ever: a worker of one process never takes a message again.
        """
        try:
            super().ack(delivery_tag)
        except self.channel.connection_errors:
            self._quick_ack(delivery_tag)
            raise

    def restore_by_tag(self, tag: str, client: Any | None = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002  kombu's signature
        """Put one unacknowledged message back, or park it. Raises redis-py's connection errors."""
        with self.channel.conn_or_acquire(client) as connection:
            raw = connection.hget(self.unacked_key, tag)
            reason = envelope.restored_problem(raw, self.channel.task_names) if raw is not None else ""
            if not reason:
                super().restore_by_tag(tag, client=connection, leftmost=leftmost)
                return
            self.channel.park("unacked", raw, reason)
            connection.hdel(self.unacked_key, tag)
            connection.zrem(self.unacked_index_key, tag)


class Channel(upstream.Channel):
    """kombu's Redis channel, with each wait bounded and each raw message checked.

    Transport option `task_names`: the names of the tasks there are; a message for any other is parked. Empty: any name.
    """

    if TYPE_CHECKING:  # what kombu has and its stubs leave out
        _disconnect_pools: Callable[[], None]
        _close_clients: Callable[[], None]
        connection_errors: tuple[type[Exception], ...]

    QoS = QoS
    task_names: Collection[str] = ()
    from_transport_options = (*upstream.Channel.from_transport_options, "task_names")

    # Seconds. A worker's main process must not wait longer than the limits of its tasks, 5 s, or it ends pool processes that are done.
    socket_timeout = 2.0
    socket_connect_timeout = 3.0
    socket_keepalive = True
    health_check_interval = 2
    visibility_timeout = 120
    connection_class = _TcpConnection
    connection_class_ssl = _TlsConnection
    queue_order_strategy = f"{__name__}:FirstOfAll"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Connect, and put the check where kombu reads the answer to BRPOP."""
        super().__init__(*args, **kwargs)
        self._read = self.client.parse_response
        self.client.parse_response = self._checked_read

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  kombu's signature
        """kombu's, bounded where it chose a class of connection that is not ours: that for a socket of the machine."""
        made: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]
        chosen = made["connection_class"]
        if not issubclass(chosen, _Bounded):
            made["connection_class"] = type(chosen.__name__, (_Bounded, chosen), {})
        return made

    def _checked_read(self, connection: Any, command_name: str, **options: Any) -> Any:
        """redis-py's answer; a message that must not be seen is parked and reads as None, like a BRPOP whose time is up."""
        reply = self._read(connection, command_name, **options)
        if command_name != "BRPOP" or not reply:
            return reply
        key, raw = reply
        queue = key.decode("utf-8", "replace").rsplit(self.sep, 1)[0]
        reason = envelope.control_problem(raw) if envelope.is_control(queue) else envelope.task_problem(raw, self.task_names)
        if not reason:
            return reply
        self.park(queue, raw, reason)
        return None

    def _handle_message(self, client: Any, response: Any) -> dict[str, Any]:
        """A broadcast as kombu takes it; the data of one that must not be seen is None, which kombu passes over."""
        payload: dict[str, Any] = super()._handle_message(client, response)  # type: ignore[misc]
        data = payload["data"]
        if isinstance(data, bytes) and data and (reason := envelope.control_problem(data)):
            _log.warning("broadcast_dropped", extra={"reason": reason, "size": len(data)})
            payload["data"] = None
        return payload

    @contextmanager
    def conn_or_acquire(self, client: Any | None = None) -> Iterator[Any]:
        """As kombu's. Raises ConnectionAbortedError on a closed channel: its messages come back by the visibility timeout."""
        if client is None and (self.connection is None or self.connection.client is None):
            message = "the channel is closed"
            raise ConnectionAbortedError(message)
        with super().conn_or_acquire(client) as acquired:
            yield acquired

    def park(self, queue: str, raw: bytes, reason: str) -> None:
        """Keep a message nobody may process in `dead.<queue>` and count it. Raises redis-py's connection errors.

        Neither its text nor anything made from it is logged: it may hold anything.
        """
        _log.warning("message_parked", extra={"queue": queue, "reason": reason, "size": len(raw)})
        key = DEAD_PREFIX + queue
        try:
            with self.conn_or_acquire() as client, client.pipeline() as pipe:
                pipe.lpush(key, raw[:DEAD_BYTES]).ltrim(key, 0, DEAD_KEPT - 1).hincrby(DEAD_COUNTS, queue, 1).execute()
        except self.ResponseError:
            # a full server; the message is no work, the warning above is its account
            _log.exception("message_not_kept", extra={"queue": queue})

    def close(self) -> None:
        """Close as kombu does; where that needs a server that is gone, let go of everything on this side."""
        try:
            super().close()
        except self.connection_errors as error:
            _log.warning("channel_abandoned", extra={"error": type(error).__name__})
            self._abandon()

    def _abandon(self) -> None:
        self.do_restore = False  # nothing to put messages back into; the visibility timeout returns them
        transport = self.connection
        if transport is not None:
            cast("upstream.MultiChannelPoller", transport.cycle).discard(self)
        self._disconnect_pools()
        self._close_clients()
        self.closed = True
        if transport is not None:
            transport.close_channel(self)


class FirstOfAll(_Cycle):
    """The order in which queues are read: those in `FIRST`, then the others in turn. What upkeep frees the others wait for."""

    def consume(self, n: int) -> Any:
        """The next `n` queues, as a list."""
        return sorted(super().consume(n), key=lambda queue: queue not in FIRST)


class Transport(upstream.Transport):
    """kombu's Redis transport with the hardened channel; to Celery and Flower it is still `redis`."""

    Channel = Channel


class Connection(kombu.Connection):
    """kombu's connection, with shorter rests between tries; it is asked through `AMQP`."""

    def ensure_connection(self, *given: Any, **options: Any) -> Connection:
        """As kombu's. Celery's consumer gives errback and most tries, and leaves the rests to this default."""
        super().ensure_connection(*given, **{**RESTS, **options})
        return self


class AMQP(amqp.AMQP):
    """Celery's door to kombu, with our connection: `Celery(amqp=…)`."""

    Connection = Connection
