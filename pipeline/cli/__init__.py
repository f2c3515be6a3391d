"""The face in the terminal: `pressrun VERB …`, one file a verb.

Exit codes: 0 good · 1 the answer is no (rejected, unsettled, drift) · 2 usage or configuration · 3 something needed is not reachable.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from pipeline.model.errors import ConfigError, PressrunError, Unavailable

VERBS = (
    "up",
    "demo",
    "publish",
    "withdraw",
    "status",
    "validate",
    "preview",
    "lint",
    "explain",
    "drain",
    "verify",
    "config",
    "db",
    "doctor",
    "test",
    "bench",
    "faults",
)
GOOD, NO, USAGE, UNREACHABLE = 0, 1, 2, 3


class Verbs(click.Group):
    """Loads a verb's file only when it is asked for, so that `--help` is quick."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order a newcomer meets them."""
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, or None."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"pipeline.cli.{cmd_name}").command
        return command


def _version() -> str:
    try:
        return version("pressrun")
    except PackageNotFoundError:
        return "from a checkout"


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]}, epilog="Try it: pressrun demo")
@click.version_option(_version(), prog_name="pressrun")
def pressrun() -> None:
    """The press run of an online newsroom: one signed webhook, and every feed, mirror and network follows."""


def main(arguments: list[str] | None = None) -> None:
    """Run a verb and leave with its exit code."""
    run(pressrun, arguments)


def run(command: click.Command, arguments: list[str] | None) -> None:
    """Run a command; every error of ours is a sentence on standard error and an exit code."""
    try:
        code = command.main(arguments, prog_name="pressrun", standalone_mode=False)
    except click.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = USAGE
    except ConfigError as error:
        click.echo(str(error), err=True)
        code = USAGE
    except Unavailable as error:
        click.echo(str(error), err=True)
        code = UNREACHABLE
    except PressrunError as error:
        click.echo(str(error), err=True)
        code = NO
    except OSError as error:
        # A folder that is not there, not ours or full: a sentence says as much as a traceback and says it plainly.
        click.echo(f"{error.filename or 'input or output'}: {error.strerror or error}", err=True)
        code = USAGE
    sys.exit(code if isinstance(code, int) else GOOD)
