"""`pressrun drain`: run what is due in this process, without Celery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli import options
from pipeline.context import register
from tasks.drain import drain

if TYPE_CHECKING:
    from pathlib import Path


@click.command("drain", epilog="Example: pressrun drain")
@options.config
@options.as_json
def command(*, config: Path | None, as_json: bool) -> int:
    """Process waiting events and bring every outlet up to date, here and now; for repair, and for machines without workers."""
    context = options.context(config)
    register(context)
    done = drain(
        context, seen=lambda nudge, run: None if as_json else click.echo(f"{nudge.step} {' '.join(nudge.keys)}: {run.done}", err=True)
    )
    if as_json:
        options.echo_json({"done": done})
    return 0
