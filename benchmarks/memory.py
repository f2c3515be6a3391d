"""Memory of the whole press run as proportional set size: idle after a few articles, and after a burst.

Measured in the press run of `throughput`: what a process has touched it keeps, so only a run that worked hard tells.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Memory:
    """PSS in 10**6 bytes by process: supervisor, broker, web, craft (with its pool), reach."""

    idle: dict[str, float]
    after: dict[str, float]

    @property
    def idle_total(self) -> float:
        """The whole stack after twenty articles and a rest."""
        return sum(self.idle.values())

    @property
    def after_total(self) -> float:
        """The whole stack after the burst and a rest."""
        return sum(self.after.values())
