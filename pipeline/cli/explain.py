"""`pressrun explain`: which outlets take an article, and why the others do not."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import NO, offline, options
from pipeline.rules.routes import routes


@click.command("explain", epilog="Example: pressrun explain article.json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", help="Source whose dialect and site's rules to use.")
@options.config
@options.as_json
def command(file: Path, source: str | None, *, config: Path | None, as_json: bool) -> int:
    """Show where FILE would go, and the rule that keeps it from each other outlet."""
    where = offline.room(config, source)
    decided = offline.decision(where, file)
    if decided.article is None:
        said = [f"{p.pointer or '/'}: {p.detail}" for p in decided.problems] or ["A withdrawal goes wherever the article is."]
        click.echo("\n".join(said), err=True)
        return NO if decided.problems else 0
    chosen = routes(decided.article, where.site)
    if as_json:
        options.echo_json({"routes": [{"outlet": r.outlet, "takes": r.takes, "reason": r.reason} for r in chosen]})
    else:
        for route in chosen:
            click.echo(f"{'yes' if route.takes else 'no ':<4} {route.outlet:<30} {route.reason}")
    return 0
