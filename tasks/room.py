"""The context of this process: made when first asked for, never carried over a fork."""

from __future__ import annotations

import os
import threading

from pipeline.context import Context, open_context
from tasks import broker

_made: dict[int, Context] = {}
_making = threading.Lock()


def room() -> Context:
    """The context of the configuration found from here, one per process. Raises ConfigError."""
    with _making:
        pid = os.getpid()
        if pid not in _made:
            _made.clear()  # what a parent opened is not ours to use
            _made[pid] = open_context()
        return _made[pid]


def broker_url() -> str:
    """Where the broker is: the configured URL, or the embedded one of this data folder. Raises Unavailable."""
    settings = room().settings
    return broker.embedded_url(settings.data) if settings.broker == "embedded" else settings.broker
