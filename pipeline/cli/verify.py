"""`pressrun verify`: whether mirrors and feeds hold, byte for byte, what the ledger says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline import recovery
from pipeline.cli import NO, options, sending
from pipeline.model.errors import ConfigError
from pipeline.model.settings import Kind, outlet_key

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.context import Context


@click.command("verify", epilog="Example: pressrun verify one --no-repair")
@click.argument("outlet", required=False)
@click.option("--repair/--no-repair", default=True, show_default=True, help="Have what drifted made again.")
@options.config
@options.as_json
def command(outlet: str | None, *, repair: bool, config: Path | None, as_json: bool) -> int:
    """Read back every document of OUTLET, a mirror or feed (or of all of them), and compare. Exit code 1 where anything drifted."""
    context = options.context(config)
    results: dict[Kind, list[dict[str, object]]] = {Kind.MIRROR: [], Kind.FEED: []}
    good = True
    for key in _keys(context, outlet):
        kind = context.outlet(key)[1]
        looked, drifts = _look(context, kind, key, repair=repair)
        good = good and not drifts
        results[kind].append({"outlet": key, "documents": looked, "drift": [{"path": d.path, "detail": d.detail} for d in drifts]})
        if not as_json:
            click.echo(f"{key}: {looked} documents, {len(drifts)} drifted" + (", to be made again" if drifts and repair else ""))
            for drift in drifts:
                click.echo(f"    {drift.path}: {drift.detail}")
    if as_json:
        options.echo_json({"mirrors": results[Kind.MIRROR], "feeds": results[Kind.FEED]})
    return 0 if good else NO


def _look(context: Context, kind: Kind, key: str, *, repair: bool) -> tuple[int, tuple[recovery.Drift, ...]]:
    if kind is Kind.FEED:
        return recovery.verify_feed(context, key, repair=repair)
    progress = sending.Progress(f"{key}, documents read")
    found = recovery.verify(context, key, lambda count: progress(count, 0), repair=repair)
    progress.end()
    return found


def _keys(context: Context, name: str | None) -> list[str]:
    sites = context.settings.sites
    keys = [outlet_key(s.name, Kind.MIRROR, m.name) for s in sites for m in s.mirrors]
    keys += [outlet_key(s.name, Kind.FEED, f.name) for s in sites for f in s.feeds]
    if name is None:
        return keys
    found = [key for key in keys if name in {key, key.partition("/")[2], key.rpartition(":")[2]}]
    if not found:
        message = f"there is no mirror or feed “{name}”; there is {', '.join(keys) or 'none'}"
        raise ConfigError(message)
    return found
