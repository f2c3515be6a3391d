"""The fan-out: one live revision → what each outlet of its site should hold, and who to nudge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.ledger.deliveries import Planned
from pipeline.model.run import Nudge, Step
from pipeline.model.settings import Kind, outlet_key
from pipeline.rules.routes import Route, outlets, routes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pipeline.model.article import Article
    from pipeline.model.settings import Site

STEP_OF = {Kind.FEED: Step.FEEDS, Kind.MIRROR: Step.MIRRORS, Kind.NETWORK: Step.SOCIAL, Kind.INDEXNOW: Step.HUB}


def lines(
    site: Site,
    article: Article | None,
    *,
    article_id: int,
    revision: int,
    number: int,
    sort_at: datetime,
    wanted_at: datetime,
) -> list[Planned]:
    """A line for every outlet that is not closed. `article` None is a withdrawal: no outlet should show it any more.

    What a closed outlet held it was told to give up when it was closed.
    Networks keep what they have when only the rules no longer match (`on_leave = keep`); a withdrawal removes it there too.
    IndexNow is told of a withdrawal even where it was told of nothing before: search engines know addresses from elsewhere.
    """
    chosen = routes(article, site) if article else _nowhere(site)
    closed = {outlet_key(site.name, kind, outlet.name) for kind, outlet in outlets(site) if outlet.closed}
    return [
        Planned(
            article_id=article_id,
            outlet=route.outlet,
            revision=revision,
            number=number,
            present=route.takes,
            reason=route.reason,
            keep=route.kind is Kind.NETWORK and article is not None,
            tell=route.kind is Kind.INDEXNOW,
            sort_at=sort_at,
            wanted_at=wanted_at,
        )
        for route in chosen
        if route.outlet not in closed
    ]


def _nowhere(site: Site) -> Sequence[Route]:
    return [Route(outlet_key(site.name, kind, o.name), kind, takes=False, reason="The article is withdrawn.") for kind, o in outlets(site)]


def nudges(keys: Iterable[str]) -> tuple[Nudge, ...]:
    """Feeds first, because they are what is waited for; one nudge for each feed, mirror and IndexNow, one for all networks.

    A mirror may keep its run waiting, so none shares a nudge. Composing payloads waits for nobody.
    """
    by_kind: dict[Kind, list[str]] = {kind: [] for kind in STEP_OF}
    for key in sorted(keys):
        by_kind[Kind(key.partition("/")[2].partition(":")[0])].append(key)
    networks = tuple(by_kind.pop(Kind.NETWORK))
    single = [Nudge(STEP_OF[kind], (key,)) for kind, listed in by_kind.items() for key in listed]
    return (*single, Nudge(Step.SOCIAL, networks)) if networks else tuple(single)
