"""A WebSub subscriber as W3C WebSub (23 January 2018) wants one, over real sockets, that can be told to misbehave.

    with Subscriber() as reader:
        one = reader.discover("http://127.0.0.1:8400/demo/feeds/all.atom")   # section 4
        pending = reader.subscribe(one, secret="…")                            # section 5
        ...
        pending.heard                                                          # section 7: every distribution that counts

It knows nothing of Pressrun. Standard library and lxml.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from lxml import etree, html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PATIENCE = 30.0
MOVED, HUB_MOVED = {301, 302, 303, 307, 308}, {307, 308}
ATOM = "{http://www.w3.org/2005/Atom}"


@dataclass(frozen=True)
class Got:
    """An answer to one of our requests; header names in lower case, repeated ones joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Found:
    """What discovery found: a topic is subscribed to at one of its hubs, under the name it gives itself."""

    topic: str
    hubs: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """A POST to a callback. `counts` says whether a subscriber may believe it."""

    headers: Mapping[str, str]
    body: bytes
    counts: bool
    at: float


@dataclass
class Subscription:
    """One callback, and what came to it. `answers` are given one after the other to what is told, the last one for ever."""

    callback: str
    topic: str
    secret: str = ""
    mode: str = "subscribe"
    query: str = ""
    confirms: bool = True
    echo: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    slow: float = 0.0
    verified: list[dict[str, str]] = field(default_factory=list)
    denied: list[dict[str, str]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    got: Got | None = None

    @property
    def heard(self) -> list[Told]:
        """Everything that counts."""
        return [one for one in self.told if one.counts]


def ask(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Got:
    """One request; redirects are answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, dict(headers or {}))
        answer = connection.getresponse()
        joined: dict[str, str] = {}
        for name, value in answer.getheaders():
            joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
        return Got(answer.status, joined, answer.read())
    finally:
        connection.close()


def form(url: str, **fields: str) -> Got:
    """POST a form; `hub_mode` stands for `hub.mode`."""
    named = {name.replace("_", ".", 1) if name.startswith("hub_") else name: value for name, value in fields.items()}
    return ask("POST", url, urlencode(named).encode(), {"content-type": "application/x-www-form-urlencoded"})


def links(header: str) -> list[tuple[str, str]]:
    """(relation, target) of a Link header (RFC 8288)."""
    found = []
    for target, parameters in re.findall(r"<([^>]*)>((?:\s*;\s*[^,;]+)*)", header):
        rel = re.search(r';\s*rel="?([^";]*)"?', parameters)
        found += [(word, target) for word in (rel[1].split() if rel else ())]
    return found


def _embedded(media_type: str, body: bytes) -> Iterable[tuple[str, str]]:
    """(relation, target) of links in the body: Atom's in a feed, `link` elements in a page."""
    if "html" in media_type:
        for link in html.document_fromstring(body).iter("link"):
            yield from ((rel, link.get("href", "")) for rel in link.get("rel", "").split())
    elif "xml" in media_type:
        root = etree.fromstring(body)
        for link in (*root.iterfind(f"channel/{ATOM}link"), *root.iterfind(f"{ATOM}link")):
            yield link.get("rel", "alternate"), link.get("href", "")


class Subscriber:
    """The server of all its callbacks, for the length of a `with`."""

    def __init__(self) -> None:
        """Bind the port; answers begin with the `with`."""
        self.subscriptions: dict[str, Subscription] = {}
        self.strays: list[str] = []
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.subscriber = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def authority(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def discover(self, url: str) -> Found:
        """Section 4: follow redirects; Link headers first; only where they name nothing, what stands in the body."""
        for _ in range(5):
            got = ask("GET", url)
            if got.status not in MOVED:
                break
            url = urljoin(url, got.headers["location"])
        found = links(got.headers.get("link", ""))
        if not {"hub", "self"} <= {rel for rel, _ in found}:
            found = list(_embedded(got.headers.get("content-type", ""), got.body))
        topics = [urljoin(url, target) for rel, target in found if rel == "self"]
        hubs = tuple(urljoin(url, target) for rel, target in found if rel == "hub")
        assert len(topics) == 1, f"{url} names {topics} as itself"
        assert hubs, f"{url} names no hub"
        return Found(topics[0], hubs)

    def make(self, topic: str, *, secret: str = "", query: str = "") -> Subscription:
        """A callback that nobody can guess, and nothing asked of any hub yet."""
        path = f"/{secrets.token_urlsafe(16)}"
        made = Subscription(f"http://{self.authority}{path}{query}", topic, secret, query=query)
        self.subscriptions[path] = made
        return made

    def subscribe(self, found: Found, *, secret: str = "", query: str = "", **more: str) -> Subscription:
        """Ask the first hub."""
        made = self.make(found.topic, secret=secret, query=query)
        self.request(found, made, "subscribe", **more)
        return made

    def request(self, found: Found, made: Subscription, mode: str, **more: str) -> Got:
        """Subscribe (again) or unsubscribe at the first hub; a hub that has moved for now is asked where it is (section 5.2)."""
        made.mode = mode
        fields = {"hub_mode": mode, "hub_topic": made.topic, "hub_callback": made.callback, **more}
        url = found.hubs[0]
        for _ in range(3):
            made.got = form(url, **(fields | ({"hub_secret": made.secret} if made.secret else {})))
            if made.got.status not in HUB_MOVED:
                break
            url = urljoin(url, made.got.headers["location"])
        assert made.got is not None
        return made.got


def signed(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether a distribution is to be believed (section 7.1): where a secret was given, only with its signature."""
    if not secret:
        return True
    method, _, given = headers.get("x-hub-signature", "").partition("=")
    if method not in {"sha1", "sha256", "sha384", "sha512"}:
        return False
    return hmac.compare_digest(given, hmac.new(secret.encode(), body, getattr(hashlib, method)).hexdigest())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    subscriber: Subscriber


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Verification of intent (section 5.3), or word of a denial (5.2)."""
        parts = urlsplit(self.path)
        one, asked = self._one(), dict(parse_qsl(parts.query))
        if one is None:
            self._answer(404)
        elif asked.get("hub.mode") == "denied":
            one.denied.append(asked)
            self._answer(200)
        elif not one.confirms or asked.get("hub.topic") != one.topic or asked.get("hub.mode") != one.mode:
            self._answer(404)
        else:
            one.verified.append({**asked, "": parts.query})
            self._answer(200, (one.echo or asked["hub.challenge"]).encode())

    def do_POST(self) -> None:
        """Distribution (section 7): 2xx also for what is not believed, so that nobody learns what would be."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        one = self._one()
        if one is None:
            self._answer(404)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        one.told.append(Told(headers, body, signed(headers, body, one.secret), time.monotonic()))
        if one.slow:
            self.server.subscriber.released.wait(one.slow)
        self._answer(one.answers.pop(0) if len(one.answers) > 1 else one.answers[0])

    def _one(self) -> Subscription | None:
        path, _, query = self.path.partition("?")
        one = self.server.subscriber.subscriptions.get(path)
        if one is None or not f"?{query}".startswith(one.query):
            self.server.subscriber.strays.append(self.path)
            return None
        return one

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status in MOVED:
            self.send_header("location", f"http://{self.server.subscriber.authority}/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""
