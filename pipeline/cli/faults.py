"""`pressrun faults`: the tests of faults of a checkout, in their long form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from pipeline.cli import USAGE

ROOT = Path(__file__).parents[2]


@click.command("faults", context_settings={"ignore_unknown_options": True}, epilog="Example: pressrun faults --only FT1 --times 3")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Kill, cut off and fill up what a press run needs, and print what was lost: `pressrun faults -- --help` tells the ARGUMENTS."""
    if not (ROOT / "tests" / "faults").is_dir():
        click.echo("There are no tests here: they come with a checkout, not with the installed package.", err=True)
        return USAGE
    return subprocess.run([sys.executable, "-m", "tests.faults", *arguments], cwd=ROOT, check=False).returncode  # noqa: S603
