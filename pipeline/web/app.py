"""The face over HTTP: routes, what stands while the process lives, and the tick when no worker gives it."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from pipeline import recovery
from pipeline.accept import Acceptor
from pipeline.context import open_context, register
from pipeline.kit import log
from pipeline.ledger import duties
from pipeline.model.errors import PressrunError, Unavailable
from pipeline.model.run import Nudge, Step
from pipeline.web import api, feeds, health, hub, indexnow, mirrors, openapi, problems, static, webhooks
from pipeline.web.cors import Cors
from pipeline.web.looks import Looks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from pipeline.context import Context

QUIET = timedelta(seconds=3)
_READS = frozenset({"GET", "HEAD"})
ROUTES = [
    Route("/webhooks/{source}", webhooks.receive, methods=["POST"]),
    Route("/hub", hub.receive, methods=["POST"]),
    Route("/events/{event_id}", api.event),
    Route("/api/v1/articles", api.articles),
    Route("/api/v1/articles/{article:path}", api.article),
    Route("/api/v1/outlets", api.outlets),
    Route("/api/v1/deliveries", api.deliveries),
    Route("/api/v1/rejections", api.rejections),
    Route("/api/v1/subscriptions", api.subscriptions),
    Route("/healthz", health.alive),
    Route("/readyz", health.ready),
    Route("/metrics", health.counters),
    Route("/openapi.json", openapi.as_json),
    Route("/docs", openapi.as_page),
    Route("/", openapi.front_door),
    Route("/static/examples/{file}", static.picture),
    Route("/mirrors/{site}/{mirror}/{path:path}", mirrors.serve),
    Route("/{site}/feeds/{file}", feeds.serve),
    Route("/{site}/sitemaps/{file}", feeds.serve),
    Route("/{site}/items/{file}", feeds.serve),
    Route("/{site}/shares/{article:path}.json", api.shares),
    Route("/{key}.txt", indexnow.key_file),
]


def make_app(context: Context, carry: Callable[[Sequence[Nudge]], None]) -> Starlette:
    """The app over a context; `carry` sends nudges and may block or fail."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        stop = threading.Event()
        threads = [
            threading.Thread(target=_check, args=(context, app.state.checked, stop), name="check", daemon=True),
            threading.Thread(target=_tick, args=(context, carry, stop), name="tick", daemon=True),
        ]
        for thread in threads:
            thread.start()
        yield
        stop.set()
        app.state.acceptor.stop()
        app.state.hub.stop()
        for thread in threads:
            thread.join(timeout=2)

    handlers = {HTTPException: problems.on_http_error, Unavailable: problems.on_unavailable, Exception: problems.on_error}
    app = _App(routes=ROUTES, lifespan=lifespan, exception_handlers=handlers, middleware=[Middleware(Cors), Middleware(_NoNul)])
    app.router.redirect_slashes = False
    app.state.context = context
    app.state.acceptor = Acceptor(context, carry)
    app.state.hub = hub.Desk(context, carry)
    app.state.checked = threading.Event()
    app.state.looks = Looks(context)
    return app


class _App(Starlette):
    """Polls of a document that nothing happened to come first: before routes and what else stands around them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette's, but for these."""
        if scope["type"] == "http" and scope["method"] in _READS:
            looks: Looks = self.state.looks
            if (stored := looks.still(scope["path"])) is not None:
                await stored(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class _NoNul:
    """No text of ours has a NUL, and PostgreSQL refuses to be asked for one: an address with it is nobody's."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """404 for such an address. What a query may say is the API's to judge, value by value."""
        if "\0" in scope.get("path", ""):
            await problems.problem(404, "There is nothing at this address.")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def create() -> Starlette:
    """What uvicorn is given: `uvicorn --factory pipeline.web.app:create`."""
    from tasks.carry import carry  # noqa: PLC0415 - tests make apps without a broker

    log.configure()
    context = open_context()
    register(context)
    return make_app(context, partial(carry, spare=True))


def _check(context: Context, checked: threading.Event, stop: threading.Event) -> None:
    """Before ready: the documents at the origin are compared with what the ledger says."""
    while not stop.is_set():
        try:
            for key in recovery.check_feeds(context):
                context.log.warning("feed rebuilt after an unclean stop", outlet=key)
        except PressrunError as error:
            context.log.warning("origin not checked", outcome=str(error))
            stop.wait(1)
        else:
            checked.set()
            return


def _tick(context: Context, carry: Callable[[Sequence[Nudge]], None], stop: threading.Event) -> None:
    """Ask for upkeep when no worker did for 3 s: as long as anything lives, lost nudges are found again."""
    while not stop.wait(1.0):
        try:
            with context.ledger.read() as tx:
                seen, now = duties.seen_at(tx, duties.UPKEEP), tx.now
            if seen is None or now - seen > QUIET:
                carry([Nudge(Step.UPKEEP)])
        except Exception as error:  # noqa: BLE001 - the next second is another chance
            context.log.warning("tick not sent", outcome=type(error).__name__)
