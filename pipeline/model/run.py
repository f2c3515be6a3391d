"""What steps say to each other: nudges, and the account of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Step(StrEnum):
    """The steps; also the names of the modules, tasks and queues."""

    VALIDATE = "validate"
    FEEDS = "feeds"
    HUB = "hub"
    MIRRORS = "mirrors"
    SOCIAL = "social"
    UPKEEP = "upkeep"


@dataclass(frozen=True, slots=True)
class Nudge:
    """There is work for this step at these keys (source names or outlet keys); those of `hub` only say why."""

    step: Step
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """The account of one run: who to nudge, how many items were done, how many were left for later."""

    nudges: tuple[Nudge, ...] = field(default=())
    done: int = 0
    left: int = 0
