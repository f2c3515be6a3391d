"""What a subscriber waits for while articles arrive at a steady rate for a minute: a hundred a second is a very large newsroom's worst.

The articles come from a process of their own, evenly. How long each took is read from the ledger afterwards: from the
instant its webhook was received until the named feed held it, and until the last of its outlets did.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.articles import SITE
from benchmarks.measuring import load, percentile
from benchmarks.sending import senders
from benchmarks.stack import Stack, StackError

if TYPE_CHECKING:
    from benchmarks.measuring import Sizes

FEED = "all"
WARM = 40
PATIENCE = 300.0
PREFIX = "steady"


@dataclass(frozen=True, slots=True)
class Steady:
    """Seconds of each article until the feed held it, and until all its outlets did; `answered`: until the webhook's answer."""

    per_second: float
    seconds: float
    feed: tuple[float, ...]
    last: tuple[float, ...]
    answered: tuple[float, ...]
    load: float

    def milliseconds(self, name: str, share: float) -> float:
        """A percentile of one of the lists."""
        return 1000 * percentile(getattr(self, name), share)


def measure(sizes: Sizes) -> Steady:
    """Publish at the rate for as long as `sizes` says. Raises StackError when something is not accepted, or does not settle."""
    count = int(sizes.steady_rate * sizes.steady_seconds)
    with Stack() as stack:
        stack.publish(range(WARM), "warm", 60.0)
        stack.wait_until_settled(60)
        with senders(stack.port, PREFIX, count, connections=8, per_second=sizes.steady_rate) as ready:
            began = load()
            ready.go()
            sent = ready.result()
            stack.wait_until_settled(PATIENCE)
        if sent.statuses != {"202": count}:
            message = f"of {count} webhooks not all were accepted: {sent.statuses}"
            raise StackError(message)
        feed, last = _waits(stack, f"AND d.outlet = '{SITE}/feed:{FEED}'"), _waits(stack, "")
    return Steady(sizes.steady_rate, sent.ended - sent.began, feed, last, sent.latencies, began)


def _waits(stack: Stack, which: str) -> tuple[float, ...]:
    """Seconds of each article from its webhook until the last of these outlets held it."""
    question = (
        "SELECT max(d.held_at) - e.received_at FROM articles a "
        "JOIN events e ON e.article_id = a.id JOIN deliveries d ON d.article_id = a.id "
        f"WHERE a.cms_id LIKE '{PREFIX}-%' AND d.state = 'settled' {which} GROUP BY a.id"
    )
    with closing(stack.ledger()) as ledger:
        return tuple(row[0] / 1e6 for row in ledger.execute(question))
