"""`pressrun faults`: the tests of faults of a checkout, in their long form."""

from __future__ import annotations

import click

from pipeline.cli import checkout


@click.command("faults", context_settings={"ignore_unknown_options": True}, epilog="Example: pressrun faults --only FT1 --times 3")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Kill, cut off and fill up what a press run needs, and print what was lost: `pressrun faults -- --help` tells the ARGUMENTS."""
    return checkout.run("tests/faults", "tests", "tests.faults", arguments)
