"""`pressrun validate`: would these files be accepted? Offline."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import NO, offline, options


@click.command("validate", epilog="Example: pressrun validate article.json")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", help="Source whose dialect and site's rules to use.")
@options.config
@options.as_json
def command(files: tuple[Path, ...], source: str | None, *, config: Path | None, as_json: bool) -> int:
    """Check each FILE against schema and house rules, and print every problem at once."""
    where = offline.room(config, source)
    found = {str(file): [{"pointer": p.pointer, "detail": p.detail} for p in offline.decision(where, file).problems] for file in files}
    if as_json:
        options.echo_json({"files": [{"file": name, "problems": problems} for name, problems in found.items()]})
    else:
        for name, problems in found.items():
            click.echo(f"{name}: {'good' if not problems else f'{len(problems)} problem' + 's' * (len(problems) > 1)}")
            for problem in problems:
                click.echo(f"    {problem['pointer'] or '/'}: {problem['detail']}")
    return NO if any(found.values()) else 0
