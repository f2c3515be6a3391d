"""`python -m tests.faults`, which is what `pressrun faults` runs: every test of the scoreboard, one after the other, and a table.

The tests themselves are pytest's, so that CI runs their short form with everything else; here they have the machine to
themselves and the numbers of the long form.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tests.faults import scoreboard

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
GOOD, NO, STOPPED = 0, 1, 130
ENDED = (0, 1)
"""What pytest exits with when it ran: all passed, some failed."""

LINES = "\n".join(f"  {name:<6}{what}" for name, what in scoreboard.NAMES.items())


def chosen(only: str) -> list[str]:
    """The tests that a list such as `FT1,ft3` names, in their order; all for "". Raises click.BadParameter."""
    names = {word.strip().upper() for word in only.split(",") if word.strip()}
    if unknown := names - set(scoreboard.NAMES):
        message = f"{', '.join(sorted(unknown))}: expected some of {', '.join(f'{k} ({v})' for k, v in scoreboard.NAMES.items())}"
        raise click.BadParameter(message, param_hint="--only")
    return [name for name in scoreboard.NAMES if not names or name in names]


def verdict(lines: Sequence[dict[str, Any]], missing: Sequence[str]) -> tuple[int, list[str]]:
    """(exit code, what was wrong, a sentence each): 0 where every test ran and had nothing to count."""
    bad = [line for line in lines if not scoreboard.good(line)]
    told = [f"{_name(line)}: {'; '.join(line['problems']) or 'failed without a word'}" for line in bad]
    told += [f"did not run: {', '.join(missing)}"] if missing else []
    return (NO if told else GOOD), told


@click.command(epilog=f"\b\nThe tests:\n{LINES}\n\n\b\nExample: pressrun faults -- --only FT1,FT3 --times 3")
@click.option("--short", is_flag=True, help="The numbers of CI: some minutes instead of about half an hour.")
@click.option("--only", default="", metavar="LIST", help="Tests by name, with commas: FT1,FT3.")
@click.option(
    "--times", default=1, show_default=True, type=click.IntRange(1, 100), help="Run everything so many times, each with another seed."
)
@click.option("--seed", default=20261126, show_default=True, help="What chance follows; the second time it is one more.")
@click.option("--json", "to", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="Write every line there; - is stdout.")
def main(*, short: bool, only: str, times: int, seed: int, to: Path | None) -> None:
    """Break everything that can break, and count what was lost. Exit code 1: something was, or a test did not run."""
    asked, lines, missing, machine = chosen(only), list[dict[str, Any]](), list[str](), str(to) == "-"
    for turn in range(times):
        found = _run(asked, short=short, seed=seed + turn)
        missing += [name for name in scoreboard.absent(found, asked) if name not in missing]
        lines += found
        click.echo(f"\nseed {seed + turn}\n{scoreboard.table(found)}", err=machine)
    if to is not None:
        text = json.dumps(lines, ensure_ascii=False, indent=2) + "\n"
        click.echo(text, nl=False) if machine else to.write_text(text, encoding="utf-8")
    code, told = verdict(lines, missing)
    for sentence in told:
        click.echo(sentence, err=True)
    sys.exit(code)


def _run(asked: list[str], *, short: bool, seed: int) -> list[dict[str, Any]]:
    """One run of these tests; their lines. What pytest said is kept where something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="pressrun-faults-"))
    results, log = folder / "results", folder / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PRESSRUN_", "PYTEST_"))}
    environment |= {scoreboard.TO: str(results), "PRESSRUN_FAULT_SEED": str(seed), "PRESSRUN_FAULT_TESTS": ",".join(asked)}
    environment |= {} if short else {"PRESSRUN_FAULT_LONG": "1"}
    command = [sys.executable, "-m", "pytest", "tests", "-m", "fault", "-v", "-p", "no:randomly", "--no-header", "--color=no"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            _tell(process, results, log)
        except KeyboardInterrupt:  # pytest has it, too, and ends what it started
            process.wait()
            sys.exit(STOPPED)
    found = scoreboard.load(results)
    if process.returncode not in ENDED or not found:
        click.echo(log.read_text(errors="replace")[-4000:], err=True)
    if process.returncode:
        click.echo(f"what pytest said: {log}", err=True)
    else:
        for path in (results, log):
            path.unlink(missing_ok=True)
        folder.rmdir()
    return found


def _tell(process: subprocess.Popen[bytes], results: Path, log: Path) -> None:
    """On standard error: a line for each test that ended, and on a terminal the one under way."""
    told, done, terminal = 0, False, sys.stderr.isatty()
    while not done:
        done = process.poll() is not None
        lines = scoreboard.load(results)
        for line in lines[told:]:
            said = f"{_name(line)}: {'good' if scoreboard.good(line) else 'FAILED'}, {line['seconds']:.0f} s"
            click.echo(f"\r\033[K{said}" if terminal else said, err=True)
        told = len(lines)
        if terminal:
            click.echo("\r\033[K" + ("" if done else under_way(log.read_text(errors="replace"))), nl=False, err=True)
        time.sleep(0.2)


def under_way(log: str) -> str:
    """The test that runs, from what `pytest -v` said so far; "" between tests."""
    found = re.search(r"::test_([^\s:]+) $", log)
    return f"{found[1].replace('_', ' ')} …" if found else ""


def _name(line: dict[str, Any]) -> str:
    return f"{line['test']} {line['what']} ({line['database'] or '-'})"


if __name__ == "__main__":
    main(prog_name="pressrun faults")
