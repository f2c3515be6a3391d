"""Documents put over HTTP (RFC 9110 9.3.4 and 9.3.5): WebDAV servers, object stores' gateways, a newsroom's own.

Every request repeats without harm, so whatever may pass by itself is Transient. Servers ignore If-Match on PUT
(seen with nginx and rclone), so there is no fence here: the ledger checks it, and reading back finds the rest.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.backends.contract import Stat, components
from pipeline.kit import secrecy
from pipeline.kit.http import HttpRefused, HttpUnreachable, retry_after
from pipeline.model.errors import ConfigError, Permanent, Transient

if TYPE_CHECKING:
    from pipeline.backends.contract import Target
    from pipeline.kit.http import Answer, Http

_SECONDS = 8.0  # for a whole request
_MOST_BYTES = 32 * 1024 * 1024  # of a document read back
_EXCERPT = 300  # characters of an answer that is no document
_EXCERPT_BYTES = 4096  # of it that are read: a token that is repeated in the excerpt must be there whole to be found
_LATER = frozenset({408, 425, 429})  # RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4
_NOT_HERE = frozenset({404, 410})
_NO_FOLDER = 409  # RFC 4918 9.7.1: PUT without its parent collection
_EXISTS = 405  # RFC 4918 9.3.1: MKCOL where something is


class HttpBackend:
    """See `contract.Backend`."""

    gone = "delete"

    def __init__(self, http: Http, base_url: str, token_header: str, token: str) -> None:
        """`base_url` ends with a slash; the token is sent as it is, so it includes `Bearer ` where that is wanted."""
        self._http = http
        self._base = base_url
        self._headers = {token_header: token} if token else {}
        self._token = token

    def put(self, path: str, body: bytes, media_type: str, fence: int) -> None:  # noqa: ARG002  # no fence over HTTP
        """Store the bytes; missing folders of a WebDAV server are made. Raises Transient, Permanent."""
        parts = components(path)
        answer = self._ask("PUT", path, body=body, content_type=media_type)
        if answer.status == _NO_FOLDER and len(parts) > 1:
            for end in range(1, len(parts)):
                made = self._ask("MKCOL", "/".join(parts[:end]) + "/")
                if made.status != _EXISTS:
                    self._check(made, "MKCOL", path)
            answer = self._ask("PUT", path, body=body, content_type=media_type)
        self._check(answer, "PUT", path)

    def get(self, path: str) -> bytes | None:
        """The bytes, past every cache, or None for 404 and 410. Raises Transient, Permanent."""
        components(path)
        answer = self._ask("GET", path, most=_MOST_BYTES)
        if answer.status in _NOT_HERE:
            return None
        self._check(answer, "GET", path)
        if answer.truncated or answer.headers.get("content-encoding", "identity") != "identity":
            message = f"GET {path}: the answer is compressed, or larger than {_MOST_BYTES} bytes"
            raise Permanent(message)
        return answer.body

    def stat(self, path: str) -> Stat | None:
        """Size and time from HEAD, or None for 404 and 410. Raises Transient, Permanent."""
        components(path)
        answer = self._ask("HEAD", path)
        if answer.status in _NOT_HERE:
            return None
        self._check(answer, "HEAD", path)
        length = answer.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            body = self.get(path)
            return None if body is None else Stat(len(body), _modified(answer))
        return Stat(int(length), _modified(answer))

    def delete(self, path: str, fence: int) -> None:  # noqa: ARG002  # no fence over HTTP
        """Remove what is stored; 404 and 410 are what was wanted. Raises Transient, Permanent."""
        components(path)
        answer = self._ask("DELETE", path)
        if answer.status not in _NOT_HERE:
            self._check(answer, "DELETE", path)

    def _ask(self, method: str, path: str, *, body: bytes | None = None, content_type: str = "", most: int = _EXCERPT_BYTES) -> Answer:
        headers = dict(self._headers)
        if content_type:
            headers["Content-Type"] = content_type
        if method in {"GET", "HEAD"}:
            headers["Cache-Control"] = "no-cache"
        try:
            return self._http.request(method, self._base + path, headers=headers, body=body, deadline=_SECONDS, max_bytes=most)
        except HttpRefused as refused:
            raise Permanent(str(refused)) from None
        except HttpUnreachable as unreachable:
            raise Transient(str(unreachable)) from None

    def _check(self, answer: Answer, method: str, path: str) -> None:
        """Nothing for 2xx. Raises Transient for what may pass, with Retry-After; Permanent for other 4xx and redirects.

        What the server says is kept and shown, so it goes without the token: some repeat the request's headers.
        """
        if 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 15.3
            return
        said = secrecy.without(answer.body[:_EXCERPT_BYTES].decode("utf-8", "replace"), [self._token])
        message = f"{method} {path}: {answer.status} {' '.join(said[:_EXCERPT].split())}".rstrip()
        if answer.status in _LATER or answer.status >= 500:  # noqa: PLR2004  # RFC 9110 15.6
            raise Transient(message, retry_after(answer, time.time()))
        raise Permanent(message)


def _modified(answer: Answer) -> int:
    try:
        return int(parsedate_to_datetime(answer.headers.get("last-modified", "")).timestamp()) * 1_000_000_000
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0


def open_target(target: Target) -> HttpBackend:
    """The backend below that URL. Raises ConfigError for a URL without a trailing slash, or no client."""
    parts = urlsplit(target.root_or_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment or not parts.path.endswith("/"):
        message = "An http backend needs a target such as https://mirror.example/put/ (http or https, ending with a slash)."
        raise ConfigError(message)
    if target.http is None:
        message = "An http backend needs an HTTP client."
        raise ConfigError(message)
    return HttpBackend(target.http, target.root_or_url, target.token_header, target.token)
