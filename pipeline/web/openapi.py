"""The OpenAPI 3.1 document, built from `schemas/` and the table of routes below."""

from __future__ import annotations

import copy
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from pipeline.kit import websub
from pipeline.ledger.subscriptions import STATES
from pipeline.ledger.views import UNSETTLED_STATES
from pipeline.rules import schema
from pipeline.web import api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

_BEARER: list[dict[str, list[str]]] = [{"bearer": []}]


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pressrun",
            "version": _version(),
            "description": "The press run of an online newsroom.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: dict(operations) for path, operations in _paths().items()},
        "components": {"schemas": dict(_schemas()), "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _version() -> str:
    try:
        return version("pressrun")
    except PackageNotFoundError:
        return "0"


def _name(file: str) -> str:
    return "".join(part.capitalize() for part in file.split(".", maxsplit=1)[0].split("-")) or file


def _schemas() -> Iterator[tuple[str, Any]]:
    """Our schemas as components: `$id` and `$schema` dropped, references pointed at their place here."""
    for file, body in schema.documents().items():
        if file.startswith("config."):
            continue
        made = copy.deepcopy(dict(body))
        made.pop("$schema", None)
        made.pop("$id", None)
        yield _name(file), _pointed(made, _name(file))
    yield "Problem", _PROBLEM
    yield "Accepted", _ACCEPTED


def _pointed(value: Any, own: str) -> Any:
    if isinstance(value, list):
        return [_pointed(item, own) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _pointed(item, own) for key, item in value.items()}
    if isinstance(reference := made.get("$ref"), str):
        file, _, fragment = reference.partition("#")
        made["$ref"] = f"#/components/schemas/{_name(file) if file else own}{fragment}"
    return made


_PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}}},
        },
    },
}
_ACCEPTED = {
    "type": "object",
    "required": ["event_id", "status", "status_url"],
    "properties": {"event_id": {"type": "string"}, "status": {"const": "accepted"}, "status_url": {"type": "string", "format": "uri"}},
}


def _answers(good: int, description: str, media: str, *bad: int, of: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{of}"}} if of else {}
    made: dict[str, Any] = {str(good): {"description": description, **({"content": {media: body}} if media else {})}}
    for status in bad:
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        made[str(status)] = {"description": "A problem document.", "content": content}
    return made


def _in_path(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}


_QUERY: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": api.MOST, "default": api.USUAL},
    "state": {"type": "string", "enum": list(UNSETTLED_STATES)},
    "state:subscription": {"type": "string", "enum": list(STATES)},
}


def _get(summary: str, answers: dict[str, Any], *path: str, query: tuple[str, ...] = (), token: bool = False) -> dict[str, Any]:
    asked = [{"name": name.partition(":")[0], "in": "query", "schema": _QUERY.get(name, {"type": "string"})} for name in query]
    operation: dict[str, Any] = {"summary": summary, "parameters": [*_in_path(*path), *asked], "responses": answers}
    return {"get": {**operation, "security": _BEARER} if token else operation}


def _webhook() -> dict[str, Any]:
    return {
        "post": {
            "summary": "An article was published, updated, corrected or withdrawn",
            "description": "Signed as Standard Webhooks asks. The same webhook-id answers the same; with another body it is refused.",
            "parameters": [*_in_path("source"), *map(_header, ("webhook-id", "webhook-timestamp", "webhook-signature"))],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Event"}}},
            },
            "responses": _answers(
                202, "Stored; it will be processed.", "application/json", 400, 401, 403, 409, 413, 415, 503, of="Accepted"
            ),
        },
    }


_URL = r"^https?://[A-Za-z0-9][A-Za-z0-9.-]{0,200}(:[0-9]{1,4})?(/[!\"$-~]*)?$"
"""Of a topic or callback: ASCII, with a host, without user name or fragment."""


def _hub() -> dict[str, Any]:
    """W3C WebSub section 5.1, and what publishers send; further fields are ignored."""
    text = {"text/plain": {"schema": {"type": "string"}}}
    url = {"type": "string", "maxLength": websub.URL_CHARACTERS, "pattern": _URL}
    subscription = {
        "type": "object",
        "required": ["hub.mode", "hub.topic", "hub.callback"],
        "properties": {
            "hub.mode": {"type": "string", "enum": ["subscribe", "unsubscribe"]},
            "hub.topic": url,
            "hub.callback": url,
            "hub.lease_seconds": {"type": "string", "maxLength": 12, "pattern": "^0*[1-9][0-9]*$"},
            "hub.secret": {"type": "string", "maxLength": websub.SECRET_BYTES - 1, "pattern": "^[ -~]*$"},
        },
    }
    publication = {
        "type": "object",
        "required": ["hub.mode", "hub.url"],
        "properties": {"hub.mode": {"type": "string", "enum": ["publish"]}, "hub.url": url, "hub.topic": url},
    }
    form = {"anyOf": [subscription, publication]}
    bad = {str(status): {"description": "Why not, in a sentence.", "content": text} for status in (400, 403, 404, 408, 413, 415, 429, 503)}
    return {
        "post": {
            "summary": "Subscribe to a feed, unsubscribe, or say that a topic changed (WebSub)",
            "description": "The callback of a subscription is asked whether it meant it before anything counts.",
            "parameters": [],
            "requestBody": {"required": True, "content": {websub.FORM: {"schema": form}}},
            "responses": {"202": {"description": "Written down.", "content": text}, **bad},
        },
    }


def _paths() -> dict[str, dict[str, Any]]:
    json_, html = "application/json", "text/html"
    return {
        "/webhooks/{source}": _webhook(),
        "/hub": _hub(),
        "/events/{event_id}": _get("What became of an event", _answers(200, "Its state.", json_, 404), "event_id"),
        "/{site}/feeds/{file}": _get(
            "A feed document", _answers(200, "A feed, a page of its archive, OPML.", "*/*", 404, 410, 503), "site", "file"
        ),
        "/{site}/sitemaps/{file}": _get(
            "A sitemap", _answers(200, "A sitemap, or an index of them.", "application/xml", 404, 503), "site", "file"
        ),
        "/{site}/items/{file}": _get("One article", _answers(200, "The article as ninjs.", "*/*", 404, 410, 503), "site", "file"),
        "/mirrors/{site}/{mirror}/{path}": _get(
            "A document of a local mirror", _answers(200, "A page or feed.", html, 404, 410, 503), "site", "mirror", "path"
        ),
        "/{site}/shares/{article}.json": _get(
            "Share payloads",
            _answers(200, "Every network's.", json_, 404, 410) | _answers(300, "Several articles bear that id; each one's address.", json_),
            "site",
            "article",
        ),
        "/api/v1/articles": _get("Newest articles", _answers(200, "Where each is.", json_, 400, 401), query=("limit",), token=True),
        "/api/v1/articles/{article}": _get(
            "One article", _answers(200, "Where it is.", json_, 400, 401, 404), "article", query=("site",), token=True
        ),
        "/api/v1/outlets": _get("Outlets", _answers(200, "What each has to do.", json_, 400, 401), token=True),
        "/api/v1/deliveries": _get(
            "Deliveries that are not settled", _answers(200, "Why not.", json_, 400, 401), query=("outlet", "state", "limit"), token=True
        ),
        "/api/v1/rejections": _get("Refused events", _answers(200, "With every problem.", json_, 400, 401), query=("limit",), token=True),
        "/api/v1/subscriptions": _get(
            "Subscriptions at the hub",
            _answers(200, "Who is told of what.", json_, 400, 401),
            query=("topic", "state:subscription", "limit"),
            token=True,
        ),
        "/{key}.txt": _get("The key search engines look for (IndexNow)", _answers(200, "The key.", "text/plain", 404), "key"),
        "/static/examples/{file}": _get("A picture of the sample articles", _answers(200, "A photograph.", "image/jpeg", 404), "file"),
        "/healthz": _get("Alive", _answers(200, "Yes.", json_)),
        "/readyz": _get("Ready", _answers(200, "Yes.", json_, 503)),
        "/metrics": _get("Counters", _answers(200, "Prometheus exposition.", "text/plain")),
        "/openapi.json": _get("This document", _answers(200, "OpenAPI 3.1.", json_)),
        "/": _get("Leads to /docs", _answers(303, "See /docs.", "")),
        "/docs": _get("This document, to read", _answers(200, "A page.", html)),
    }


async def as_json(_request: Request) -> Response:
    """The document itself."""
    return JSONResponse(document())


async def front_door(_request: Request) -> Response:
    """Whoever opens the bare address is shown what there is."""
    return RedirectResponse("/docs", 303)


def _asks(operation: dict[str, Any]) -> str:
    """What a caller needs: the token, a signature, or nothing."""
    if operation.get("security"):
        return "Token"
    return "Signature" if any(p["name"] == "webhook-signature" for p in operation["parameters"]) else ""


async def as_page(_request: Request) -> Response:
    """A plain page a person can read without a script."""
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>{path}</code></td><td>{operation['summary']}</td>"
        f"<td>{' '.join(operation['responses'])}</td><td>{_asks(operation)}</td></tr>"
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Method", "Address", "What it is", "Answers", "It asks for"))
    style = (
        "body{font:1rem/1.5 system-ui;margin:2rem auto;max-width:70rem;padding:0 1rem}"
        "th{text-align:left}th,td{padding:.3rem .8rem}td{border-top:1px solid #ccc}"
    )
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pressrun</title><style>{style}</style>'
        f'<h1>Pressrun</h1><p>The whole contract: <a href="/openapi.json">openapi.json</a>.</p>'
        "<p>“Token”: send <code>Authorization: Bearer …</code> with the token that the first start printed once, "
        "or <code>api_token</code> of the configuration.</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></html>"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})
