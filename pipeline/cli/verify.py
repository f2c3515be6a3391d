"""`pressrun verify`: whether the mirrors hold, byte for byte, what the ledger says."""

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
@click.argument("mirror", required=False)
@click.option("--repair/--no-repair", default=True, show_default=True, help="Have what drifted made again.")
@options.config
@options.as_json
def command(mirror: str | None, *, repair: bool, config: Path | None, as_json: bool) -> int:
    """Read back every document of MIRROR (or of all) and compare. Exit code 1 where anything drifted."""
    context = options.context(config)
    results = []
    for key in _keys(context, mirror):
        progress = sending.Progress(f"{key}, documents read")
        looked, drifts = recovery.verify(context, key, lambda count, show=progress: show(count, 0), repair=repair)  # type: ignore[misc]
        progress.end()
        results.append({"outlet": key, "documents": looked, "drift": [{"path": d.path, "detail": d.detail} for d in drifts]})
        if not as_json:
            click.echo(f"{key}: {looked} documents, {len(drifts)} drifted" + (", to be made again" if drifts and repair else ""))
            for drift in drifts:
                click.echo(f"    {drift.path}: {drift.detail}")
    if as_json:
        options.echo_json({"mirrors": results})
    return NO if any(r["drift"] for r in results) else 0


def _keys(context: Context, name: str | None) -> list[str]:
    keys = [outlet_key(s.name, Kind.MIRROR, m.name) for s in context.settings.sites for m in s.mirrors]
    if name is None:
        return keys
    found = [key for key in keys if key == name or key.endswith(f":{name}")]
    if not found:
        message = f"there is no mirror “{name}”; there is {', '.join(keys) or 'none'}"
        raise ConfigError(message)
    return found
