"""The first start: find the configuration, or make the demo newsroom's; the database; the first token.

`python -m pipeline.cli.start` prints what a supervisor must know as JSON; `up` and `demo` run it as a child.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import settings as settings_file
from pipeline.building import formats_of
from pipeline.cli.supervisor import Facts
from pipeline.context import Context, open_context, register
from pipeline.kit import signatures
from pipeline.kit.log import configure
from pipeline.ledger import duties
from pipeline.ledger.upgrade import upgrade
from pipeline.model.errors import Unavailable
from pipeline.web.api import TOKEN
from tasks.embedded import find_server

if TYPE_CHECKING:
    from pipeline.model.settings import Feed, Site

FOLDER = ".pressrun"
USUAL_PORT = 8400


def quiet() -> None:
    """Logs of a verb are for trouble only; what it has to say it prints."""
    configure("ERROR")


def find_or_make(config: Path | None) -> tuple[Path, bool]:
    """The configuration file, and whether it was made now: the demo newsroom below ./.pressrun."""
    found = config or settings_file.find()
    if found is not None:
        return found, False
    folder = Path.cwd() / FOLDER
    make_private(folder)
    make_private(folder / "secrets")
    secret = folder / "secrets" / "newsroom"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(signatures.new_secret(secrets.token_bytes(32)) + "\n", encoding="utf-8")
    text = Path(__file__).with_name("demo.toml").read_text(encoding="utf-8")
    made = folder / "pressrun.toml"
    made.write_text(text.replace("@PORT@", str(free_port(USUAL_PORT))), encoding="utf-8")
    return made, True


def make_private(folder: Path) -> None:
    """The data folder, or one in it: a new one is its user's alone; one that is there keeps its mode. Raises Unavailable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _unusable(folder, "it is not a folder") from error
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "it cannot be written")


def _unusable(folder: Path, why: str) -> Unavailable:
    return Unavailable(f"the data folder {folder} cannot be used: {why}. Let this user write there, or name another one (PRESSRUN_DATA).")


def free_port(wished: int) -> int:
    """The wished port if nobody has it, else one the kernel has free."""
    for port in (wished, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    message = "no free port on this machine"
    raise OSError(message)


def prepare(path: Path) -> tuple[Context, str]:
    """Upgrade the database, register the outlets, make the first token; (context, the token if it was made now)."""
    context = open_context(path)
    make_private(context.settings.data)
    upgrade(context.ledger.url)
    register(context)
    return context, first_token(context)


def first_token(context: Context) -> str:
    """A random token, kept hashed in the ledger and returned once; "" when there is one already."""
    if context.settings.api_token:
        return ""
    token = secrets.token_urlsafe(32)
    with context.ledger.write() as tx:
        if duties.token_hash(tx, TOKEN) is not None:
            return ""
        duties.keep_token(tx, TOKEN, hashlib.sha256(token.encode()).hexdigest())
        duties.note(tx, "pressrun", "token made", TOKEN)
    return token


def facts_of(context: Context, config: Path) -> Facts:
    """What a supervisor must know. Raises Unavailable when the broker is embedded and there is no server for it."""
    settings = context.settings
    server = str(find_server()) if settings.broker == "embedded" else ""
    return Facts(config.resolve(), settings.data, settings.server.host, settings.server.port, server)


def greeting(context: Context, facts: Facts) -> list[str]:
    """Where to post, where to look."""
    settings = context.settings
    lines = [f"Pressrun is ready at {facts.url}"]
    lines += [f"  webhook   {facts.url}webhooks/{source.name}" for source in settings.sources]
    for site in settings.sites:
        lines += [f"  feed      {_addresses(site, feed)}" for feed in site.feeds if not feed.closed]
        lines += [f"  mirror    {mirror.base_url}" for mirror in site.mirrors]
    lines += [f"  API       {facts.url}docs"]
    return [*lines, "Publish something: pressrun publish schemas/examples/*.json --wait     Stop: Ctrl-C"]


def _addresses(site: Site, feed: Feed) -> str:
    first, *others = formats_of(feed)
    return " ".join([f"{site.base(feed.folder)}{feed.name}.{first.extension}", *(f".{fmt.extension}" for fmt in others)])


@click.command("start")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--any-port", is_flag=True, help="Take a port the kernel has free, for this run only.")
def command(config: Path | None, *, any_port: bool) -> int:
    """Make ready, and print the facts as JSON."""
    quiet()
    path, made = find_or_make(config)
    if any_port:
        os.environ.setdefault("PRESSRUN_PORT", str(free_port(0)))
    context, token = prepare(path)
    facts = facts_of(context, path)
    if os.geteuid() == 0:
        click.echo("Running as root: a user of its own is enough for it, and safer.", err=True)
    if made:
        click.echo(f"No pressrun.toml here: made a demo newsroom in {facts.config}.", err=True)
    if token:
        click.echo(f"API token, shown once, only its hash is kept: {token}", err=True)
    told = {**asdict(facts), "config": str(facts.config), "data": str(facts.data), "greeting": greeting(context, facts)}
    click.echo(json.dumps(told))
    return 0


if __name__ == "__main__":
    from pipeline.cli import run

    run(command, sys.argv[1:])
