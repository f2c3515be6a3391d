"""`pressrun test`: the tests of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from pipeline.cli import USAGE

ROOT = Path(__file__).parents[2]


@click.command("test", context_settings={"ignore_unknown_options": True}, epilog="Example: pressrun test -k feeds")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Run the tests; ARGUMENTS go to pytest."""
    if not (ROOT / "tests").is_dir():
        click.echo("There are no tests here: they come with a checkout, not with the installed package.", err=True)
        return USAGE
    chosen = arguments or ("tests", "-n", "2", "--dist", "loadfile")
    return subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT, check=False).returncode  # noqa: S603
