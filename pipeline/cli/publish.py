"""`pressrun publish`: sign files and post them, as a CMS would."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli import NO, options, sending
from pipeline.kit.clock import rfc3339

if TYPE_CHECKING:
    from pipeline.context import Context


@click.command("publish", epilog="Example: pressrun publish schemas/examples/*.json --wait")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", help="Source to post as; needed where there are several.")
@click.option("--wait", "wait", is_flag=True, help="Wait until every outlet holds them.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to wait.")
@options.config
@options.as_json
def command(files: tuple[Path, ...], source: str | None, *, wait: bool, seconds: float, config: Path | None, as_json: bool) -> int:
    """Sign each FILE (an event, or a bare article) and post it to the running instance.

    The samples' pictures are served by the instance itself, and are sent with its address.

    With --wait, exit code 1 where one was refused or is not settled in time. One under embargo waits as it should: that is 0.
    """
    context = options.context(config)
    sender = sending.source_of(context, source)
    url, now = sending.local_url(context), rfc3339(context.clock.now())
    events = [(str(file), sending.event_from(file, now, context.settings)) for file in files]  # all are read before one is sent
    sent = [sending.post(context, sender, event, url, file) for file, event in events]
    if not wait:
        for item in sent:
            if not as_json:
                click.echo(f"accepted {item.event_id}  {item.file}")
        if as_json:
            options.echo_json({"events": [s.to_json() for s in sent]})
        return 0
    return report(context, sent, seconds, as_json=as_json)


def report(context: Context, sent: list[sending.Sent], seconds: float, *, as_json: bool) -> int:
    """Wait, print, and answer with the exit code."""
    progress = sending.Progress("articles settled")
    waited = sending.wait(context, sent, seconds, progress)
    progress.end()
    if as_json:
        options.echo_json(waited.to_json())
    else:
        sending.show(waited)
    return 0 if sending.is_good(waited) else NO
