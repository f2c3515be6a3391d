"""The errors a step can meet, sorted by what follows from them.

PressrunError
├── ConfigError          the operator must change something; exit code 2
├── Unavailable          something needed is not reachable; exit code 3, HTTP 503
├── FenceLost            another run took over; this one's writing no longer counts
├── Rejected             the event is refused, with every problem at once
├── Permanent            a delivery that repeating cannot help: failed
└── Transient            a delivery worth repeating: retrying
    └── Ambiguous        nobody knows whether it took effect; a post in this state is never repeated
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.event import Problem


class PressrunError(Exception):
    """Every error this project raises on purpose."""


class ConfigError(PressrunError):
    """The configuration is wrong; the message says where and what was expected."""


class Unavailable(PressrunError):
    """Something needed is not reachable now: the ledger, the broker, a running instance."""


class Rejected(PressrunError):
    """An event is refused; `problems` lists everything found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems in the order they were found."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer}: {p.detail}" for p in self.problems))


class Permanent(PressrunError):
    """A delivery that repeating cannot help: the outlet's answer is kept, a person is needed."""


class Transient(PressrunError):
    """A delivery worth repeating; `retry_after` in seconds where the outlet said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Carry what the outlet asked for, if it asked."""
        self.retry_after = retry_after
        super().__init__(message)


class Ambiguous(Transient):
    """The request left and no answer came: it may have taken effect."""


class FenceLost(PressrunError):
    """Somebody else took over the outlet; what this run still wanted to write must not count.

    `kept` is the fence that stands where the documents are, where that is what refused; else 0.
    """

    def __init__(self, message: str, kept: int = 0) -> None:
        """Carry the fence that stands."""
        self.kept = kept
        super().__init__(message)
