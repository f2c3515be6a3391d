"""`pressrun doctor`: is everything here that is needed, and what to do where it is not."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli import NO, UNREACHABLE, options
from pipeline.cli.start import quiet
from pipeline.context import open_context
from pipeline.ledger import duties, views
from pipeline.ledger.upgrade import current, newest
from pipeline.model.errors import PressrunError, Unavailable
from tasks import broker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.context import Context


@click.command("doctor", epilog="Example: pressrun doctor")
@options.config
@options.as_json
def command(*, config: Path | None, as_json: bool) -> int:
    """Look at Python, configuration, folders, ledger, broker, workers and outlets; say what to do about each fault."""
    quiet()
    context = open_context(config)
    checks: list[tuple[str, Callable[[Context], str]]] = [
        ("python", _python),
        ("folders", _folders),
        ("ledger", _ledger),
        ("broker", _broker),
        ("workers", _workers),
        ("outlets", _outlets),
    ]
    worst, results = 0, []
    for name, check in checks:
        try:
            said, code = check(context), 0
        except Unavailable as error:
            said, code = str(error), UNREACHABLE
        except PressrunError as error:
            said, code = str(error), NO
        worst = max(worst, code)
        results.append({"check": name, "good": not code, "detail": said})
        if not as_json:
            click.echo(f"{'good' if not code else 'BAD '}  {name:<8} {said}")
    if as_json:
        options.echo_json({"checks": results})
    return worst


def _python(_context: Context) -> str:
    return f"{platform.python_version()} at {sys.executable}"


def _folders(context: Context) -> str:
    """The folders documents go to; where only they are writable (a container's volumes), the data folder need not be."""
    settings = context.settings
    mirrors = [Path(m.target) for s in settings.sites for m in s.mirrors if m.backend == "local"]
    kept = [settings.data] if settings.broker == "embedded" or settings.database.startswith("sqlite") else []
    for folder in (*kept, settings.origin, *mirrors):
        if not os.access(_nearest(folder), os.W_OK):
            message = f"{folder} cannot be written: create it, or give this user the right to write there"
            raise PressrunError(message)
    return f"{settings.origin} and {len(mirrors)} local mirrors can be written"


def _nearest(folder: Path) -> Path:
    """The folder itself, or where it would be made."""
    return folder if folder.exists() or folder == folder.parent else _nearest(folder.parent)


def _ledger(context: Context) -> str:
    found = current(context.ledger.url)
    if found != newest():
        message = f"the tables are at version {found}, this program needs {newest()}: run `pressrun db upgrade`"
        raise PressrunError(message)
    return f"answers, at version {found}"


def _broker(context: Context) -> str:
    settings = context.settings
    url = broker.embedded_url(settings.data) if settings.broker == "embedded" else settings.broker
    if not broker.ping(url):
        message = "the broker does not answer: start `pressrun up`, or check `broker` in pressrun.toml"
        raise Unavailable(message)
    waiting = sum(broker.queue_length(url, queue) for queue in ("validate", "feeds", "mirrors", "social"))
    return f"answers; {waiting} nudges unread"


def _workers(context: Context) -> str:
    with context.ledger.read() as tx:
        seen, now = duties.seen_at(tx, duties.UPKEEP), tx.now
    if seen is None or (now - seen).total_seconds() > 15:  # noqa: PLR2004 - as /readyz
        message = f"no worker since {seen or 'ever'}: start `pressrun up`, or `celery -A tasks worker`"
        raise Unavailable(message)
    return f"seen {(now - seen).total_seconds():.1f} s ago"


def _outlets(context: Context) -> str:
    """Each that gets nothing now. One that is paused is so because a person wished it: said, and no fault."""
    with context.ledger.read() as tx:
        left = views.left_alone(tx).values()
    told = "; ".join(f"{one.outlet}: {one.reason}" for one in left)
    if any(not one.paused for one in left):
        message = f"{told.rstrip('.')}. See that it answers: it goes on by itself then"
        raise PressrunError(message)
    return told or "every circuit is closed, none is paused"
