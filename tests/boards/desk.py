"""A CMS with the right secret in front of the app in this process, and what a refusal or an end must look like."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
from sqlalchemy import func, select
from starlette.testclient import TestClient

from pipeline.kit import signatures
from pipeline.ledger import tables
from pipeline.web.app import make_app
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.conftest import Newsroom

ENDS = frozenset({"applied", "unchanged", "stale", "rejected"})


@dataclass
class Desk:
    """One webhook after the other, each with an id of its own."""

    room: Newsroom
    client: TestClient
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def post(self, body: bytes) -> Any:
        """Sign the bytes as they are and send them."""
        stamp, webhook_id = int(self.room.clock.now().timestamp()), f"board_{next(self._ids)}"
        secret = self.room.context.settings.sources[0].secrets[0]
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signatures.sign(secret, webhook_id, stamp, body),
        }
        return self.client.post("/webhooks/newsroom", content=body, headers=headers)

    def seen(self, event_id: str) -> dict[str, Any]:
        """What anybody is told of an event."""
        answer = self.client.get(f"/events/{event_id}")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    def stored(self) -> int:
        """How many events there are."""
        with self.room.context.ledger.read() as tx:
            return int(tx.value(select(func.count()).select_from(tables.events)))


@contextmanager
def desk_of(room: Newsroom) -> Iterator[Desk]:
    """The app of a newsroom; a fault of it is raised here and not turned into 500."""
    with TestClient(make_app(room.context, lambda _nudges: None)) as client:
        yield Desk(room, client)


def asked(room: Newsroom, paths: Sequence[str], headers: Mapping[str, str]) -> list[httpx2.Response]:
    """The answer to each path, percent-decoded once as a server does it; Starlette's test client decodes twice."""

    async def ask() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=make_app(room.context, lambda _nudges: None))
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def event(data: Any = None, **changes: Any) -> dict[str, Any]:
    """A valid native event, unless the changes spoil it."""
    return {"type": "article.published", "timestamp": "2026-11-23T08:00:00Z", "data": article() if data is None else data, **changes}


def refusal_fault(answer: Any) -> str:
    """What is wrong with a refusal: "" for a problem document of its own status with a sentence, and a place for each error."""
    if answer.headers["content-type"] != "application/problem+json":
        return f"{answer.status_code} is no problem document"
    said = answer.json()
    if said["status"] != answer.status_code or not said["detail"]:
        return f"{answer.status_code} says {said}"
    return "" if all(e["detail"] and _is_pointer(e["pointer"]) for e in said.get("errors", ())) else f"{said['errors']}"


def end_fault(seen: dict[str, Any]) -> str:
    """What is wrong with the end of an event: "" for one that ended, with its problems where it was rejected."""
    if seen["status"] not in ENDS:
        return f"it is still {seen['status']}"
    problems = seen["problems"]
    if (seen["status"] == "rejected") != bool(problems):
        return f"{seen['status']} with {problems}"
    told = all(p["detail"] and _is_pointer(p["pointer"]) for p in problems)
    json.dumps(seen, allow_nan=False).encode()
    return "" if told else f"{problems}"


def _is_pointer(pointer: str) -> bool:
    """RFC 6901 3: empty, or parts that each begin with a slash."""
    return pointer == "" or (pointer.startswith("/") and "~" not in pointer.replace("~0", "").replace("~1", ""))
