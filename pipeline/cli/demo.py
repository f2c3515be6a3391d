"""`pressrun demo`: the whole road in one command: start, sign, post, wait until every outlet holds it, show where to look."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import NO, options, sending
from pipeline.cli.supervisor import Supervisor
from pipeline.cli.up import prepare, stopped_by_signals
from pipeline.kit.clock import rfc3339
from pipeline.model.errors import ConfigError
from pipeline.rules import schema

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECONDS = 60.0


@click.command("demo", epilog="Example: pressrun demo --once --json")
@options.config
@click.option("--once", is_flag=True, help="Stop when everything is out.")
@options.as_json
def command(config: Path | None, *, once: bool, as_json: bool) -> int:
    """Start everything, publish the sample articles over signed webhooks, and show where each one is."""
    prepared = prepare(config, any_port=True)
    if isinstance(prepared, int):
        return prepared
    facts, greeting = prepared
    os.environ["PRESSRUN_PORT"] = str(facts.port)  # for the children and for this run: the configuration keeps its own
    stop = stopped_by_signals()
    with Supervisor(facts) as supervisor:
        supervisor.wait_until_ready()
        if not as_json:
            click.echo("\n".join(greeting))
        waited = _publish(supervisor)
        options.echo_json(waited.to_json()) if as_json else sending.show(waited)
        while not once and not stop.wait(0.5):
            supervisor.look()
    return 0 if sending.is_good(waited) else NO


def _publish(supervisor: Supervisor) -> sending.Waited:
    """Post the samples and wait until they are everywhere; what changes one follows when it is out, as a desk's day goes."""
    context = options.context(supervisor.facts.config)
    source = sending.source_of(context, None)
    progress = sending.Progress("articles settled")

    def meanwhile(done: int, of: int) -> None:
        supervisor.look()
        progress(done, of)

    now, public_url = rfc3339(context.clock.now()), context.settings.server.public_url
    events = [(file.name, sending.event_from(file, now, public_url)) for file in samples()]
    sent: list[sending.Sent] = []
    for turn in turns(events):
        sent += [sending.post(context, source, event, supervisor.url, name) for name, event in turn]
        waited = sending.wait(context, sent, SECONDS, meanwhile)
        if not waited.settled:
            break
    progress.end()
    context.ledger.close()
    return waited


def turns(events: Iterable[tuple[str, dict[str, Any]]]) -> list[list[tuple[str, dict[str, Any]]]]:
    """(file, event) in groups that hold no article twice, in the order given."""
    made: list[list[tuple[str, dict[str, Any]]]] = [[]]
    for name, event in events:
        if any(event["data"]["id"] == earlier["data"]["id"] for _, earlier in made[-1]):
            made.append([])
        made[-1].append((name, event))
    return made


def samples() -> list[Path]:
    """The sample events, in the order of their names, which is that of their times. Raises ConfigError."""
    found = sorted((schema.folder() / "examples").glob("*.json"))
    if not found:
        message = f"no samples in {schema.folder() / 'examples'}"
        raise ConfigError(message)
    return found
