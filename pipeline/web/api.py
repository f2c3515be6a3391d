"""The API for operators and programs: where things are, what was refused, what a change would do. Bearer token."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from pipeline.ledger import duties, views
from pipeline.ledger.subscriptions import STATES as SUBSCRIPTION_STATES
from pipeline.model.settings import Kind
from pipeline.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from starlette.requests import Request

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx
    from pipeline.ledger.views import Named

TOKEN = "api"  # noqa: S105 - the name of the row, not its secret
USUAL, MOST = 50, 200
SHARED = {"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"}


def guarded(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Only with `Authorization: Bearer <token>`."""

    @functools.wraps(endpoint)
    def answer(request: Request) -> Response:
        if not _allowed(request):
            return problem(401, "Send the API token as Authorization: Bearer <token>.", headers={"WWW-Authenticate": "Bearer"})
        try:
            return endpoint(request)
        except BadQuery as error:
            return problem(400, str(error))

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


class BadQuery(Exception):
    """A parameter that is not understood; the message says what is."""


def _query(request: Request, *known: str) -> dict[str, str]:
    """The parameters, each of them known and given once. Raises BadQuery: what is overlooked would answer another question."""
    given = request.query_params.multi_items()
    for name, _ in given:
        if name not in known:
            message = f"There is no parameter “{name[:40]}” here; there is {', '.join(known) or 'none'}."
            raise BadQuery(message)
    if len(dict(given)) != len(given):
        message = "Give each parameter once."
        raise BadQuery(message)
    return dict(given)


def _most(query: Mapping[str, str]) -> int:
    given = query.get("limit", str(USUAL))
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= MOST):  # noqa: PLR2004 - a number that fits
        message = f"limit is a whole number from 1 to {MOST}; without it, {USUAL} are listed."
        raise BadQuery(message)
    return int(given)


def _one_of(query: Mapping[str, str], name: str, known: Collection[str]) -> str | None:
    if (given := query.get(name)) is not None and given not in known:
        message = f"{name} is one of {', '.join(known)}."
        raise BadQuery(message)
    return given


@guarded
def articles(request: Request) -> Response:
    """The newest articles and where each is."""
    most, settings = _most(_query(request, "limit")), request.app.state.context.settings

    def ask(tx: Tx) -> object:
        return {"articles": [s.to_json() for s in views.status(tx, views.newest_articles(tx, most), settings.address)]}

    return _answer(request, ask)


@guarded
def article(request: Request) -> Response:
    """One article by CMS id, short id or identity: where it is, and the newest attempts."""
    context: Context = request.app.state.context
    site = _one_of(_query(request, "site"), "site", [s.name for s in context.settings.sites])
    with context.ledger.read() as tx:
        found = views.find_articles(tx, request.path_params["article"], site)
        told = views.status(tx, found, context.settings.address)
        content = [{**s.to_json(), "attempts": views.attempts(tx, i)} for i, s in zip(found, told, strict=True)]
    if not content:
        return problem(404, "No article of that id is in the ledger.")
    return JSONResponse({"articles": content}, headers={"Cache-Control": "no-store"})


@guarded
def outlets(request: Request) -> Response:
    """Every outlet: what it still has to do, its circuit, whether it is paused; `reason` says why one gets nothing now."""
    _query(request)
    return _answer(request, lambda tx: {"outlets": views.outlets(tx)})


@guarded
def deliveries(request: Request) -> Response:
    """Deliveries that are not settled; `outlet` and `state` narrow them."""
    query = _query(request, "outlet", "state", "limit")
    state, most = _one_of(query, "state", views.UNSETTLED_STATES), _most(query)

    def ask(tx: Tx) -> object:
        outlet = _one_of(query, "outlet", views.outlet_keys(tx)) if "outlet" in query else None
        return {"deliveries": views.deliveries(tx, outlet, state, most)}

    return _answer(request, ask)


@guarded
def rejections(request: Request) -> Response:
    """The newest refused events with every problem found."""
    most = _most(_query(request, "limit"))
    return _answer(request, lambda tx: {"rejections": views.rejections(tx, most)})


@guarded
def subscriptions(request: Request) -> Response:
    """Who subscribes at the hub: counts by topic, and the newest; `topic` and `state` narrow them. No secret is told."""
    query = _query(request, "topic", "state", "limit")
    state, most = _one_of(query, "state", SUBSCRIPTION_STATES), _most(query)
    tried = len(request.app.state.context.settings.retries.hub)
    return _answer(request, lambda tx: views.subscriptions(tx, query.get("topic"), state, most, tried))


def event(request: Request) -> Response:
    """What became of one event. Without the token: its state and its problems, which are the sender's own.

    Some senders count their ids, so anybody may know this address: headlines and outlets need the token.
    """
    context: Context = request.app.state.context
    with context.ledger.read() as tx:
        found = views.event(tx, request.path_params["event_id"], context.settings.address)
    if found is None:
        return problem(404, "No event of that id is in the ledger.")
    if not _allowed(request):
        found = {key: value for key, value in found.items() if key != "article"}
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def shares(request: Request) -> Response:
    """The share payloads of one article, every network's; 410 once it is withdrawn. 300 where several bear the CMS id given.

    Ids count within an id space, and sources of one site may have different ones; the short id is one article's alone.
    """
    context: Context = request.app.state.context
    site, given = request.path_params["site"], request.path_params["article"]
    with context.ledger.read() as tx:
        found = views.named(tx, site, given, Kind.NETWORK)
        rows = views.shares(tx, site, found[0].short_id) if len(found) == 1 else []
    if len(found) > 1:
        return _choices(site, found)
    if not rows:
        return problem(404, "There are no share payloads of such an article.")
    live = [json.loads(row.body) for row in rows if row.status == "live"]
    if not live:
        return problem(410, "This article is withdrawn; so are its share payloads.")
    content = {"article_id": found[0].identity, "id": found[0].cms_id, "shares": live}
    return JSONResponse(content, headers=SHARED)


def _choices(site: str, found: Sequence[Named]) -> Response:
    """Several are meant, and none is preferred (RFC 9110 section 15.4.1): the sender's program, or a person, picks one."""
    choices = [{"article_id": one.identity, "id": one.cms_id, "url": f"/{site}/shares/{one.short_id}.json"} for one in found]
    return JSONResponse({"choices": choices}, 300, headers=SHARED)
