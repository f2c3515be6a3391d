"""What pages of other origins may do with feeds, sitemaps and items: read them, ask with a tag, and be told why there is nothing.

The CORS protocol of the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol): a browser shows a page no answer that does
not say so, hides ETag and Link where they are not named, and asks by OPTIONS before it sends If-None-Match.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ORIGIN = "Access-Control-Allow-Origin"
ANYBODY = {ORIGIN: "*", "Access-Control-Expose-Headers": "ETag, Link"}
METHODS = "GET, HEAD, OPTIONS"
ASKED_BEFORE = {
    **ANYBODY,
    "Allow": METHODS,
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",  # seconds; no browser keeps the answer longer than a day
}
_PUBLIC = re.compile(r"/(?:mirrors/[^/]+/[^/]+|[^/]+)/(?:feeds|sitemaps|items)/")


class Cors:
    """Answers OPTIONS below feeds, sitemaps and items, and has every other answer there say who may read it."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the app's answer, with these headers."""
        if scope["type"] != "http" or _PUBLIC.match(scope["path"]) is None:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=ASKED_BEFORE)(scope, receive, send)
        else:
            await self._app(scope, receive, lambda message: send(_shared(message)))


def _shared(message: Message) -> Message:
    if message["type"] == "http.response.start":
        headers = MutableHeaders(raw=list(message["headers"]))
        for name, value in ANYBODY.items():
            headers[name] = value
        if "allow" in headers:
            headers["allow"] = METHODS
        return {**message, "headers": headers.raw}
    return message
