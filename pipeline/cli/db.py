"""`pressrun db`: the ledger's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli import options
from pipeline.cli.start import quiet
from pipeline.context import open_context
from pipeline.ledger.upgrade import upgrade

if TYPE_CHECKING:
    from pathlib import Path


@click.group("db", epilog="Example: pressrun db upgrade")
def command() -> None:
    """Look after the ledger's tables."""


@command.command("upgrade", epilog="Example: pressrun db upgrade")
@options.config
def upgrade_command(*, config: Path | None) -> int:
    """Bring the ledger to this version's tables. Safe to run twice, and by two at once."""
    quiet()
    click.echo(f"the ledger is at version {upgrade(open_context(config).ledger.url)}")
    return 0
