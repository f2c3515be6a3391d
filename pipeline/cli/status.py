"""`pressrun status`: whether it is out everywhere, and gone everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli import NO, options, sending
from pipeline.kit.clock import rfc3339
from pipeline.ledger import events, subscription_views, subscriptions, views
from pipeline.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.ledger.engine import Tx
    from pipeline.model.settings import Settings

EMPTY = "Nothing was published yet: `pressrun publish FILE` sends an article."


@click.command("status", epilog="Example: pressrun status harbour-2026 --json")
@click.argument("article", required=False)
@click.option("--site", help="Only this site's.")
@click.option("--newest", default=10, show_default=True, help="How many of the newest articles, without ARTICLE.")
@options.config
@options.as_json
def command(article: str | None, site: str | None, newest: int, *, config: Path | None, as_json: bool) -> int:
    """Show where ARTICLE is, outlet by outlet; without it, the newest articles, what is not settled, what waits for its time.

    An outlet that gets nothing now is named with the reason. Exit code 1 while anything asked about is not settled.
    Waiting for its time is as it should be.
    """
    context = options.context(config)
    if site is not None and site not in {s.name for s in context.settings.sites}:
        message = f"there is no site “{site}”; there is {', '.join(s.name for s in context.settings.sites)}"
        raise ConfigError(message)
    with context.ledger.read() as tx:
        ids = views.find_articles(tx, article, site) if article else views.newest_articles(tx, newest, site=site)
        found = views.status(tx, ids, context.settings.address)
        unsettled = {outlet: states for outlet, states in views.completeness(tx).items() if states and _is_of(outlet, site)}
        sources = {s.name for s in context.settings.sources if site in {None, s.site}}
        unread = sum(count for source, count in events.waiting_counts(tx) if site is None or source in sources)
        later = [] if article else views.waiting(tx, site=site)
        left = [] if article else [one for one in views.left_alone(tx).values() if _is_of(one.outlet, site)]
        told = [] if article else _subscribers(tx, context.settings, site)
    if article and not found:
        click.echo(f"No article “{article}” is in the ledger.", err=True)
        return NO
    shown = sending.Waited(tuple(found), (), settled=True)
    if as_json:
        beside: dict[str, list[dict[str, object]]] = {
            "waiting": [one.to_json() for one in later],
            "left_alone": [one.to_json() for one in left],
            "subscriptions": told,
        }
        options.echo_json({**shown.to_json(), **{name: listed for name, listed in beside.items() if listed}})
    else:
        sending.show(shown)
        if not article:
            more = [*(f"{one.outlet}: {one.reason}" for one in left), *map(_told, told)]
            click.echo("\n".join(["", *_summary(unsettled, unread, later, known=bool(found)), *more]))
    open_now = any(not a.at_rest for a in found) if article else bool(unsettled or unread)
    return NO if open_now else 0


def _subscribers(tx: Tx, settings: Settings, site: str | None) -> list[dict[str, object]]:
    """Who is told of the changes of this site's feeds, counted."""
    base = settings.site(site).feeds_base if site else ""
    return [row for row in subscription_views.counts(tx, len(settings.retries.hub)) if str(row["topic"]).startswith(base)]


def _told(row: dict[str, object]) -> str:
    what = "other hubs told" if row["kind"] == subscriptions.HUB else f"{row['state']} at our hub"
    late = f", {row['behind']} behind" if row["behind"] else ""
    late += f" ({row['retrying']} being tried again, {row['given_up']} of them not until the next change)" if row["retrying"] else ""
    return f"{row['topic']}: {row['number']} {what}{late}"


def _is_of(outlet: str, site: str | None) -> bool:
    return site is None or outlet.startswith(f"{site}/")


def _summary(unsettled: dict[str, dict[str, int]], unread: int, later: list[views.Waiting], *, known: bool) -> Iterator[str]:
    """What is still to be done, or that nothing is; and what waits for its time."""
    if unread:
        yield f"{unread} events wait to be processed."
    for outlet, states in unsettled.items():
        yield f"{outlet}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if not unread and not unsettled:
        yield "Everything is out everywhere, and gone where it was withdrawn." if known else EMPTY
    for one in later:
        yield f"Waits until {rfc3339(one.waits_until)}: {one.site} · {one.id} · {one.headline}"
