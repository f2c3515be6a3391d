"""Errors that end a run whatever it is doing: nobody may take one for the fault of the item at hand.

Steps survive any error of one article. A time limit or exhausted memory is not that: the run must die as if it had
crashed, so that the careful run after it finds out who is to blame.
"""

from __future__ import annotations

_ending: set[type[BaseException]] = {MemoryError}


def ends_runs(kind: type[BaseException]) -> None:
    """Whoever enforces limits names the error it raises (Celery's soft time limit, registered by `tasks`)."""
    _ending.add(kind)


def let_pass(error: BaseException) -> None:
    """Raise the error again if it is one of these."""
    if isinstance(error, tuple(_ending)):
        raise error
