"""Rows of documents: what stands at each path of each outlet, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update

from pipeline.ledger import deliveries
from pipeline.ledger import tables as t
from pipeline.ledger.upsert import insert
from pipeline.model.document import DocumentStatus
from pipeline.model.settings import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Executable, Row

    from pipeline.ledger.engine import Tx
    from pipeline.model.document import Document


@dataclass(frozen=True, slots=True)
class Stored:
    """A document that stands at its path now. `inline`: its bytes are kept in the row itself (share payloads)."""

    document: Document
    changed_at: datetime
    article_id: int | None = None
    revision: int | None = None
    as_of: datetime | None = None
    inline: bool = False
    writing: bool = False


def put(tx: Tx, outlet: str, stored: Iterable[Stored]) -> None:
    """Insert or replace rows; a twin made from other bytes no longer counts."""
    tx.each(_put(postgres=tx.postgres), [_row(outlet, s, tx.now) for s in stored])


@cache
def _put(*, postgres: bool) -> Executable:
    statement = insert(t.documents, postgres=postgres)
    new = statement.excluded
    names = (
        "article_id",
        "revision",
        "sha256",
        "size",
        "media_type",
        "status",
        "moved_to",
        "changed_at",
        "as_of",
        "stored_at",
        "body",
        "twins_sha",
    )
    return statement.on_conflict_do_update(
        index_elements=[t.documents.c.outlet, t.documents.c.path],
        set_={name: getattr(new, name) for name in names},
    )


def _row(outlet: str, stored: Stored, now: datetime) -> dict[str, object]:
    document = stored.document
    return {
        "outlet": outlet,
        "path": document.path,
        "article_id": stored.article_id,
        "revision": stored.revision,
        "sha256": document.sha256,
        "size": document.size,
        "media_type": document.media_type,
        "status": (DocumentStatus.WRITING if stored.writing else document.status).value,
        "moved_to": document.moved_to,
        "changed_at": stored.changed_at,
        "as_of": stored.as_of,
        "stored_at": now,
        "body": document.body if stored.inline else None,
        "twins_sha": "",
    }


def mark_writing(tx: Tx, outlet: str, stored: Iterable[Stored]) -> None:
    """Say before a put that these paths may hold anything until they are settled."""
    rows = [{**_row(outlet, s, tx.now), "status": DocumentStatus.WRITING.value} for s in stored]
    tx.each(_mark_writing(postgres=tx.postgres), rows)


@cache
def _mark_writing(*, postgres: bool) -> Executable:
    d = t.documents.c
    statement = insert(t.documents, postgres=postgres)
    return statement.on_conflict_do_update(index_elements=[d.outlet, d.path], set_={"status": DocumentStatus.WRITING.value})


def known(tx: Tx, outlet: str, paths: Collection[str]) -> Mapping[str, Row[Any]]:
    """Path → row (sha256, status, moved_to, changed_at, twins_sha), for those of these paths that have one."""
    return {row.path: row for row in tx.all(_known(), {"outlet": outlet, "paths": list(paths)})}


@cache
def _known() -> Executable:
    d = t.documents.c
    chosen: Any = bindparam("paths", expanding=True)
    return select(d.path, d.sha256, d.status, d.moved_to, d.changed_at, d.twins_sha).where(
        d.outlet == bindparam("outlet"), d.path.in_(chosen)
    )


def of_articles(tx: Tx, outlet: str, articles: Collection[int]) -> list[Row[Any]]:
    """(article_id, path, sha256, status, moved_to) of everything an outlet has of these articles."""
    return tx.all(_of_articles(), {"outlet": outlet, "articles": list(articles)})


@cache
def _of_articles() -> Executable:
    d = t.documents.c
    chosen: Any = bindparam("articles", expanding=True)
    return (
        select(d.article_id, d.path, d.sha256, d.status, d.moved_to)
        .where(d.outlet == bindparam("outlet"), d.article_id.in_(chosen))
        .order_by(d.article_id, d.path)
    )


def one(tx: Tx, outlet: str, path: str) -> Any:
    """The row of one path, with its inline bytes."""
    return tx.first(_one(), {"outlet": outlet, "path": path})


@cache
def _one() -> Executable:
    d = t.documents.c
    return select(t.documents).where(d.outlet == bindparam("outlet"), d.path == bindparam("path"))


def at_site(tx: Tx, site: str, path: str) -> Any:
    """The row of a path at the site's origin, whichever of its outlets made it; of several the one that stands."""
    found = tx.all(_at_site(), {"site": site, "path": path})
    return min(found, key=lambda row: _ELSEWHERE.get(row.status, 0), default=None)


_ELSEWHERE = {DocumentStatus.MOVED.value: 1, DocumentStatus.GONE.value: 2}


@cache
def _at_site() -> Executable:
    d, o = t.documents.c, t.outlets.c
    made_by = select(o.key).where(o.site == bindparam("site"), o.kind != Kind.MIRROR.value)
    return select(t.documents).where(d.outlet.in_(made_by), d.path == bindparam("path"))


def page_of(tx: Tx, outlet: str, short_id: str) -> Any:
    """The live page of the article with that short id at an outlet: (path, status)."""
    d, a = t.documents.c, t.articles.c
    return tx.first(
        select(d.path, d.status).where(
            d.outlet == outlet, d.article_id.in_(select(a.id).where(a.short_id == short_id)), d.status != DocumentStatus.MOVED.value
        ),
    )


def everything(tx: Tx, outlet: str, after: str = "", most: int = 500) -> list[Row[Any]]:
    """A page of an outlet's rows in the order of their paths, for verification."""
    d = t.documents.c
    return tx.all(
        select(d.path, d.sha256, d.size, d.status, d.article_id, d.moved_to, d.twins_sha)
        .where(d.outlet == outlet, d.path > after)
        .order_by(d.path)
        .limit(most),
    )


def standing(tx: Tx, outlet: str) -> list[Row[Any]]:
    """(path, media_type) of what stands, or may stand, at an outlet, by path."""
    d = t.documents.c
    ended = (DocumentStatus.GONE.value, DocumentStatus.MOVED.value)
    return tx.all(select(d.path, d.media_type).where(d.outlet == outlet, d.status.not_in(ended)).order_by(d.path))


def not_ended(tx: Tx, outlet: str, most: int, *, moved: bool, base: str) -> list[Row[Any]]:
    """(path, media_type) of a closed outlet's documents that do not say so: gone, or `moved` to an address that begins with `base`."""
    d = t.documents.c
    ended = and_(d.status == DocumentStatus.MOVED.value, d.moved_to.startswith(base, autoescape=True))
    said = ended if moved else d.status == DocumentStatus.GONE.value
    return tx.all(select(d.path, d.media_type).where(d.outlet == outlet, ~said).order_by(d.path).limit(most))


def stored_since(tx: Tx, outlet: str, since: datetime, after: str, most: int) -> tuple[list[Row[Any]], str | None]:
    """(those of the next `most` paths of an outlet that were settled after an instant, the last of these paths; None at the end).

    So many are looked at and no more, however few are found: an archive takes many turns, and none of them long. What a run
    is putting now is not among them.
    """
    d = t.documents.c
    paths = select(d.path).where(d.outlet == outlet, d.path > after).order_by(d.path).limit(most).subquery()
    last: str | None = tx.value(select(func.max(paths.c.path)))
    if last is None:
        return [], None
    here = (d.outlet == outlet, d.path > after, d.path <= last, d.stored_at > since, d.status != DocumentStatus.WRITING.value)
    columns = (d.outlet, d.path, d.sha256, d.size, d.status, d.article_id, d.twins_sha, d.stored_at)
    return tx.all(select(*columns).where(*here).order_by(d.path)), last


def forget(tx: Tx, outlet: str, paths: Collection[str]) -> None:
    """Make the next run store these again: what stands there is not what the row says."""
    d = t.documents.c
    statement = update(t.documents).where(d.outlet == outlet, d.path == bindparam("p"))
    tx.each(statement.values(status=DocumentStatus.WRITING.value), [{"p": path} for path in paths])


def without_twins(tx: Tx, outlets: Collection[str], still_since: datetime, pages_since: datetime, most: int) -> list[Row[Any]]:
    """(outlet, path, sha256) of live documents unchanged since then (archive pages since `pages_since`) whose twins are missing."""
    d = t.documents.c
    is_page = d.path.like("%-____-__-%.%")  # `paging.page_name`; a feed that is named so waits longer, too
    return tx.all(
        select(d.outlet, d.path, d.sha256)
        .where(
            d.outlet.in_(list(outlets)),
            d.status == DocumentStatus.LIVE.value,
            d.body.is_(None),
            d.stored_at <= still_since,
            or_(d.stored_at <= pages_since, ~is_page),
            or_(d.twins_sha == "", d.twins_sha != d.sha256),
        )
        .limit(most),
    )


def makes_twins(tx: Tx, outlet: str, paths: Collection[str]) -> None:
    """Note that twins of these paths are being made, or may be torn: they are not to be trusted, and must go."""
    d = t.documents.c
    tx.run(update(t.documents).where(d.outlet == outlet, d.path.in_(list(paths))).values(twins_sha="making"))


def has_twins(tx: Tx, outlet: str, path: str, sha256: str) -> None:
    """Note that twins were made from exactly these bytes."""
    d = t.documents.c
    tx.run(update(t.documents).where(d.outlet == outlet, d.path == path, d.sha256 == sha256).values(twins_sha=sha256))


def topics(tx: Tx, outlet: str, changed: Mapping[str, Document], changed_at: datetime) -> None:
    """Set what the subscribers of these topics (URL → document) should hold; `seq` counts what differs from the text before."""
    tx.each(
        _topics(tx.postgres),
        [
            {"url": url, "outlet": outlet, "path": document.path, "wanted_sha": document.sha256, "changed_at": changed_at}
            for url, document in sorted(changed.items())
        ],
    )


@cache
def _topics(postgres: bool) -> Executable:  # noqa: FBT001 - which dialect's upsert it is
    statement = insert(t.topics, postgres=postgres)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[t.topics.c.url],
        set_={
            "outlet": new.outlet,
            "path": new.path,
            "wanted_sha": new.wanted_sha,
            "changed_at": new.changed_at,
            "seq": case((new.wanted_sha != t.topics.c.wanted_sha, t.topics.c.seq + 1), else_=t.topics.c.seq),
        },
    )


MARKED = "?"
TORN = "?torn"
"""What begins with MARKED takes a hash's place where nobody knows what stands; TORN where it was found damaged."""


def distrust(tx: Tx, outlet: str, paths: Mapping[str, int | None], mark: str = TORN) -> None:
    """What stands at these paths (→ article) is not to be relied on: have it made again.

    `mark` begins with MARKED and differs between those who say so: a run that is putting just then sees that its work
    was touched.
    """
    articles = sorted({article for article in paths.values() if article is not None})
    lock_deliveries(tx, outlet, articles)
    d = t.documents.c
    statement = update(t.documents).where(d.outlet == outlet, d.path == bindparam("p"))
    tx.each(statement.values(status=DocumentStatus.WRITING.value, sha256=mark), [{"p": path} for path in sorted(paths)])
    deliveries.again(tx, outlet, articles)


def lock_deliveries(tx: Tx, outlet: str, articles: Collection[int]) -> None:
    """Wait for whoever settles or plans these, before documents are compared; SQLite has one writer at a time anyway."""
    d = t.deliveries.c
    chosen = select(d.article_id).where(d.outlet == outlet, d.article_id.in_(sorted(articles)))
    tx.all(chosen.order_by(d.article_id).with_for_update())
