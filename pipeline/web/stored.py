"""A stored document as an answer: its own headers, validators that tell the truth, 304 where that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pipeline.building import utc_seconds_up
from pipeline.web import conditional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row
    from starlette.requests import Request

    from pipeline.context import Context


def respond(request: Request, context: Context, row: Row[Any], body: bytes, headers: Mapping[str, str], coding: str = "") -> Response:
    """200 with the bytes of a row, or 304; `coding` is the content coding that `body` is in."""
    modified = utc_seconds_up(row.changed_at)
    tag = conditional.etag(row.sha256, coding)
    told = {"ETag": tag, "Last-Modified": conditional.http_date(modified), **headers}
    if conditional.not_modified(request.headers, tag, modified, context.clock.now()):
        return Response(status_code=304, headers=told)
    if coding:
        told["Content-Encoding"] = coding
    return Response(body, headers={**told, "Content-Type": row.media_type})
