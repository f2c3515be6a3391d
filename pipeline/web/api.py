"""The API for operators and programs: where things are, what was refused, what a change would do. Bearer token."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from pipeline.ledger import duties, views
from pipeline.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx

TOKEN = "api"  # noqa: S105 - the name of the row, not its secret
MOST = 200


def guarded(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Only with `Authorization: Bearer <token>`."""

    @functools.wraps(endpoint)
    def answer(request: Request) -> Response:
        if not _allowed(request):
            return problem(401, "Send the API token as Authorization: Bearer <token>.", headers={"WWW-Authenticate": "Bearer"})
        return endpoint(request)

    return answer


def _allowed(request: Request) -> bool:
    context: Context = request.app.state.context
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return False
    given = hashlib.sha256(token.strip().encode()).hexdigest()
    if context.settings.api_token:
        kept: str | None = hashlib.sha256(context.settings.api_token.encode()).hexdigest()
    else:
        with context.ledger.read() as tx:
            kept = duties.token_hash(tx, TOKEN)
    return kept is not None and hmac.compare_digest(given, kept)


def _answer(request: Request, ask: Callable[[Tx], object]) -> Response:
    context: Context = request.app.state.context
    with context.ledger.read() as tx:
        found = ask(tx)
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def _most(request: Request) -> int:
    given = request.query_params.get("limit", "50")
    return max(1, min(int(given), MOST)) if given.isdigit() and len(given) < 6 else 50  # noqa: PLR2004 - a number that fits


@guarded
def articles(request: Request) -> Response:
    """The newest articles and where each is."""

    def ask(tx: Tx) -> object:
        return {"articles": [s.to_json() for s in views.status(tx, views.newest_articles(tx, _most(request)))]}

    return _answer(request, ask)


@guarded
def article(request: Request) -> Response:
    """One article by CMS id, short id or identity: where it is, and the newest attempts."""
    context: Context = request.app.state.context
    with context.ledger.read() as tx:
        found = views.find_articles(tx, request.path_params["article"], request.query_params.get("site"))
        content = [{**s.to_json(), "attempts": views.attempts(tx, i)} for i, s in zip(found, views.status(tx, found), strict=True)]
    if not content:
        return problem(404, "No article of that id is in the ledger.")
    return JSONResponse({"articles": content}, headers={"Cache-Control": "no-store"})


@guarded
def outlets(request: Request) -> Response:
    """Every outlet: what it still has to do, its circuit, whether it is paused."""
    return _answer(request, lambda tx: {"outlets": views.outlets(tx)})


@guarded
def deliveries(request: Request) -> Response:
    """Deliveries that are not settled; `outlet` and `state` narrow them."""
    query = request.query_params
    return _answer(request, lambda tx: {"deliveries": views.deliveries(tx, query.get("outlet"), query.get("state"), _most(request))})


@guarded
def rejections(request: Request) -> Response:
    """The newest refused events with every problem found."""
    return _answer(request, lambda tx: {"rejections": views.rejections(tx, _most(request))})


def event(request: Request) -> Response:
    """What became of one event. Without the token: its state and its problems, which are the sender's own.

    Some senders count their ids, so anybody may know this address: headlines and outlets need the token.
    """
    context: Context = request.app.state.context
    with context.ledger.read() as tx:
        found = views.event(tx, request.path_params["event_id"])
    if found is None:
        return problem(404, "No event of that id is in the ledger.")
    if not _allowed(request):
        found = {key: value for key, value in found.items() if key != "article"}
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def shares(request: Request) -> Response:
    """The share payloads of one article, every network's; 410 once it is withdrawn."""
    context: Context = request.app.state.context
    with context.ledger.read() as tx:
        head, rows = views.shares(tx, request.path_params["site"], request.path_params["article"])
    if head is None or not rows:
        return problem(404, "There are no share payloads of such an article.")
    live = [json.loads(row.body) for row in rows if row.status == "live"]
    if not live:
        return problem(410, "This article is withdrawn; so are its share payloads.")
    content = {"article_id": head.identity, "id": head.cms_id, "shares": live}
    return JSONResponse(content, headers={"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"})
