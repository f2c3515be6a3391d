"""`pressrun config`: check it, show it with its defaults, print an example."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from enum import Enum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import settings as settings_file
from pipeline.cli import options
from pipeline.formats import FORMATS, READERS
from pipeline.kit import secrecy
from pipeline.kit.config import line_of
from pipeline.ledger import Ledger, duties, outlets
from pipeline.ledger.upgrade import current, newest
from pipeline.model.errors import ConfigError, Unavailable
from pipeline.rules import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.model.settings import Settings, Site


@click.group("config", epilog="Example: pressrun config check")
def command() -> None:
    """Check the configuration, show it, or print an example of every option."""


@command.command("check", epilog="Example: pressrun config check")
@options.config
def check(config: Path | None) -> int:
    """Say whether the configuration is good; every fault with file, line and what was expected."""
    path = _path(config)
    settings = settings_file.load(path)
    _check_against_ledger(path, settings)
    count = len(settings_file.outlet_rows(settings))
    click.echo(f"{path}: good ({len(settings.sites)} site(s), {len(settings.sources)} source(s), {count} outlets)")
    for source in settings.sources:
        if not source.secrets:
            click.echo(f"note: source “{source.name}” has no secret, so nothing it sends is accepted", err=True)
    return 0


def _check_against_ledger(path: Path, settings: Settings) -> None:
    """What the next start would refuse. Raises ConfigError with all of it."""
    try:
        if current(settings.database) != newest():
            return
        with Ledger(settings.database).read() as tx:
            changed = duties.changed_identities(tx, [(s.name, s.tag_host, s.tag_date) for s in settings.sites])
            held = outlets.orphans(tx, [str(row["key"]) for row in settings_file.outlet_rows(settings)])
    except Unavailable as error:
        click.echo(f"note: not compared with the ledger: {error}", err=True)
        return
    found = [*_identity_faults(path, settings, changed), *_dropped(held)]
    if found:
        raise ConfigError("\n".join(found))


def _identity_faults(path: Path, settings: Settings, changed: Mapping[str, str]) -> Iterator[str]:
    """The identity of an article never changes, so neither may what it is made from."""
    text = path.read_text(encoding="utf-8")
    for site in settings.sites:
        if site.name in changed:
            yield f"{path}:{line_of(text, ['sites', site.name, 'tag_host'])}: {changed[site.name]}"


def _dropped(held: Sequence[tuple[str, int]]) -> Iterator[str]:
    """An outlet that still holds articles may not simply vanish from the configuration."""
    if held:
        listed = ", ".join(f"{key} ({count} articles)" for key, count in held)
        yield f"these outlets are dropped but still hold articles: {listed}. Put them back with closed = true to empty them first."


@command.command("show", epilog="Example: pressrun config show")
@options.config
def show(config: Path | None) -> int:
    """Print the settings as they are understood, with every default; secrets are masked."""
    options.echo_json(_masked(asdict(settings_file.load(_path(config)))))
    return 0


@command.command("links", epilog="Example: pressrun config links demo")
@click.argument("site", required=False)
@options.config
def links(site: str | None, config: Path | None) -> int:
    """Print what the head of a site's pages says so that readers find its feeds."""
    sites = settings_file.load(_path(config)).sites
    if site is not None and site not in {known.name for known in sites}:
        message = f"there is no site “{site}”; known are {', '.join(known.name for known in sites)}."
        raise ConfigError(message)
    for line in (line for known in sites if site in {None, known.name} for line in _links(known)):
        click.echo(line)
    return 0


def _links(site: Site) -> Iterator[str]:
    """One a feed and format that readers take, the first feed first, which is what a reader proposes."""
    for feed in site.feeds:
        for name in [] if feed.closed or feed.moved_to or feed.folder != "feeds" else [n for n in READERS if n in feed.formats]:
            fmt = FORMATS[name]
            media_type = fmt.media_type.partition(";")[0]
            if media_type != "text/html":
                title, url = f"{feed.title} ({fmt.title or fmt.name})", f"{site.base(feed.folder)}{feed.name}.{fmt.extension}"
                yield f'<link rel="alternate" type="{media_type}" title="{escape(title)}" href="{escape(url)}">'


@command.command("example", epilog="Example: pressrun config example > pressrun.toml")
def example() -> int:
    """Print a configuration with every option, its default and a comment."""
    for place in (schema.folder().parent / "pressrun.example.toml", schema.folder() / "pressrun.example.toml"):
        if place.is_file():
            click.echo(place.read_text(encoding="utf-8"), nl=False)
            return 0
    message = "pressrun.example.toml is missing from this installation"
    raise ConfigError(message)


def _path(config: Path | None) -> Path:
    path = config or settings_file.find()
    if path is None:
        message = "no pressrun.toml here: `pressrun config example > pressrun.toml` makes one to adapt."
        raise ConfigError(message)
    return path


_URLS = ("database", "broker")


def _masked(value: Any, key: str = "") -> Any:
    """As it is shown: secrets as whether there is one, URLs without what they hold of one."""
    if key in _URLS:
        return secrecy.shown(value)
    if key in settings_file.secret_names():
        return [secrecy.HIDDEN for _ in value] if isinstance(value, (list, tuple)) else value and secrecy.HIDDEN
    if isinstance(value, dict):
        return {k: _masked(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item) for item in value]
    if isinstance(value, (Path, Enum)) or is_dataclass(value):
        return str(value)
    return value
