"""Outlets that are new, or have other rules, are planned for what was published before: a portion with each look of upkeep.

Networks are not: what is old is not news to anybody there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import planning
from pipeline.ledger import deliveries, filling
from pipeline.model.settings import Kind, outlet_key
from pipeline.rules import routes
from pipeline.rules.article import from_stored

if TYPE_CHECKING:
    from pipeline.context import Context

FILLED = (Kind.FEED, Kind.MIRROR)
PORTION = 50
"""Articles a transaction plans: each is a row, and their contents are read before it begins."""


def fill(context: Context, ends: float) -> tuple[str, ...]:
    """Go on with it until the monotonic second `ends`; answers the outlets that have work now."""
    dirty: dict[str, None] = {}
    while context.clock.monotonic() < ends and (outlet := _one_portion(context)):
        dirty[outlet] = None
    return tuple(dirty)


def _one_portion(context: Context) -> str:
    """The next articles of one outlet; its key, empty where nothing is left to do."""
    sites = {outlet_key(s.name, kind, o.name): s for s in context.settings.sites for kind, o in routes.outlets(s) if kind in FILLED}
    with context.ledger.read() as tx:
        found = filling.to_fill(tx, sites)
        if found is None:
            return ""
        site = sites[found.outlet]
        standing, last = filling.standing(tx, site.name, found.below, PORTION)
        now = tx.now
    lines = [
        line
        for article in standing
        for line in planning.lines(
            site,
            from_stored(article.content) if article.content is not None else None,
            article_id=article.article_id,
            revision=article.revision,
            number=article.number,
            sort_at=article.published_at,
            wanted_at=now,
        )
        if line.outlet == found.outlet
    ]
    with context.ledger.write(shown=True) as tx:
        deliveries.plan(tx, lines, again=True)
        filling.went_on(tx, found, last)
    return found.outlet
