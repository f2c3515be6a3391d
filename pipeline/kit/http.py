"""The one client every outgoing request goes through; `requests` is used nowhere else.

Nothing it is asked to fetch is trusted: addresses are checked after resolution and the checked address is the one
connected to, redirects come back as answers, each request has one total deadline and a cap on the bytes it reads.
Its errors name host and path only, because queries, headers and bodies carry credentials.
"""

from __future__ import annotations

import http.client
import logging
import math
import os
import queue
import re
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pipeline.kit import addresses, deadline

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Mapping, Sequence

    Resolve = Callable[[str], Sequence[str]]

_PORTS = frozenset({80, 443})
_TRIED = 4  # addresses of one host that are tried in turn
_LOOKUP_SECONDS = 5.0
_IDLE_SECONDS = 4.0  # reuse a connection no later than this, and close it: Node and Apache close theirs after 5 s
_SHORTEST_LOOK = 0.05
_URL_CHARACTERS = 4096
_SHOWN_CHARACTERS = 160
_RETRY_AFTER_MOST = 7 * 86_400.0

_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110 5.6.2 token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8192}")  # RFC 9110 5.5, so no CR, LF, NUL
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te", "upgrade", "expect"})
_OUR_FAULT = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema, UnicodeError)


class HttpRefused(Exception):
    """We do not send this request: the URL, a header, or the address it leads to is not allowed. Repeating cannot help."""


class HttpUnreachable(Exception):
    """No whole answer came. `sent` says whether the request may have reached the peer (then its effect is unknown)."""

    def __init__(self, message: str, *, sent: bool) -> None:
        """Keep whether the request may have arrived."""
        self.sent = sent
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer said. Header names in lower case, repeated ones joined by ", ".

    body       the bytes as sent, still in their Content-Encoding (we ask for identity)
    truncated  whether there was more than `max_bytes`; the rest was never read
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


def user_agent() -> str:
    """`Pressrun/<version>`, as RFC 9110 10.1.5 wants a client to name itself."""
    try:
        return f"Pressrun/{metadata.version('pressrun')}"
    except metadata.PackageNotFoundError:
        return "Pressrun/0"


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds until the peer wants to be asked again (RFC 9110 10.2.3), 0 to 7 days, or None where it did not say.

    A date is measured from the answer's own Date where it has one, so that the peer's clock may be wrong;
    else from `now` (seconds since the epoch).
    """
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(float(text), _RETRY_AFTER_MOST)
    when = _http_date(text)
    if when is None:
        return None
    asked = _http_date(answer.headers.get("date", ""))
    return min(max(0.0, when - (now if asked is None else asked)), _RETRY_AFTER_MOST)


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class Http:
    """The client. Safe for threads; what it holds open is made on first use and never shared with a forked child.

    allow    `host:port` pairs, spelled as in the URL (`127.0.0.1:8081`, `[::1]:80`), for which neither the port
             nor the addresses are checked: the operator named them
    resolve  host → numeric addresses; a test's own, or the system's
    ca_file  PEM certificates to trust in place of the bundle that requests brings
    """

    def __init__(self, allow: Collection[str] = (), *, resolve: Resolve = addresses.resolve, ca_file: str = "") -> None:
        """Keep the rules; nothing is opened."""
        self._allow = frozenset(pair.lower() for pair in allow)
        self._resolve = resolve
        self._ca_file = ca_file
        self._agent = user_agent()
        self._made: tuple[int, dict[bool, requests.Session]] = (0, {})
        self._tidying: dict[int, threading.Thread] = {}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: float,
        max_bytes: int,
        allow_private: bool = False,
    ) -> Answer:
        """Send one request and read its answer; a redirect is an answer like any other.

        deadline       seconds for everything: name lookup, connection, TLS, sending, reading
        max_bytes      of the answer's body that are read; `Answer.truncated` says that there was more
        allow_private  for URLs out of the operator's own configuration: any port, and addresses of the own network

        Raises HttpRefused before anything is sent, HttpUnreachable when no whole answer came.
        """
        parts = _checked_url(url)
        if not (allow_private or self._listed(parts) or _port(parts) in _PORTS):
            message = f"Port {_port(parts)} is not one of 80 and 443: {_shown(parts)}"
            raise HttpRefused(message)
        prepared = self._prepare(method, url, parts, headers or {}, body)
        try:
            return self._exchange(prepared, parts, seconds=deadline, max_bytes=max_bytes, private=allow_private)
        finally:
            self._tidy_later()

    def check(self, url: str) -> None:
        """Raise HttpRefused for what `request` would refuse by the URL alone: its form, its port, an address in whatever spelling.

        Where a name leads is known only when it is asked; `request` looks then.
        """
        parts = _checked_url(url)
        host, listed = parts.hostname or "", self._listed(parts)
        if not listed and _port(parts) not in _PORTS:
            message = f"Port {_port(parts)} is not one of 80 and 443: {_shown(parts)}"
            raise HttpRefused(message)
        address = addresses.spelled(host.rstrip("."))  # as a resolver reads it: the last dot is the root's
        if not listed and (addresses.is_local_name(host) if address is None else not addresses.is_public(address)):
            message = f"The address of {_pair(host, _port(parts))} is not one of the public internet"
            raise HttpRefused(message)

    def close(self) -> None:
        """Close what this process holds open; the client can be used again."""
        pid, sessions = self._made
        self._made = (0, {})
        if pid == os.getpid():
            for session in sessions.values():
                session.close()

    def _tidy_later(self) -> None:
        """Have what nobody uses again closed in time, by one thread as long as anything is open.

        Else a socket for each of a crowd that was told would stay until the next change.
        """
        pid = os.getpid()
        if pid not in self._tidying:
            tidier = threading.Thread(target=self._tidy, args=(pid,), name="closes connections", daemon=True)
            if self._tidying.setdefault(pid, tidier) is tidier:
                tidier.start()

    def _tidy(self, pid: int) -> None:
        open_still = True
        while open_still:
            time.sleep(max(_IDLE_SECONDS, _SHORTEST_LOOK))
            open_still = self._close_idle()
        del self._tidying[pid]
        if self._close_idle():  # one came back just now, when there seemed to be somebody who looks
            self._tidy_later()

    def _close_idle(self) -> bool:
        """Close what has been idle for long; whether anything else is idle."""
        adapters = {adapter for session in [*self._made[1].values()] for adapter in session.adapters.values()}
        pools = [one.poolmanager.pools for one in adapters if isinstance(one, _Adapter)]
        found = [pool for each in pools for key in each.keys() if (pool := each.get(key)) is not None]  # noqa: SIM118 - it is no dict
        return any([_close_stale(pool) for pool in found])  # noqa: C419 - every one of them

    def _listed(self, parts: SplitResult) -> bool:
        return _pair(parts.hostname or "", _port(parts)) in self._allow

    def _prepare(
        self, method: str, url: str, parts: SplitResult, headers: Mapping[str, str], body: bytes | None
    ) -> requests.PreparedRequest:
        message = ""
        if not _METHOD.fullmatch(method):
            message = "The method is no HTTP method"
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                message = "A header has a name that may not be sent"
            elif not _HEADER_VALUE.fullmatch(value):
                message = f"The header {name} holds characters that may not be sent"
        if message:
            message = f"{message}: {_shown(parts)}"
            raise HttpRefused(message)
        own = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        sent = {name: value.encode("latin-1") for name, value in (own | dict(headers)).items()}
        try:
            prepared = requests.Request(method, url, headers=sent, data=body).prepare()
        except _OUR_FAULT:
            prepared = None
        if prepared is None or not _same_place(prepared.url or "", parts):
            message = f"Not a URL that can be requested: {_shown(parts)}"
            raise HttpRefused(message)
        return prepared

    def _exchange(self, prepared: requests.PreparedRequest, parts: SplitResult, *, seconds: float, max_bytes: int, private: bool) -> Answer:
        with deadline.total(seconds) as call:
            try:
                response = self._session(private=private).send(prepared, stream=True, timeout=seconds, allow_redirects=False)
                with response:
                    return _read(response, max_bytes)
            except (HttpRefused, HttpUnreachable):
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                reason = _reason(error)
            # Outside the except block: the library's own message holds the whole URL and must not hang on as context.
            message = f"{reason}: {_shown(parts)}"
            raise HttpUnreachable(message, sent=call.sent)

    def _session(self, *, private: bool) -> requests.Session:
        """This process's session; no lock, for a lock held while another thread forks is never released in the child."""
        pid = os.getpid()
        if self._made[0] != pid:
            self._made = (pid, {})
        sessions = self._made[1]
        return sessions.get(private) or sessions.setdefault(private, self._open(private=private))

    def _open(self, *, private: bool) -> requests.Session:
        # At level DEBUG urllib3 logs every URL with its query; at WARNING every connection that it does not keep.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        session = _Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(lambda host, port: self._dial(host, port, private=private), self._ca_file or DEFAULT_CA_BUNDLE_PATH)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _dial(self, host: str, port: int, *, private: bool) -> socket.socket:
        """Look the host up once, refuse if any address is not allowed, connect to one of these very addresses."""
        found = self._addresses(host)
        shown = _pair(host, port)
        if shown not in self._allow:
            for address in found:
                if not (addresses.is_public(address) or (private and addresses.is_own(address))):
                    message = f"The address of {shown} is not one of the public internet"
                    raise HttpRefused(message)
        reason = "no address"
        for position, address in enumerate(found[:_TRIED]):
            try:
                return deadline.dial(address, port, min(len(found), _TRIED) - position)
            except OSError as error:
                reason = _reason(error)
        message = f"No connection ({reason}): {shown}"
        raise HttpUnreachable(message, sent=False)

    def _addresses(self, host: str) -> Sequence[str]:
        if addresses.is_numeric(host):
            return (host,)
        try:
            return deadline.within(min(_LOOKUP_SECONDS, deadline.current().left()), lambda: self._resolve(host))
        except UnicodeError:
            message = f"Not a host name: {host[:_SHOWN_CHARACTERS]}"
        except OSError as error:
            message = f"The name cannot be looked up ({_reason(error)}): {host}"
            raise HttpUnreachable(message, sent=False) from None
        raise HttpRefused(message)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Never one: to fill `Response.next`, requests would read the whole body of a redirect, without a cap."""
        return None


class _Adapter(HTTPAdapter):
    """Connections come from our own `dial`; TLS from one context for the life of the session."""

    def __init__(self, dial: Callable[[str, int], socket.socket], ca_file: str) -> None:
        context = ssl.create_default_context(cafile=ca_file)
        context.sslsocket_class = deadline.DeadlineTls
        self._context = context
        self._dial = dial
        super().__init__(pool_connections=64, pool_maxsize=16, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: object) -> None:  # noqa: FBT001, FBT002
        """As requests does it, with our context and our kinds of connection."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._dial)

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Nothing: the context verifies, and loading the bundle again would cost 20 ms for each connection."""


class _Connection(HTTPConnection):
    """Connects through `dial`, and counts as dropped once it has been idle for longer than peers keep it open."""

    dial: staticmethod[[str, int], socket.socket]
    _fresh_until = math.inf

    def _new_conn(self) -> socket.socket:
        return self.dial(self.host, self.port or self.default_port)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as in urllib3 itself
        self._fresh_until = time.monotonic() + _IDLE_SECONDS
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        return time.monotonic() < self._fresh_until and super().is_connected


def _close_stale(pool: HTTPConnectionPool) -> bool:
    """Close those of a pool that are not to be used again; whether any is left. Who finds it empty meanwhile opens one more."""
    if pool.pool is None:
        return False
    found: list[Any] = []
    with suppress(queue.Empty):
        while True:
            found.append(pool.pool.get_nowait())
    fresh = [one for one in found if one is not None and one.is_connected]
    for one in found:
        if one is not None and one not in fresh:
            one.close()
    for one in reversed(fresh):
        try:
            pool.pool.put_nowait(one)
        except queue.Full:
            one.close()
    return bool(fresh)


def _pools(dialer: Callable[[str, int], socket.socket]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Connection):
        dial = staticmethod(dialer)

    class Tls(_Connection, HTTPSConnection):
        dial = staticmethod(dialer)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _read(response: requests.Response, max_bytes: int) -> Answer:
    """The answer, with at most `max_bytes` of its body; the connection is reused only when nothing is left in it."""
    kept = bytearray()
    while len(kept) <= max_bytes and (piece := response.raw.read(max_bytes + 1 - len(kept), decode_content=False)):
        kept += piece
    headers = {name.lower(): value for name, value in response.headers.items()}
    truncated = len(kept) > max_bytes
    if truncated:
        response.raw.close()
    return Answer(response.status_code, headers, bytes(kept[:max_bytes]), truncated)


def _checked_url(url: str) -> SplitResult:
    """The parts of a URL that may be asked for: http or https, a plain host, no user name. Raises HttpRefused."""
    message = "Not a URL that can be requested"
    if len(url) > _URL_CHARACTERS or _NOT_IN_URL.search(url):
        raise HttpRefused(message)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise HttpRefused(message) from None
    if parts.scheme not in {"http", "https"} or not host or "%" in host:
        raise HttpRefused(message)
    if "@" in parts.netloc:
        message = f"A URL may not carry a user name or password: {_shown(parts)}"
        raise HttpRefused(message)
    return parts


def _same_place(prepared: str, parts: SplitResult) -> bool:
    """Whether requests read the same host out of the URL as we did; other than ASCII hosts it rewrites (IDNA)."""
    host = parts.hostname or ""
    again = urlsplit(prepared)
    return again.scheme == parts.scheme and again.port == parts.port and (again.hostname == host or not host.isascii())


def _port(parts: SplitResult) -> int:
    return (443 if parts.scheme == "https" else 80) if parts.port is None else parts.port


def _pair(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_SHOWN_CHARACTERS]


def _reason(error: BaseException) -> str:
    """What went wrong in two or three words of our own: a library's message may hold the URL or a header."""
    seen: BaseException | None = error
    causes: list[BaseException] = []
    while seen is not None and len(causes) < 8:  # noqa: PLR2004  # chains are three or four long
        causes.append(seen)
        inner = next((a for a in seen.args if isinstance(a, BaseException)), None)
        seen = getattr(seen, "reason", None) if isinstance(getattr(seen, "reason", None), BaseException) else inner
    for kinds, words in _REASONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    return "the connection failed"


_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((ssl.SSLCertVerificationError,), "the certificate is not trusted"),
    ((TimeoutError, urllib3.exceptions.TimeoutError, requests.Timeout), "no answer in time"),
    ((ssl.SSLError, urllib3.exceptions.SSLError), "TLS failed"),
    ((ConnectionRefusedError,), "connection refused"),
    ((http.client.IncompleteRead, urllib3.exceptions.IncompleteRead), "the answer ended too early"),
    ((http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError), "the connection was closed"),
    ((http.client.HTTPException,), "the answer is not HTTP"),
)
