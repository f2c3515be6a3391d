"""What a message must look like before kombu and Celery may see it.

Both read what they take from Redis as if only their own kind had written it: a missing header, a body that is no
triple or a deep list ends the worker, and a message that is put back ends it again at every start (kombu and Celery
5.7.0). So the raw bytes are held against the envelope our own `carry` sends (Celery task protocol 2, JSON, base64:
https://docs.celeryq.dev/en/stable/internals/protocol.html), and everything else gets a reason why not.

Pure: bytes in, a fixed phrase out. A phrase never repeats anything of the message.
"""

from __future__ import annotations

import base64
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING

from celery.app.task import Context
from kombu.utils.json import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    Check = Callable[[object], bool]

MAX_BYTES = 262_144
"""Bytes of a raw message. A nudge names sources or outlets and comes to about 1 kB; this leaves room for hundreds of keys."""

MAX_CONTROL_BYTES = 8_388_608
"""Bytes of a raw answer to remote control: `inspect` lists whole configurations and every active task."""

MAX_DEPTH = 16
"""Levels of lists and objects. A task has 4, the answer to `inspect` about 8; kombu parses recursively."""

_MAX_INTEGER = 2**63 - 1
_MAX_RETRIES = 1_000
_MAX_LIMIT_SECONDS = 86_400
_TRIPLE = 3
_PAIR = 2
_TOKEN = re.compile(r"[\x21-\x7e]{1,200}")
_INSTANT = re.compile(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


class _BadError(Exception):
    """The reason a message is refused."""


def task_problem(raw: bytes, names: Collection[str] = ()) -> str:
    """Why these bytes are no task message for us, or "" if they are.

    `names` are the tasks there are; empty means any name will do.
    """
    return _reason(lambda: _check_task(_parse(raw, MAX_BYTES), names))


def control_problem(raw: bytes) -> str:
    """Why these bytes are no control message, event or reply, or "" if they are.

    Those carry an object or a list and need no task headers (kombu `pidbox`, `celery.events`).
    """
    return _reason(lambda: _check_control(_parse(raw, MAX_CONTROL_BYTES)))


def restored_problem(raw: bytes, names: Collection[str] = ()) -> str:
    """Why this value of kombu's `unacked` hash cannot be put back, or "" if it can.

    kombu keeps `[message, exchange, routing key]` there (kombu 5.7.0, `QoS.append`).
    """

    def check() -> None:
        match _parse(raw, MAX_CONTROL_BYTES):
            case [dict() as message, str(), str(key)] if is_control(key):
                _check_control(message)
            case [dict() as message, str(), str(key)] if key:
                _check_task(message, names)
            case _:
                _fail("unacked entry is no [message, exchange, routing key]")

    return _reason(check)


def is_control(queue: str) -> bool:
    """Whether a queue holds answers to remote control (`<id>.reply.celery.pidbox`) and not tasks."""
    return queue.endswith(".pidbox")


def _reason(check: Callable[[], None]) -> str:
    try:
        check()
    except _BadError as bad:
        return str(bad)
    except Exception as error:  # noqa: BLE001  whatever a parser raises here it would raise inside the worker
        return f"cannot be read: {type(error).__name__}"
    return ""


def _fail(reason: str) -> None:
    raise _BadError(reason)


def _need(reason: str, *, holds: bool) -> None:
    if not holds:
        raise _BadError(reason)


def _parse(raw: bytes, limit: int) -> object:
    _need("too long", holds=len(raw) <= limit)
    # kombu's own reader: it also turns {"__type__": …} into dates and the like, and may fail at that
    value = loads(raw.decode("utf-8"))
    _walk(value)
    return value


def _walk(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            _need("a value out of bounds", holds=_scalar_fits(item))
            if isinstance(item, dict):
                below += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    _fail("too deep")


def _scalar_fits(value: object) -> bool:
    if isinstance(value, str):
        value.encode("utf-8")  # a lone surrogate passes JSON and raises at the first write to Redis or to a log
    if isinstance(value, int):
        return abs(value) <= _MAX_INTEGER
    return not isinstance(value, float) or math.isfinite(value)


def _check_task(message: object, names: Collection[str]) -> None:
    body = _check_envelope(message, _HEADERS, _TASK_HEADERS)
    _need("unknown task", holds=not names or _part(_part(message), "headers")["task"] in names)
    match body:
        case [list(), dict(), dict() as embed]:
            # callbacks, chains and chords: nothing of ours has one, and a broken one raises in the worker's main process
            _need("body has callbacks", holds=not any(embed.values()))
        case _:
            _fail("body is no [args, kwargs, embed]")


def _check_control(message: object) -> None:
    match _check_envelope(message, {"compression": _none}, ()):
        case dict() as body:
            _check_members("body", body, _CONTROL if "method" in body else {})
        case list():
            pass
        case _:
            _fail("body is no object or list")


def _check_envelope(message: object, headers: Mapping[str, Check], required: Collection[str]) -> object:
    """Check everything around the body; the body, decoded."""
    whole = _part(message)
    _check_members("message", whole, _ENVELOPE, _ENVELOPE)
    _check_members("properties", _part(whole, "properties"), _PROPERTIES, ("delivery_tag", "delivery_info", "body_encoding"))
    _check_members("headers", _part(whole, "headers"), headers, required)
    return _parse(base64.b64decode(str(whole["body"]), validate=True), MAX_CONTROL_BYTES)


def _part(value: object, name: str = "") -> dict[str, object]:
    part = value.get(name) if name and isinstance(value, dict) else value
    if isinstance(part, dict):
        return part
    reason = f"no object: {name or 'message'}"
    raise _BadError(reason)


def _check_members(where: str, members: Mapping[str, object], checks: Mapping[str, Check], required: Collection[str] = ()) -> None:
    for name in required:
        _need(f"no {where}.{name}", holds=name in members)
    for name, value in members.items():
        if name in checks:
            _need(f"{where}.{name} is not as sent", holds=checks[name](value))
        elif where == "headers":
            _need("a header whose name is taken", holds=_free_header(name))


def _free_header(name: str) -> bool:
    """Tracers add headers of their own; they become attributes of Celery's task context and must hide none of its methods."""
    return not name.startswith("_") and not callable(getattr(Context, name, None)) and name != "children"


def _none(value: object) -> bool:
    return value is None


def _empty(value: object) -> bool:
    return value is None or value in ([], {})


def _text(value: object) -> bool:
    return isinstance(value, str)


def _token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _boolean(value: object) -> bool:
    return isinstance(value, bool)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_RETRIES


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _instant(value: object) -> bool:
    return isinstance(value, str) and _INSTANT.fullmatch(value) is not None and datetime.fromisoformat(value).tzinfo is not None


def _seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _MAX_LIMIT_SECONDS


def _limits(value: object) -> bool:
    return isinstance(value, list) and len(value) == _PAIR and all(_maybe(_seconds)(v) for v in value)


def _address(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("exchange"), str) and isinstance(value.get("routing_key"), str)


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


_ENVELOPE: Mapping[str, Check] = {
    "body": lambda v: isinstance(v, str) and v.isascii(),
    "content-type": lambda v: v == "application/json",
    "content-encoding": lambda v: v == "utf-8",
}

_PROPERTIES: Mapping[str, Check] = {
    "delivery_tag": _token,
    "delivery_info": _address,
    "body_encoding": lambda v: v == "base64",
    "correlation_id": _maybe(_token),
    "reply_to": _maybe(_text),
    "priority": _maybe(_count),
    "delivery_mode": _maybe(_count),
    "expiration": _maybe(_text),
}

# What `Celery.send_task` writes (celery 5.7.0, `AMQP.as_task_v2`), `redelivered` being kombu's note on a message put back.
_HEADERS: Mapping[str, Check] = {
    "lang": _text,
    "task": _token,
    "id": _token,
    "shadow": _maybe(_text),
    "eta": _none,  # retries live in the ledger; a worker would hold an ETA in memory
    "expires": _maybe(_instant),
    "group": _none,
    "group_index": _none,
    "groups": _empty,
    "retries": _count,
    "timelimit": _limits,
    "root_id": _maybe(_token),
    "parent_id": _maybe(_token),
    "argsrepr": _text,
    "kwargsrepr": _text,
    "origin": _maybe(_text),
    "ignore_result": _maybe(_boolean),
    "replaced_task_nesting": _count,
    "stamped_headers": _empty,
    "stamps": _empty,
    "redelivered": _boolean,
    "compression": _none,  # kombu would inflate it without a bound
    "callbacks": _none,
    "errbacks": _none,
    "chain": _none,
    "chord": _none,
}
_TASK_HEADERS = ("lang", "task", "id", "retries", "timelimit", "root_id", "argsrepr", "kwargsrepr")

# A remote control request (kombu 5.7.0, `Mailbox._publish`).
_CONTROL: Mapping[str, Check] = {
    "method": _text,
    "arguments": _maybe(lambda v: isinstance(v, dict)),
    "destination": _maybe(_names),
    "pattern": _maybe(_text),
    "matcher": _maybe(_text),
    "reply_to": _maybe(_address),
    "ticket": _maybe(_text),
}
