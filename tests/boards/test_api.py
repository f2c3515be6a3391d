"""Board: the OpenAPI document against the app. What it promises is asked for, spoiled and held against the answer (schemathesis)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from sqlalchemy import func, select

from pipeline.cli.start import first_token
from pipeline.kit import signatures
from pipeline.ledger import tables
from pipeline.web import openapi
from pipeline.web.app import make_app
from tests.boards.bodies import FULL
from tests.boards.outlets import WIDE
from tests.conftest import Newsroom, article, open_newsroom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SEED = int(os.environ.get("PRESSRUN_BOARD_SEED", "20261126"))
EXAMPLES = int(os.environ.get("PRESSRUN_BOARD_EXAMPLES", "12"))
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class Signing:
    """A newsroom's own proxy: whatever goes to a webhook with all three headers is signed on the way."""

    def __init__(self, app: ASGIApp, room: Newsroom) -> None:
        """Sign with the newsroom's secret."""
        self._app, self._room, self._number = app, room, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything else on as it is."""
        if scope["type"] == "lifespan":
            for ending in ("startup", "shutdown"):  # every call of schemathesis begins and ends one, and an end is for good
                await receive()
                await send({"type": f"lifespan.{ending}.complete"})
            return
        given = dict(scope.get("headers", ()))
        if scope["type"] != "http" or b"x-sign" not in given:
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self._number += 1
        stamp, name = int(self._room.clock.now().timestamp()), f"sth_{self._number}"
        secret = self._room.context.settings.sources[0].secrets[0]
        signed = {b"webhook-id": name.encode(), b"webhook-timestamp": str(stamp).encode()}
        signed[b"webhook-signature"] = signatures.sign(secret, name, stamp, body).encode()
        headers = [(k, v) for k, v in scope["headers"] if k not in signed] + list(signed.items())

        async def once() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app({**scope, "headers": headers, "path": "/webhooks/newsroom"}, once, send)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newsroom]:
    """A newsroom with articles out, one withdrawn, and one refused."""
    folder: Path = tmp_path_factory.mktemp("api")
    made = open_newsroom(folder, "sqlite://", WIDE)
    made.send("published", article())
    made.send("published", {**FULL, "id": "a-2"})
    made.send("published", article(id="a-3"))
    made.send("withdrawn", {"id": "a-3"})
    made.send("published", {"id": "bad"})
    made.drain()
    print(f"seed {SEED}, PRESSRUN_BOARD_SEED sets it")  # noqa: T201 - pytest shows it where something fails
    yield made
    made.context.close()


@pytest.fixture(scope="module")
def token(room: Newsroom) -> str:
    """The token of the API."""
    return first_token(room.context)


@pytest.fixture(scope="module")
def document(room: Newsroom, token: str) -> Any:
    """Our document, as the app itself gives it."""
    app = make_app(room.context, lambda _nudges: None)
    app.state.checked.set()
    made = schemathesis.openapi.from_asgi("/openapi.json", Signing(app, room))
    for path, name, known in (
        ("/api/v1/articles/{article}", "site", ["demo"]),
        ("/api/v1/deliveries", "outlet", ["demo/feed:all", "demo/mirror:one"]),
    ):
        (parameter,) = (p for p in made.raw_schema["paths"][path]["get"]["parameters"] if p["name"] == name)
        parameter["schema"] = {"type": "string", "enum": known}  # what a configuration names, a document for all of them cannot

    @made.auth()
    class Token:
        """The API's token, where a request is meant to have it."""

        def get(self, _case: object, _context: object) -> str:
            return token

        def set(self, case: schemathesis.Case[Any], data: str, _context: object) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    return made


def tried(operation: Any, mode: GenerationMode, **call: Any) -> list[str]:
    """Cases of one kind for one operation, each called and held against the document; what was found wrong."""
    failed: list[str] = []

    @seed(SEED)
    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: schemathesis.Case[Any]) -> None:
        try:
            case.call_and_validate(**call)
        except FailureGroup as group:
            failed.extend(f"{operation.label} {mode.value}: {failure}" for failure in group.exceptions)

    try:
        each()
    except (Unsatisfiable, SkipTest):
        return []  # what has no parameter cannot be spoiled
    return failed


OPERATIONS = [f"{method.upper()} {path}" for path, operations in openapi.document()["paths"].items() for method in operations]


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_promise_is_kept(document: Any, label: str) -> None:
    """Status, media type, body as the document has them; what is spoiled is refused; nothing is a fault of ours."""
    method, path = label.split(" ", 1)
    failed = [found for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) for found in tried(document[path][method], mode)]
    assert not failed, "\n".join(dict.fromkeys(failed))


def test_what_is_signed_is_taken_or_refused_as_promised(document: Any) -> None:
    """A body of any shape is stored and judged afterwards, which is why refusing it here is not asked for."""
    judged = [checks.CHECKS.get_one("negative_data_rejection")]
    operation = document["/webhooks/{source}"]["POST"]
    failed = [
        f
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        for f in tried(operation, mode, headers={"x-sign": "1"}, excluded_checks=judged)
    ]
    assert not failed, "\n".join(dict.fromkeys(failed))


def test_what_was_taken_ended(document: Any, room: Newsroom) -> None:
    """Everything that schemathesis could think of, drained: applied, or rejected in words."""
    tried(document["/webhooks/{source}"]["POST"], GenerationMode.POSITIVE, headers={"x-sign": "1"})
    room.drain()
    with room.context.ledger.read() as tx:
        assert tx.value(select(func.count()).select_from(tables.events)) > EXAMPLES
        assert tx.value(select(func.count()).where(tables.events.c.state == "waiting")) == 0
