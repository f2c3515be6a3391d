"""Malformed task messages, each differing from a sound one in one place, for the transport alone and for real workers."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from typing import Any

from tasks import envelope


def template(task: str, queue: str) -> dict[str, Any]:
    """What Celery 5.7.0 sends."""
    return {
        "body": base64.b64encode(b'[["x"], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]').decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": "an-id",
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": "an-id",
            "parent_id": None,
            "argsrepr": "['x']",
            "kwargsrepr": "{}",
            "origin": "gen1@host",
            "ignore_result": None,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": "an-id",
            "reply_to": "somebody",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "a-tag",
        },
    }


MISSING = object()


def altered(message: dict[str, Any], *path: str, to: object = MISSING) -> bytes:
    """A message with one member changed or, without `to`, left out."""
    message = deepcopy(message)
    place = message
    for name in path[:-1]:
        place = place[name]
    if to is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(message).encode()


def _with_body(message: dict[str, Any], text: bytes) -> bytes:
    return altered(message, "body", to=base64.b64encode(text).decode())


def poison(task: str, queue: str) -> dict[str, bytes]:
    """Name → raw message."""
    sound = template(task, queue)

    def but(*path: str, to: object = MISSING) -> bytes:
        return altered(sound, *path, to=to)

    def body(text: bytes) -> bytes:
        return _with_body(sound, text)

    return {
        "empty": b"",
        "not JSON": b"hello",
        "not UTF-8": b"\xff\xfe{}",
        "NUL bytes": b"\0\0\0",
        "cut off": but("body", to="")[:-20],
        "a number": b"17",
        "null": b"null",
        "a string": b'"celery"',
        "a list": b"[]",
        "an empty object": b"{}",
        "very deep": b"[" * 60_000 + b"]" * 60_000,
        "very long": but("headers", "argsrepr", to="x" * (envelope.MAX_BYTES + 1)),
        "NaN": but("headers", "retries", to=float("nan")),
        "pickled": b"\x80\x04\x95\x08\x00\x00\x00\x00\x00\x00\x00]\x94K\x01a.",
        "kombu type that is none": b'{"__type__": "nothing", "__value__": 1}',
        "kombu type with a bad value": but("headers", "id", to={"__type__": "bytes", "__value__": 1}),
        "kombu decimal that is none": but("headers", "id", to={"__type__": "decimal", "__value__": "x"}),
        "no properties": but("properties"),
        "properties a list": but("properties", to=[]),
        "properties null": but("properties", to=None),
        "no delivery_tag": but("properties", "delivery_tag"),
        "delivery_tag a number": but("properties", "delivery_tag", to=7),
        "delivery_tag an object": but("properties", "delivery_tag", to={}),
        "delivery_tag a lone surrogate": but("properties", "delivery_tag", to="\ud800"),
        "no delivery_info": but("properties", "delivery_info"),
        "delivery_info a string": but("properties", "delivery_info", to="x"),
        "delivery_info empty": but("properties", "delivery_info", to={}),
        "exchange a list": but("properties", "delivery_info", "exchange", to=[]),
        "no body_encoding": but("properties", "body_encoding"),
        "body_encoding unknown": but("properties", "body_encoding", to="rot13"),
        "body_encoding a number": but("properties", "body_encoding", to=64),
        "priority garbage": but("properties", "priority", to="high"),
        "priority huge": but("properties", "priority", to=10**400),
        "correlation_id an object": but("properties", "correlation_id", to={}),
        "no headers": but("headers"),
        "headers null": but("headers", to=None),
        "headers a list": but("headers", to=["task", "id"]),
        "headers a string": but("headers", to="task"),
        "no task": but("headers", "task"),
        "task null": but("headers", "task", to=None),
        "task a list": but("headers", "task", to=[task]),
        "task unknown": but("headers", "task", to="probe.unknown"),
        "no id": but("headers", "id"),
        "id a list": but("headers", "id", to=[]),
        "id null": but("headers", "id", to=None),
        "timelimit a string": but("headers", "timelimit", to="soon"),
        "timelimit a number": but("headers", "timelimit", to=5),
        "timelimit of one": but("headers", "timelimit", to=[1]),
        "timelimit of strings": but("headers", "timelimit", to=["1", "2"]),
        "retries a string": but("headers", "retries", to="many"),
        "retries huge": but("headers", "retries", to=10**30),
        "eta garbage": but("headers", "eta", to="tomorrow"),
        "eta a list": but("headers", "eta", to=[2026]),
        "eta far away": but("headers", "eta", to="9999-12-31T23:59:59+00:00"),
        "expires garbage": but("headers", "expires", to="never"),
        "expires an object": but("headers", "expires", to={}),
        "expires a number": but("headers", "expires", to=1e300),
        "expires no date": but("headers", "expires", to="2026-02-30T00:00:00+00:00"),
        "compression unknown": but("headers", "compression", to="application/x-nothing"),
        "stamped_headers a number": but("headers", "stamped_headers", to=3),
        "stamps unhashable": but("headers", "stamped_headers", to=[[]]),
        "shadow an object": but("headers", "shadow", to={}),
        "header that hides a method": but("headers", "get", to="x"),
        "header that hides a property": but("headers", "children", to=1),
        "no body": but("body"),
        "body null": but("body", to=None),
        "body empty": but("body", to=""),
        "body a number": but("body", to=5),
        "body a list": but("body", to=[[], {}, {}]),
        "body not base64": but("body", to="%%%% not base64"),
        "body badly padded": but("body", to="abc"),
        "body not ASCII": but("body", to="über"),
        "body not JSON": body(b"hello"),
        "body not UTF-8": body(b"\xff\xfe\xfd"),
        "body an empty list": body(b"[]"),
        "body no triple": body(b'[["x"], {}]'),
        "body of four": body(b'[["x"], {}, {}, {}]'),
        "body an object": body(b'{"args": [], "kwargs": {}}'),
        "body null inside": body(b"null"),
        "body very deep": body(b"[" * 20_000 + b"]" * 20_000),
        "args a string": body(b'["x", {}, {}]'),
        "kwargs a list": body(b'[["x"], [], {}]'),
        "embed null": body(b'[["x"], {}, null]'),
        "callbacks garbage": body(b'[["x"], {}, {"callbacks": "x"}]'),
        "errbacks garbage": body(b'[["x"], {}, {"errbacks": [1]}]'),
        "chord garbage": body(b'[["x"], {}, {"chord": 1}]'),
        "content type pickle": but("content-type", to="application/x-python-serialize"),
        "content type yaml": but("content-type", to="application/x-yaml"),
        "content type null": but("content-type", to=None),
        "content type a list": but("content-type", to=[]),
        "content encoding unknown": but("content-encoding", to="klingon"),
        "content encoding a number": but("content-encoding", to=8),
        "protocol 1": json.dumps(
            {**sound, "headers": {}, "body": base64.b64encode(b'{"task": "probe.mark", "id": "x"}').decode()}
        ).encode(),
    }
