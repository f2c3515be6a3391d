"""`pressrun status`: whether it is out everywhere, and gone everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli import NO, options, sending
from pipeline.ledger import events, views

if TYPE_CHECKING:
    from pathlib import Path


@click.command("status", epilog="Example: pressrun status harbour-2026 --json")
@click.argument("article", required=False)
@click.option("--site", help="Only this site's.")
@click.option("--newest", default=10, show_default=True, help="How many of the newest articles, without ARTICLE.")
@options.config
@options.as_json
def command(article: str | None, site: str | None, newest: int, *, config: Path | None, as_json: bool) -> int:
    """Show where ARTICLE is, outlet by outlet; without it, the newest articles and what is not settled.

    Exit code 1 while anything asked about is not settled.
    """
    context = options.context(config)
    with context.ledger.read() as tx:
        ids = views.find_articles(tx, article, site) if article else views.newest_articles(tx, newest)
        found = views.status(tx, ids)
        unsettled = {outlet: states for outlet, states in views.completeness(tx).items() if states}
        waiting = sum(count for _, count in events.waiting_counts(tx))
    if article and not found:
        click.echo(f"No article “{article}” is in the ledger.", err=True)
        return NO
    shown = sending.Waited(tuple(found), (), settled=True)
    if as_json:
        options.echo_json(shown.to_json())
    else:
        sending.show(shown)
        _summary(article, unsettled, waiting)
    open_now = any(not a.settled for a in found) if article else bool(unsettled or waiting)
    return NO if open_now else 0


def _summary(article: str | None, unsettled: dict[str, dict[str, int]], waiting: int) -> None:
    if article:
        return
    click.echo()
    if waiting:
        click.echo(f"{waiting} events wait to be processed.")
    for outlet, states in unsettled.items():
        click.echo(f"{outlet}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    if not waiting and not unsettled:
        click.echo("Everything is out everywhere, and gone where it was withdrawn.")
