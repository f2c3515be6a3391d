"""`python -m tests.faults`, which is what `pressrun faults` runs: every test of the scoreboard, one after the other, and a table.

The tests themselves are pytest's, so that CI runs their short form with everything else; here they have the machine to
themselves and the numbers of the long form.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.faults import scoreboard

ROOT = Path(__file__).parents[2]
GOOD, NO, USAGE = 0, 1, 2


def chosen(only: str) -> list[str]:
    """The tests that a list such as `FT1,ft3` names, in their order; all for "". Raises click.BadParameter."""
    names = {word.strip().upper() for word in only.split(",") if word.strip()}
    if unknown := names - set(scoreboard.NAMES):
        message = f"{', '.join(sorted(unknown))}: expected some of {', '.join(f'{k} ({v})' for k, v in scoreboard.NAMES.items())}"
        raise click.BadParameter(message, param_hint="--only")
    return [name for name in scoreboard.NAMES if not names or name in names]


@click.command(epilog="Example: pressrun faults --only FT1,FT3 --times 3")
@click.option("--short", is_flag=True, help="The numbers of CI: some minutes instead of about half an hour.")
@click.option("--only", default="", metavar="LIST", help="Tests by name, with commas: FT1,FT3.")
@click.option(
    "--times", default=1, show_default=True, type=click.IntRange(1, 100), help="Run everything so many times, each with another seed."
)
@click.option("--seed", default=20261126, show_default=True, help="What chance follows; the second time it is one more.")
@click.option("--json", "to", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="Write every line there; - is stdout.")
def main(*, short: bool, only: str, times: int, seed: int, to: Path | None) -> None:
    """Break everything that can break, and count what was lost. Exit code 1: something was, or a test did not run."""
    asked, lines, missing = chosen(only), list[dict[str, object]](), list[str]()
    for turn in range(times):
        found = _run(asked, short=short, seed=seed + turn, quiet=str(to) == "-")
        missing += scoreboard.absent(found, asked)
        lines += found
        click.echo(f"\nseed {seed + turn}\n{scoreboard.table(found)}", err=str(to) == "-")
    if to is not None:
        text = json.dumps(lines, ensure_ascii=False, indent=2) + "\n"
        click.echo(text, nl=False) if str(to) == "-" else to.write_text(text, encoding="utf-8")
    bad = [line for line in lines if not scoreboard.good(line)]
    for line in bad:
        click.echo(f"{line['test']} {line['what']} ({line['database'] or '-'}): {line['problems']}", err=True)
    if missing:
        click.echo(f"did not run: {', '.join(missing)}", err=True)
    sys.exit(NO if bad or missing else GOOD)


def _run(asked: list[str], *, short: bool, seed: int, quiet: bool) -> list[dict[str, object]]:
    """One run of these tests; their lines."""
    with tempfile.TemporaryDirectory(prefix="pressrun-faults-") as folder:
        results = Path(folder) / "results"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PRESSRUN_", "PYTEST_"))}
        environment |= {scoreboard.TO: str(results), "PRESSRUN_FAULT_SEED": str(seed), "PRESSRUN_FAULT_TESTS": ",".join(asked)}
        environment |= {} if short else {"PRESSRUN_FAULT_LONG": "1"}
        command = [sys.executable, "-m", "pytest", "tests", "-m", "fault", "-q", "-p", "no:randomly", "--no-header", "--no-summary"]
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
            _tell(process, results, quiet=quiet)
        found = scoreboard.load(results)
        if not found:
            click.echo(log.read_text(errors="replace")[-4000:], err=True)
        return found


def _tell(process: subprocess.Popen[bytes], results: Path, *, quiet: bool) -> None:
    """One line on standard error for each test that ended, until all have."""
    told, done = 0, False
    while not done:
        done = process.poll() is not None
        lines = scoreboard.load(results)
        for line in lines[told:]:
            if not quiet:
                verdict = "good" if scoreboard.good(line) else "FAILED"
                click.echo(f"{line['test']} {line['what']} ({line['database'] or '-'}): {verdict}, {line['seconds']:.0f} s", err=True)
        told = len(lines)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
