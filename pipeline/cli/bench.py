"""`pressrun bench`: the benchmarks of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from pipeline.cli import USAGE

ROOT = Path(__file__).parents[2]


@click.command("bench", context_settings={"ignore_unknown_options": True}, epilog="Example: pressrun bench --quick")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Measure this machine: accept, visible, throughput, archive, memory, each beside a floor. ARGUMENTS: see benchmarks/README.md."""
    if not (ROOT / "benchmarks").is_dir():
        click.echo("There are no benchmarks here: they come with a checkout, not with the installed package.", err=True)
        return USAGE
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, check=False).returncode  # noqa: S603
