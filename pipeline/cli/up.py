"""`pressrun up`: everything embedded, one command, until Ctrl-C.

What needs the database and the configuration happens in a child that ends: the process that stays is small.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.supervisor import Facts, Supervisor, log_of

if TYPE_CHECKING:
    from types import FrameType


@click.command("up", epilog="Example: pressrun up --config pressrun.toml")
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="Configuration file; a demo newsroom is made where there is none."
)
def command(config: Path | None) -> int:
    """Run everything on this machine: broker, web, two workers. Ctrl-C stops all of it."""
    prepared = prepare(config, any_port=False)
    if isinstance(prepared, int):
        return prepared
    facts, greeting = prepared
    stop = stopped_by_signals()
    with Supervisor(facts) as supervisor:
        if supervisor.wait_until_ready(stop):
            click.echo("\n".join(greeting))
        while not stop.wait(0.5):
            for name in supervisor.look():
                click.echo(f"{name} died and was started again; its log is {log_of(facts.data, name)}", err=True)
        click.echo("Stopping …")
    return 0


def prepare(config: Path | None, *, any_port: bool) -> tuple[Facts, list[str]] | int:
    """Configuration, database and first token, made ready in a child; or the exit code it ended with."""
    arguments = ["--config", str(config)] if config else []
    arguments += ["--any-port"] if any_port else []
    done = subprocess.run([sys.executable, "-m", "pipeline.cli.start", *arguments], stdout=subprocess.PIPE, check=False)  # noqa: S603
    if done.returncode:
        return done.returncode
    told: dict[str, Any] = json.loads(done.stdout)
    facts = Facts(Path(told["config"]), Path(told["data"]), told["host"], told["port"], told["server"])
    return facts, told["greeting"]


def stopped_by_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set. A shell's background job starts with SIGINT ignored, so it is set in words."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop
