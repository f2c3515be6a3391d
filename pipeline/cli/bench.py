"""`pressrun bench`: the benchmarks of a checkout."""

from __future__ import annotations

import click

from pipeline.cli import checkout


@click.command("bench", context_settings={"ignore_unknown_options": True}, epilog="Example: pressrun bench --quick")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Measure this machine: accept, visible, throughput, archive, memory, each beside a floor. ARGUMENTS: see benchmarks/README.md."""
    return checkout.run("benchmarks", "benchmarks", "benchmarks", arguments)
