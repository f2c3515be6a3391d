"""`pressrun withdraw`: take one article back, everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import NO, options, sending
from pipeline.cli.publish import report
from pipeline.kit.clock import rfc3339
from pipeline.ledger import views

if TYPE_CHECKING:
    from pathlib import Path


@click.command("withdraw", epilog="Example: pressrun withdraw harbour-2026 --reason 'Published by mistake.'")
@click.argument("article")
@click.option("--reason", default="", help="Shown on the notice page.")
@click.option("--source", help="Source to post as; needed where there are several.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is gone everywhere.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to wait.")
@options.config
@options.as_json
def command(article: str, reason: str, source: str | None, *, wait: bool, seconds: float, config: Path | None, as_json: bool) -> int:
    """Withdraw ARTICLE (its CMS id): feeds drop it, mirrors answer 410, share payloads go."""
    context = options.context(config)
    sender = sending.source_of(context, source)
    with context.ledger.read() as tx:
        known = views.status(tx, views.find_articles(tx, article, sender.site), context.settings.address)
    if not known:
        click.echo(f"No article “{article}” of the site “{sender.site}” is in the ledger. `pressrun status` lists the newest.", err=True)
        return NO
    data: dict[str, Any] = {"id": known[0].id, **({"reason": reason} if reason else {})}
    event = {"type": "article.withdrawn", "timestamp": rfc3339(context.clock.now()), "data": data}
    sent = sending.post(context, sender, event, sending.local_url(context), article)
    if wait:
        return report(context, [sent], seconds, as_json=as_json)
    if as_json:
        options.echo_json({"events": [sent.to_json()]})
    else:
        click.echo(f"accepted {sent.event_id}")
    return 0
