"""The one door to Redis: what we ask of any broker. The server we bring along is in `tasks.embedded`."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipeline.model.errors import ConfigError, Unavailable
from tasks.embedded import SOCKET_PATH_BYTES, EmbeddedBroker, embedded_url, find_server, tied

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "SOCKET_PATH_BYTES",
    "EmbeddedBroker",
    "dead_counts",
    "embedded_url",
    "find_server",
    "hears_heartbeat",
    "ping",
    "queue_length",
    "tied",
]

_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")  # kombu keeps a list for each step of priority (5.7.0, `Channel.sep`)
_TLS_CHECKS = {"CERT_NONE": "none", "CERT_OPTIONAL": "optional", "CERT_REQUIRED": "required"}  # kombu's words, and redis-py's


@contextmanager
def _client(url: str, timeout: float) -> Iterator[redis.Redis]:
    """A connection to the broker for a few commands, each bounded by `timeout` seconds, none repeated."""
    client = redis.Redis.from_url(_redis_url(url), socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0))
    try:
        yield client
    finally:
        client.close()


def _redis_url(url: str) -> str:
    """Celery's spelling of a broker in redis-py's: `redis+socket:///path?virtual_host=1` is `unix:///path?db=1`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme in {"redis", "rediss"}:
        if "ssl_cert_reqs" in query:
            query["ssl_cert_reqs"] = _TLS_CHECKS.get(query["ssl_cert_reqs"], query["ssl_cert_reqs"])
        return urlunsplit(parts._replace(query=urlencode(query)))
    if parts.scheme == "redis+socket":
        if "virtual_host" in query:
            query["db"] = query.pop("virtual_host").strip("/")
        return f"unix://{parts.netloc}{parts.path}?{urlencode(query)}"  # urlunsplit drops the slashes of a scheme it does not know
    message = f"broker: {parts.scheme or 'this'} is not supported; expected redis://, rediss:// or redis+socket:///path"
    raise ConfigError(message)


def ping(url: str, timeout: float = 1.0) -> bool:
    """Whether the broker answers within `timeout` seconds. Raises ConfigError for a URL that is none."""
    with _client(url, timeout) as client:
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False


def queue_length(url: str, queue: str, timeout: float = 1.0) -> int:
    """Messages that wait in a queue. Raises Unavailable when the broker does not answer within `timeout` seconds."""
    with _client(url, timeout) as client, _broker_errors(), client.pipeline(transaction=False) as pipe:
        for step in _PRIORITIES:
            pipe.llen(queue + step)
        return sum(int(n) for n in pipe.execute())


def dead_counts(url: str, timeout: float = 1.0) -> dict[str, int]:
    """Messages ever parked, by queue (`tasks.transport`). Raises Unavailable like `queue_length`."""
    with _client(url, timeout) as client, _broker_errors():
        return {_text(queue): int(count) for queue, count in client.hgetall("dead.counts").items()}


def hears_heartbeat(url: str, worker: str, seconds: float) -> bool:
    """Whether the worker of that node name (`feeds@host`) tells within `seconds` that it lives.

    A worker's main loop publishes a heartbeat every 2 s (celery 5.7.0, `celery.worker.heartbeat`) on the channel kombu
    makes of exchange and routing key, `/<db>.celeryev/worker.heartbeat`. Listening costs the worker nothing.
    Raises Unavailable when the broker does not answer.
    """
    until = time.monotonic() + seconds
    with _client(url, 3.0) as client, _broker_errors(), client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(f"/{client.get_connection_kwargs().get('db') or 0}.celeryev/worker.heartbeat")
        while (left := until - time.monotonic()) > 0:
            message = heard.get_message(timeout=left)
            if message is not None and _sender(message["data"]) == worker:
                return True
    return False


def _sender(raw: bytes) -> str:
    """The node name in an event as kombu wraps it; "" for anything else on the channel."""
    try:
        return str(json.loads(raw)["headers"]["hostname"])
    except (ValueError, TypeError, LookupError):
        return ""


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        message = f"the broker does not answer: {type(error).__name__}"
        raise Unavailable(message) from error
