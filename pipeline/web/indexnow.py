"""`GET /<key>.txt`: the file in which search engines look for the key that IndexNow was told (indexnow.org/documentation).

They ask at the host of the articles, so whoever serves that host passes this address on to here, or keeps the file itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pipeline.context import Context

HOUR = "public, max-age=3600"


async def key_file(request: Request) -> Response:
    """The key and nothing else, where a site has it; 404 for any other."""
    context: Context = request.app.state.context
    key = request.path_params["key"]
    if not any(one.key == key and not one.closed for site in context.settings.sites for one in site.indexnow):
        raise HTTPException(404)
    return PlainTextResponse(key, headers={"Cache-Control": HOUR, "X-Content-Type-Options": "nosniff"})
