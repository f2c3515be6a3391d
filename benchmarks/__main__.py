"""`python -m benchmarks`, which is what `pressrun bench` runs: measure, print a table, and write JSON on request."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks import accept, archive, floors, hub, pages, polls, report, scale, steady, throughput, visible
from benchmarks.measuring import FULL, QUICK
from benchmarks.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measuring import Sizes
    from benchmarks.report import Results

LETTERS = {
    "a": "accept",
    "b": "visible",
    "c": "throughput",
    "d": "archive",
    "e": "memory",
    "f": "floors",
    "g": "steady",
    "h": "scale",
    "i": "pages",
    "j": "polls",
    "k": "hub",
}


def _accept(results: Results, sizes: Sizes) -> Results:
    return replace(results, accept=accept.measure(sizes))


def _visible(results: Results, sizes: Sizes) -> Results:
    return replace(results, visible=visible.measure(sizes))


def _throughput(results: Results, sizes: Sizes) -> Results:
    made, memory = throughput.measure(sizes)
    return replace(results, throughput=made, memory=memory)


def _steady(results: Results, sizes: Sizes) -> Results:
    return replace(results, steady=steady.measure(sizes))


def _scale(results: Results, sizes: Sizes) -> Results:
    return replace(results, scale=scale.measure(sizes))


def _archive(results: Results, sizes: Sizes) -> Results:
    return replace(results, archive=archive.measure(sizes))


def _pages(results: Results, sizes: Sizes) -> Results:
    return replace(results, pages=pages.measure(sizes))


def _floors(results: Results, sizes: Sizes) -> Results:
    return replace(results, floors=floors.measure(sizes))


def _polls(results: Results, sizes: Sizes) -> Results:
    return replace(results, polls=polls.measure(sizes))


def _hub(results: Results, sizes: Sizes) -> Results:
    return replace(results, hub=hub.measure(sizes))


MEASURES: dict[str, Callable[[Results, Sizes], Results]] = {
    "accept": _accept,
    "visible": _visible,
    "throughput": _throughput,
    "steady": _steady,
    "archive": _archive,
    "scale": _scale,
    "pages": _pages,
    "hub": _hub,
    "floors": _floors,
    "polls": _polls,
}


def chosen(only: str) -> list[str]:
    """The measures a list such as `a,b` or `accept,memory` names, in their order; all for "".

    Polls are left out of all where their programs are missing. Memory is taken in the press run of the throughput, and the
    throughput is told beside its floor. Raises click.BadParameter.
    """
    names = {LETTERS.get(word.strip(), word.strip()) for word in only.split(",") if word.strip()}
    if unknown := names - set(LETTERS.values()):
        message = f"{', '.join(sorted(unknown))}: expected some of {', '.join(f'{k} ({v})' for k, v in LETTERS.items())}"
        raise click.BadParameter(message, param_hint="--only")
    if "memory" in names:
        names.add("throughput")
    elif "throughput" in names:
        names.add("floors")
    left_out = {"polls"} if polls.missing() else set()
    return [name for name in MEASURES if name in names or (not names and name not in left_out)]


@click.command(epilog="Example: python -m benchmarks --quick --only visible,throughput")
@click.option("--quick", is_flag=True, help="Smaller numbers, about two minutes; their marks mean little.")
@click.option("--only", default="", metavar="LIST", help="Measures by letter or name, with commas: a accept, b visible, c throughput, …")
@click.option("--json", "to", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="Write everything there; - is stdout.")
def main(*, quick: bool, only: str, to: Path | None) -> None:
    """Measure the whole press run on this machine, each figure beside its mark and floor. Exit code 1: it did not work."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # folders are removed on the way out
    sizes, began, results = QUICK if quick else FULL, time.monotonic(), report.Results()
    try:
        for name in chosen(only):
            click.echo(f"measuring {name} …", err=True)
            results = MEASURES[name](results, sizes)
    except StackError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    seconds = time.monotonic() - began
    text = json.dumps(report.to_json(results, quick=quick, seconds=seconds), ensure_ascii=False, indent=2)
    if str(to) == "-":
        click.echo(text)
        return
    if to is not None:
        to.write_text(text + "\n", encoding="utf-8")
    click.echo(report.table(results, quick=quick, seconds=seconds))


if __name__ == "__main__":
    main()
