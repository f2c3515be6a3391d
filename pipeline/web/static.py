"""`GET /static/examples/{file}`: the pictures of the sample articles, so that a mirror page of theirs is whole.

Every instance has them, not only the demo's: whoever tries the samples in a newsroom of their own wants to see them too,
and which newsroom is a demo is nothing the web process should have to guess. They are public files of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from pipeline.rules import schema

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

WEEK = "public, max-age=604800"
_FILES = StaticFiles(directory=schema.folder() / "examples" / "images", check_dir=False)


async def picture(request: Request) -> Response:
    """A picture with its validators, 304 for who has it, or 404."""
    file = request.path_params["file"]
    if not file.endswith(".jpg"):
        raise HTTPException(404)
    answer = await _FILES.get_response(file, request.scope)
    answer.headers["Cache-Control"] = WEEK
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'"
    return answer
