"""Small things every measure needs: percentiles, the load of the machine, and how a measure is sized."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a run measures; counts are articles unless said otherwise, `steady_rate` is articles a second."""

    webhooks: int
    held: int
    publishes: int
    burst: int
    steady_rate: float
    steady_seconds: float
    wide_burst: int
    widths: tuple[int, ...]
    small_archive: int
    large_archive: int
    archive_warm: int
    archive_batch: int
    archive_rounds: int
    messages: int
    naive: int
    poll_seconds: int
    subscribers: int
    changes: int


FULL = Sizes(
    webhooks=3_000,
    held=120,
    publishes=80,
    burst=2_000,
    steady_rate=100.0,
    steady_seconds=60.0,
    wide_burst=1_000,
    widths=(1, 2, 4),
    small_archive=1_000,
    large_archive=100_000,
    archive_warm=200,
    archive_batch=125,
    archive_rounds=4,
    messages=5_000,
    naive=100,
    poll_seconds=2,
    subscribers=1_000,
    changes=3,
)
QUICK = Sizes(
    webhooks=500,
    held=100,
    publishes=15,
    burst=300,
    steady_rate=50.0,
    steady_seconds=6.0,
    wide_burst=120,
    widths=(1, 2),
    small_archive=200,
    large_archive=5_000,
    archive_warm=40,
    archive_batch=40,
    archive_rounds=2,
    messages=1_000,
    naive=25,
    poll_seconds=1,
    subscribers=200,
    changes=2,
)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` between 0 and 1. Raises ValueError for no values."""
    if not values:
        raise ValueError("a percentile of nothing")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def load() -> float:
    """The load average of the last minute: what else the machine was doing."""
    return os.getloadavg()[0]
