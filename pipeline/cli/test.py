"""`pressrun test`: the tests of a checkout."""

from __future__ import annotations

import click

from pipeline.cli import checkout


@click.command("test", context_settings={"ignore_unknown_options": True}, epilog="Example: pressrun test -k feeds")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Run the tests; ARGUMENTS go to pytest."""
    chosen = arguments or ("tests", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    return checkout.run("tests", "tests", "pytest", chosen)
