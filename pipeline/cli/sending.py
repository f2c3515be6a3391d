"""Signing and posting webhooks as a CMS would, and waiting until every outlet holds what was sent."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import click

from pipeline.kit import signatures, strictjson
from pipeline.kit.clock import rfc3339
from pipeline.kit.http import Answer, Http, HttpRefused, HttpUnreachable
from pipeline.ledger import views
from pipeline.model.errors import ConfigError, PressrunError, Unavailable
from pipeline.rules import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.context import Context
    from pipeline.ledger.views import ArticleStatus, OutletStatus
    from pipeline.model.settings import Settings, Source

LOOK = 0.05
PATIENCE = 5.0  # seconds; a supervisor starts a web process again within two
_PICTURE = re.compile(r"https://images\.example\.org/2026/11/([a-z-]+\.jpg)")
_WITHOUT_EFFECT = {
    "unchanged": "The newest revision says the same already.",
    "stale": "A newer revision is known (its updated_at, version or timestamp is later).",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One webhook that was accepted."""

    event_id: str
    article_id: str
    file: str
    site: str
    status_url: str = ""

    def to_json(self) -> dict[str, object]:
        """As it is printed where nobody waits: what became of it stands at `status_url`."""
        return {"event_id": self.event_id, "file": self.file, "status": "accepted", "status_url": self.status_url}


@dataclass(frozen=True, slots=True)
class Idle:
    """An event that changed nothing: `status` is "stale" or "unchanged"."""

    file: str
    event_id: str
    status: str

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        return _WITHOUT_EFFECT[self.status]

    def to_json(self) -> dict[str, object]:
        """As it stands in `without_effect`."""
        return {"file": self.file, "event_id": self.event_id, "status": self.status, "reason": self.reason}


def source_of(context: Context, name: str | None) -> Source:
    """The source of that name, or the only one. Raises ConfigError."""
    sources = context.settings.sources
    found = context.settings.source(name) if name else sources[0] if len(sources) == 1 else None
    if found is None:
        there = ", ".join(s.name for s in sources)
        message = f"there is no source “{name}”; there is {there}" if name else f"--source is needed: one of {there}"
        raise ConfigError(message)
    if not found.secrets:
        message = f"source “{found.name}” has no secret, so nothing it sends is accepted; give it one in pressrun.toml"
        raise ConfigError(message)
    return found


def event_from(path: Path, now: str, settings: Settings) -> dict[str, Any]:
    """The event in a file; a bare article is wrapped as article.published of now. Raises ConfigError.

    What could not be read as a webhook is refused in the same words. The samples' pictures are named as those of the instance.
    """
    body = path.read_bytes()
    try:
        strictjson.loads(body, max_depth=settings.limits.json_depth)
    except strictjson.BadJson as error:
        message = f"{path}: {error}"
        raise ConfigError(message) from error
    content = json.loads(with_pictures(body.decode(), settings.server.public_url))
    if is_bare(content):
        return {"type": "article.published", "timestamp": now, "data": content}
    return content if isinstance(content, dict) else {"type": "", "data": content}


def is_bare(content: object) -> bool:
    """Whether it is an article without its event."""
    return isinstance(content, dict) and "data" not in content and "type" not in content


def with_pictures(text: str, public_url: str) -> str:
    """The text of a sample with its pictures' addresses leading to the instance, which serves them (`pipeline.web.static`).

    The samples name a host that RFC 2606 keeps from ever existing, so that no newsroom's address is ever changed by this.
    """
    ours = schema.folder() / "examples" / "images"
    return _PICTURE.sub(lambda found: f"{public_url}static/examples/{found[1]}" if (ours / found[1]).is_file() else found[0], text)


def post(context: Context, source: Source, event: dict[str, Any], base_url: str, file: str = "") -> Sent:
    """Sign and post one event. Raises Unavailable when nobody answers, PressrunError when it is refused."""
    body = json.dumps(event, ensure_ascii=False).encode()
    webhook_id = "msg_" + secrets.token_urlsafe(18)
    timestamp = int(context.clock.now().timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures.sign(source.secrets[0], webhook_id, timestamp, body),
    }
    answer = _patiently(_http(base_url), f"{base_url}webhooks/{source.name}", headers, body)
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = {}
    if answer.status != HTTPStatus.ACCEPTED:
        message = f"{file or 'the event'} was refused with {answer.status}: {said.get('detail', '')}"
        raise PressrunError(message)
    data = event.get("data")
    article = str(data.get("id", "")) if isinstance(data, dict) else ""
    return Sent(said["event_id"], article, file, source.site, said.get("status_url", ""))


def _patiently(http: Http, url: str, headers: dict[str, str], body: bytes) -> Answer:
    """The answer; a web process that is just starting again is waited for. The same webhook-id makes a repetition harmless."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            answer = http.request("POST", url, headers=headers, body=body, deadline=10.0, max_bytes=100_000)
        except (HttpUnreachable, HttpRefused) as error:
            if isinstance(error, HttpRefused) or time.monotonic() > ends:
                message = f"{url} does not answer ({error}). Is it running? `pressrun up` starts it."
                raise Unavailable(message) from error
        else:
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > ends:
                return answer
        time.sleep(0.2)


def _http(base_url: str) -> Http:
    authority = base_url.split("/")[2]
    default = "443" if base_url.startswith("https") else "80"
    return Http(allow=[authority if ":" in authority else f"{authority}:{default}"])


def local_url(context: Context) -> str:
    """Where the web process of this configuration is reached from this machine."""
    server = context.settings.server
    host = "127.0.0.1" if server.host in {"0.0.0.0", "::", ""} else server.host  # noqa: S104 - a comparison
    return f"http://{host}:{server.port}/"


@dataclass(frozen=True, slots=True)
class Waited:
    """What became of what was sent: the articles' status, refused events, and whether everything is as it should be."""

    articles: tuple[ArticleStatus, ...]
    rejected: tuple[dict[str, Any], ...]
    settled: bool
    without_effect: tuple[Idle, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The one shape of `demo`, `publish --wait` and `status`; the other lists stand beside the articles where they hold anything."""
        idle = [one.to_json() for one in self.without_effect]
        beside = {"rejections": list(self.rejected), "without_effect": idle}
        return {"articles": [a.to_json() for a in self.articles], **{name: listed for name, listed in beside.items() if listed}}


def wait(context: Context, sent: Sequence[Sent], seconds: float, meanwhile: Callable[[int, int], None] = lambda _a, _b: None) -> Waited:
    """Look until every event is processed and its article settled everywhere, or `seconds` have passed."""
    ends = time.monotonic() + seconds
    while True:
        waited = _look(context, sent)
        done = sum(a.at_rest for a in waited.articles)
        meanwhile(done, len({s.article_id for s in sent}))
        if waited.settled or time.monotonic() > ends:
            return waited
        time.sleep(LOOK)


def _look(context: Context, sent: Sequence[Sent]) -> Waited:
    with context.ledger.read() as tx:
        events = [views.event(tx, s.event_id) for s in sent]
        ids = dict.fromkeys((s.article_id, s.site) for s in sent)
        articles = views.status(tx, [i for text, site in ids for i in views.find_articles(tx, text, site)], context.settings.address)
    processed = all(e is not None and e["status"] != "accepted" for e in events)
    refused = tuple(
        {"file": s.file, "event_id": s.event_id, "problems": e["problems"]}
        for s, e in zip(sent, events, strict=True)
        if e is not None and e["status"] == "rejected"
    )
    final = all(a.at_rest or any(o.state in {"failed", "unknown"} for o in a.outlets) for a in articles)
    ended = [(s, str(e["status"])) for s, e in zip(sent, events, strict=True) if e is not None]
    idle = tuple(Idle(s.file, s.event_id, status) for s, status in ended if status in _WITHOUT_EFFECT)
    return Waited(tuple(articles), refused, processed and final, idle)


def is_good(waited: Waited) -> bool:
    """Whether every article is settled everywhere, or waits for its time as it should, and nothing was refused."""
    return not waited.rejected and bool(waited.articles) and all(a.at_rest for a in waited.articles)


def show(waited: Waited) -> None:
    """A table for people."""
    for article in waited.articles:
        state = article.state
        if article.waits_until is not None:
            state = f"waits until {rfc3339(article.waits_until)}, then goes out by itself"
        click.echo(f"\n{article.headline or '(no headline)'}")
        click.echo(f"  {article.site} · {article.id} · revision {article.revision} · {state}")
        for outlet in article.outlets:
            seconds = f"{outlet.seconds:.2f} s" if outlet.seconds is not None else ""
            gone = " (gone)" if outlet.gone else ""
            click.echo(f"    {outlet.outlet:<28} {outlet.state + gone:<16} {seconds:>8}  {_detail(article, outlet)}")
    for idle in waited.without_effect:
        click.echo(f"\n{idle.file} changed nothing: {idle.reason}")
    for refused in waited.rejected:
        click.echo(f"\nREJECTED {refused['file']} ({refused['event_id']})")
        for problem in refused["problems"]:
            click.echo(f"    {problem['pointer'] or '/'}: {problem['detail']}")


def _detail(article: ArticleStatus, outlet: OutletStatus) -> str:
    """Where it is, or why it is not. That a withdrawn article is gone needs no reason: its address, where that can be seen."""
    if outlet.state != "settled" or (outlet.gone and article.state != "withdrawn"):
        return outlet.reason
    return outlet.url if outlet.gone or not outlet.reason else f"{outlet.url}  {outlet.reason}"


class Progress:
    """One line that counts on a terminal, and nothing in a pipe."""

    def __init__(self, what: str) -> None:
        """`what` is counted, e.g. "articles settled"."""
        self._what = what
        self._last = ""
        self._on = sys.stderr.isatty()

    def __call__(self, done: int, of: int) -> None:
        """Show the count."""
        text = f"{self._what}: {done} of {of}" if of else f"{self._what}: {done}"
        if self._on and text != self._last:
            click.echo(f"\r{text}", nl=False, err=True)
            self._last = text

    def end(self) -> None:
        """Leave the line."""
        if self._on and self._last:
            click.echo("\r" + " " * len(self._last) + "\r", nl=False, err=True)
