"""Errors as problem documents (RFC 9457): a status, a title, a sentence that says what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pipeline.model.event import Problem

AWAY = "The ledger does not answer just now. Ask again in a moment; the log says why."
MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    detail: str,
    *,
    errors: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> JSONResponse:
    """A problem document; `errors` lists what is wrong where, each with a JSON Pointer."""
    content: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    if errors:
        content["errors"] = [{"pointer": p.pointer, "detail": p.detail} for p in errors]
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE)


def in_bytes(status: int, detail: str) -> bytes:
    """A problem document with its head, as it goes over the wire (RFC 9112): for refusals below the app. The connection ends after it."""
    answer = problem(status, detail, headers={"Connection": "close"})
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(name + b": " + value for name, value in answer.raw_headers)]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Whatever the router refuses: unknown address, wrong method."""
    if not isinstance(error, HTTPException):  # pragma: no cover - registered for this class only
        raise error
    details = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    return problem(error.status_code, details.get(error.status_code, error.detail), headers=error.headers)


async def on_unavailable(request: Request, error: Exception) -> Response:
    """The ledger does not answer. Why, with the names of hosts and users in it, is for the log."""
    request.app.state.context.log.warning("not answered", outcome=str(error))
    return problem(503, AWAY, headers={"Retry-After": "2"})


async def on_error(_request: Request, _error: Exception) -> Response:
    """A fault of ours; its text stays in the log."""
    return problem(500, "Something went wrong here. The log has it under this moment.")
