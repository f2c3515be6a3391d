"""`python -m tasks.alive feeds`: exit 0 when this machine's worker `feeds@<host>` tells that it lives, for health checks.

It listens for the worker's heartbeat. `celery inspect ping` starts all of Celery for each question, and makes the
worker answer.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from pipeline import settings as settings_file
from pipeline.model.errors import ConfigError, Unavailable
from tasks.broker import embedded_url, hears_heartbeat

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 7.0
"""Three heartbeats: one may be lost on the way, and the worker may be late by one."""


def main(arguments: Sequence[str]) -> int:
    """0 it lives, 1 it was not heard for 7 s or the broker does not answer, 2 usage or configuration."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tasks.alive NAME  (the worker was started with -n NAME@%h)\n")
        return 2
    worker = arguments[0] if "@" in arguments[0] else f"{arguments[0]}@{socket.gethostname()}"
    try:
        heard = hears_heartbeat(_broker(), worker, SECONDS)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{worker} {'lives' if heard else f'was not heard for {SECONDS:.0f} s'}\n")
    return 0 if heard else 1


def _broker() -> str:
    """Where the broker is, from the settings alone: a health check has no use for the ledger and the rest of a context."""
    path = settings_file.find()
    if path is None:
        message = "no pressrun.toml here; PRESSRUN_CONFIG names one"
        raise ConfigError(message)
    settings = settings_file.load(path)
    return embedded_url(settings.data) if settings.broker == "embedded" else settings.broker


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
