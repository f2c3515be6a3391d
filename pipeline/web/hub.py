"""`POST /hub`: subscribe, unsubscribe, publish (W3C WebSub sections 5 and 6).

A row is there before the 202; whether it was meant is asked later. Answers are plain text, as section 5.2 wants them, and never
depend on what a callback answers.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from pipeline import settings as settings_file
from pipeline.kit import metrics, websub
from pipeline.kit.http import HttpRefused
from pipeline.kit.together import Together
from pipeline.ledger import subscriptions, topics
from pipeline.ledger.subscriptions import Ask
from pipeline.model.errors import Unavailable
from pipeline.model.run import Nudge, Step
from pipeline.web.webhooks import BODY_SECONDS, TooLarge, read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pipeline.context import Context
    from pipeline.kit.websub import Publish, Subscription

BODY_BYTES = 131_072  # two URLs that are too long and a secret, percent-encoded: still told what is wrong with them
GROUP = 16  # in one commit
AT_ONCE, IN_LINE = 4, 200  # requests that are written, and that wait to be, in one web process
WRITES = 1.5  # seconds, as for a webhook
PAUSE = 0.05  # seconds between two nudges: a run takes all that waits
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
SOON, LATER = {"Retry-After": "5"}, {"Retry-After": "3600"}

TAKEN = "Accepted. The callback is asked whether it meant it; then it counts."
HEARD = "Accepted. Subscribers are told of what changed."
AWAY = "The hub cannot write this down just now. Send it again in a moment."


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: a status and a sentence; `again` is when to ask once more."""

    status: int
    text: str
    again: Mapping[str, str] = field(default_factory=dict)


REFUSED = {
    "unknown": Said(404, "There is no such subscription of that callback."),
    "most": Said(429, "This hub has as many subscriptions as it takes. Try again later.", LATER),
    "per_host": Said(429, "This hub has as many subscriptions of callbacks at that host as it takes.", LATER),
    "client": Said(429, "Too many of your requests wait to be verified. Try again when they are.", SOON),
}


class Desk:
    """The hub's part of one web process: a few threads that write, and one that nudges. `carry` may block or fail."""

    def __init__(self, context: Context, carry: Callable[[Sequence[Nudge]], None]) -> None:
        """Threads start with the first request."""
        self._context = context
        self._carry = carry
        self._asks: Together[Ask, str] = Together(self._note, GROUP)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hub")
        self._line = 0  # of the event loop's thread alone
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._nudger = threading.Thread(target=self._nudge, name="nudge the hub", daemon=True)

    async def answer(self, asked: Subscription | Publish, client: str) -> Said:
        """Write down what was asked for; at most so many wait for that."""
        if self._line >= IN_LINE:
            return Said(503, AWAY, SOON)
        self._line += 1
        try:
            said = await asyncio.get_running_loop().run_in_executor(self._threads, self._take, asked, client)
        except Unavailable as error:
            self._context.log.warning("not written down", mode="hub", outcome=str(error))
            return Said(503, AWAY, SOON)
        finally:
            self._line -= 1
        if said.status == HTTP_ACCEPTED:
            self._tell()
        return said

    def stop(self) -> None:
        """End the threads."""
        self._stopping.set()
        self._news.set()
        self._threads.shutdown(wait=False)

    def _take(self, asked: Subscription | Publish, client: str) -> Said:
        return self._subscribe(asked, client) if isinstance(asked, websub.Subscription) else self._publish(asked)

    def _subscribe(self, asked: Subscription, client: str) -> Said:
        settings = self._context.settings
        if asked.mode == "subscribe" and not settings_file.is_topic(settings, asked.topic):
            return Said(404, "This hub knows no such topic: hub.topic must be a feed's own address, letter by letter.")
        try:
            self._context.http.check(asked.callback)
        except HttpRefused as error:
            return Said(403, f"hub.callback cannot be used. {error}")
        secret = self._context.sealer.seal(asked.secret) if asked.secret else ""
        lease = settings.hub.lease(asked.lease_seconds)
        refused = self._asks.do(Ask(asked.mode, asked.topic, asked.callback, client, lease, secret))
        return REFUSED[refused] if refused else Said(HTTP_ACCEPTED, TAKEN)

    def _note(self, asks: Sequence[Ask]) -> list[str]:
        with self._context.ledger.write(deadline=WRITES, durable=True) as tx:
            return subscriptions.ask(tx, asks, self._context.settings.hub)

    def _publish(self, asked: Publish) -> Said:
        settings = self._context.settings
        if unknown := [topic for topic in asked.topics if not settings_file.is_topic(settings, topic)]:
            return Said(404, f"This hub knows no such topic: {len(unknown)} of {len(asked.topics)}.")
        own = settings_file.own_topics(settings)
        if others := [topic for topic in asked.topics if topic not in own]:
            with self._context.ledger.write(deadline=WRITES, durable=True) as tx:
                topics.to_fetch(tx, others)
        return Said(HTTP_ACCEPTED, HEARD)

    def _tell(self) -> None:
        if not self._nudger.is_alive() and not self._stopping.is_set():
            self._nudger.start()
        self._news.set()

    def _nudge(self) -> None:
        while not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            try:
                self._carry([Nudge(Step.HUB)])
            except Exception as error:  # noqa: BLE001 - the row is there; upkeep finds it
                self._context.log.warning("nudge not sent", step="hub", outcome=type(error).__name__)
            self._stopping.wait(PAUSE)


HTTP_ACCEPTED = 202


async def receive(request: Request) -> Response:
    """Answer one request to the hub."""
    mode, said = await _answer(request)
    metrics.hub_asked.labels(mode, str(said.status)).inc()
    return PlainTextResponse(said.text + "\n", said.status, {**HEADERS, **said.again})


async def _answer(request: Request) -> tuple[str, Said]:
    asked = _unfit(request) or await _read(request)
    if isinstance(asked, Said):
        return "unknown", asked
    desk: Desk = request.app.state.hub
    mode = asked.mode if isinstance(asked, websub.Subscription) else "publish"
    return mode, await desk.answer(asked, _client(request))


def _unfit(request: Request) -> Said | None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != websub.FORM:
        return Said(415, f"Send a form: Content-Type {websub.FORM}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        return Said(415, "Send the form as it is, without Content-Encoding.")
    return None


async def _read(request: Request) -> Subscription | Publish | Said:
    try:
        return websub.parse(await read_body(request, BODY_BYTES))
    except TooLarge:
        return Said(413, f"A request may have {BODY_BYTES} bytes at most.")
    except TimeoutError:
        return Said(408, f"The form did not arrive within {BODY_SECONDS:.0f} s.")
    except ClientDisconnect:
        return Said(400, "The form ended before its time.")
    except websub.BadRequest as error:
        return Said(400, str(error))


def _client(request: Request) -> str:
    """The address a request came from; of IPv6 the network, for every host has a whole one to choose from (RFC 6177)."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))  # noqa: PLR2004 - IPv4
