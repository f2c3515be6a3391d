"""`pressrun lint`: whether a partner would take a feed as it stands, and what to mend where it would not."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli import GOOD, NO, options
from pipeline.formats import partners
from pipeline.formats.partners.linter import lint
from pipeline.kit.clock import SystemClock
from pipeline.kit.http import Http, HttpRefused, HttpUnreachable
from pipeline.model.errors import ConfigError, PressrunError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.partners import Profile
    from pipeline.formats.partners.linter import Finding

MOST = 60_000_000  # bytes read of an address: more than the largest sitemap a search engine takes (52,428,800)
SECONDS = 20.0


@click.command("lint", epilog="Example: pressrun lint http://127.0.0.1:8400/demo/feeds/all.rss --partner flipboard")
@click.argument("document", metavar="FILE_OR_URL")
@click.option("--partner", required=True, type=click.Choice(partners.names()), help="Whose rules to hold it against.")
@options.as_json
def command(document: str, partner: str, *, as_json: bool) -> int:
    """Hold a feed or sitemap against a partner's published rules. Exit code 1 where it breaks any."""
    profile = partners.profile(partner)
    found = lint(_fetched(document) if _is_url(document) else Path(document).read_bytes(), profile, SystemClock().now())
    if as_json:
        options.echo_json(_to_json(document, profile, found))
    else:
        click.echo(_told(document, profile, found))
    return NO if found else GOOD


def _is_url(document: str) -> bool:
    return document.lower().startswith(("http://", "https://"))


def _fetched(url: str) -> bytes:
    """What stands at an address the operator named, in whatever network. Raises ConfigError, PressrunError or Unavailable."""
    http = Http()
    try:
        answer = http.request("GET", url, deadline=SECONDS, max_bytes=MOST, allow_private=True)
    except HttpRefused as error:
        raise ConfigError(str(error)) from error
    except HttpUnreachable as error:
        message = f"{url} does not answer ({error})"
        raise Unavailable(message) from error
    finally:
        http.close()
    if "location" in answer.headers:
        message = f"{url} leads to {answer.headers['location']}: lint that"
        raise PressrunError(message)
    if answer.status != HTTPStatus.OK:
        message = f"{url} answers {answer.status}"
        raise Unavailable(message)
    if answer.truncated:
        message = f"{url} has more than {MOST} bytes: no partner takes that"
        raise PressrunError(message)
    return answer.body


def _told(document: str, profile: Profile, found: Sequence[Finding]) -> str:
    rules = f"{len(profile.rules)} rules, read {profile.read_on.isoformat()}"
    if not found:
        return f"{document}: good for {profile.title} ({rules})"
    head = f"{document}: {len(found)} {'finding' if len(found) == 1 else 'findings'} for {profile.title} ({rules})"
    lines = [f"{one.level}  {one.rule}  {one.where}\n    {one.what} {one.says}\n    {one.mend} [{one.source}]" for one in found]
    return "\n".join([head, *lines])


def _to_json(document: str, profile: Profile, found: Sequence[Finding]) -> dict[str, object]:
    told = {"partner": profile.name, "title": profile.title, "document": document, "read_on": profile.read_on.isoformat()}
    return {**told, "note": profile.note, "rules": len(profile.rules), "findings": [one.to_json() for one in found]}
