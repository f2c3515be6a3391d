"""Options that several verbs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.start import quiet
from pipeline.context import open_context
from pipeline.ledger.upgrade import current, newest
from pipeline.model.errors import Unavailable

if TYPE_CHECKING:
    from pipeline.context import Context

config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file; else $PRESSRUN_CONFIG, ./pressrun.toml, ./.pressrun/pressrun.toml.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def context(path: Path | None) -> Context:
    """The context of a verb that needs the ledger. Raises ConfigError, or Unavailable when the ledger is not there yet."""
    quiet()
    made = open_context(path)
    if current(made.ledger.url) != newest():
        message = "the ledger is not at this version's tables; `pressrun db upgrade` (or `pressrun up`) brings it there."
        raise Unavailable(message)
    return made


def echo_json(value: Any) -> None:
    """Print JSON as people and programs like it."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
