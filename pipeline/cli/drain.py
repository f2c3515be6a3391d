"""`pressrun drain`: run what is due in this process, without Celery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli import options
from pipeline.context import register
from tasks.drain import drain

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model.run import Nudge, Run


@click.command("drain", epilog="Example: pressrun drain")
@options.config
@options.as_json
def command(*, config: Path | None, as_json: bool) -> int:
    """Process waiting events and bring every outlet up to date, here and now; for repair, and for machines without workers."""
    context = options.context(config)
    register(context)

    def seen(nudge: Nudge, run: Run) -> None:
        if run.done and not as_json:
            click.echo(f"{' '.join([nudge.step, *nudge.keys])}: {run.done}", err=True)

    done = drain(context, seen=seen)
    if as_json:
        options.echo_json({"done": done})
    else:
        click.echo(f"{done} done; nothing else is due now." if done else "Nothing was due.")
    return 0
