"""Reading live revisions, as the makers of documents want them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, select

from pipeline.ledger import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Executable, Row

    from pipeline.ledger.engine import Tx


def by_id(tx: Tx, ids: Collection[int]) -> Mapping[int, Row[Any]]:
    """Revision row id → (id, article_id, number, kind, headline, content, reason, dates, identity, short_id, cms_id)."""
    return {row.id: row for row in tx.all(_by_id(), {"ids": list(ids)})} if ids else {}


@cache
def _by_id() -> Executable:
    r, a = t.revisions.c, t.articles.c
    columns = (r.id, r.article_id, r.number, r.kind, r.headline, r.content, r.reason, r.published_at, r.modified_at, r.live_at)
    chosen: Any = bindparam("ids", expanding=True)
    return select(*columns, a.identity, a.short_id, a.cms_id).join(t.articles, a.id == r.article_id).where(r.id.in_(chosen))


def shown_since(tx: Tx, outlet: str, articles: Collection[int]) -> list[Row[Any]]:
    """(article_id, url) of what was live of these articles since the revision that an outlet holds, that one included, oldest first."""
    return tx.all(_shown_since(), {"outlet": outlet, "articles": list(articles)}) if articles else []


@cache
def _shown_since() -> Executable:
    r, d = t.revisions.c, t.deliveries.c
    chosen: Any = bindparam("articles", expanding=True)
    since = and_(d.article_id == r.article_id, r.number >= func.coalesce(d.held_number, 0), r.number <= d.wanted_number)
    return (
        select(r.article_id, r.content["url"].as_string().label("url"))
        .join(t.deliveries, since)
        .where(d.outlet == bindparam("outlet"), r.article_id.in_(chosen), r.live_at.is_not(None), r.kind != "withdrawn")
        .order_by(r.article_id, r.number)
    )


def last_shown(tx: Tx, articles: Collection[int]) -> list[Row[Any]]:
    """(article_id, short_id, headline, url) of the newest revision of each article that has a text and was ever live."""
    return tx.all(_last_shown(), {"articles": list(articles)}) if articles else []


@cache
def _last_shown() -> Executable:
    r, a = t.revisions.c, t.articles.c
    chosen: Any = bindparam("articles", expanding=True)
    # An embargoed revision that was withdrawn before its time never was: neither its headline nor its address may be told.
    shown = select(func.max(r.id)).where(r.article_id.in_(chosen), r.live_at.is_not(None), r.kind != "withdrawn").group_by(r.article_id)
    url = r.content["url"].as_string().label("url")
    return select(r.article_id, a.short_id, r.headline, url).join(t.articles, a.id == r.article_id).where(r.id.in_(shown))
