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
    import threading
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
        if not supervisor.wait_until_ready(stop):
            raise click.Abort
        if not as_json:
            click.echo("\n".join(greeting))
        waited = _publish(supervisor, stop)
        options.echo_json(waited.to_json()) if as_json else sending.show(waited)
        if not once and not as_json:
            click.echo("\n".join(["", *closing(waited)]))
        while not once and not stop.wait(0.5):
            supervisor.look()
    return 0 if sending.is_good(waited) else NO


def closing(waited: sending.Waited) -> list[str]:
    """Where to look now: a page at a mirror, a feed, both of something that is out; and how it ends."""
    there = [o for article in waited.articles if article.state == "live" for o in article.outlets if o.state == "settled" and not o.gone]
    lines = []
    for kind, words in (("mirror", "Open a page at a mirror:"), ("feed", "Read a feed:")):
        url = next((o.url for o in there if f"/{kind}:" in o.outlet), "")
        lines += [f"{words:<25}{url}"] if url else []
    return [*lines, "It all stays up until Ctrl-C."]


def _publish(supervisor: Supervisor, stop: threading.Event) -> sending.Waited:
    """Post the samples and wait until they are everywhere; what changes one follows when it is out, as a desk's day goes."""
    context = options.context(supervisor.facts.config)
    source = sending.source_of(context, None)
    progress = sending.Progress("articles settled")

    def meanwhile(done: int, of: int) -> None:
        if stop.is_set():
            raise click.Abort
        supervisor.look()
        progress(done, of)

    now = rfc3339(context.clock.now())
    events = [(file.name, sending.event_from(file, now, context.settings)) for file in samples()]
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
