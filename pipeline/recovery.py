"""What stands is compared with what the ledger says stands, and made again where they differ.

Storing a document costs no fsync; this is what it costs instead: feeds are looked at once before the app calls
itself ready, and their compressed twins are made again; pages of mirrors are measured whenever the app serves one,
and compared when an operator asks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.building import feed_key
from pipeline.formats import FORMATS
from pipeline.ledger import deliveries, documents
from pipeline.model.document import DocumentStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row

    from pipeline.backends import Backend
    from pipeline.context import Context


def check_feeds(context: Context) -> tuple[str, ...]:
    """Outlet keys of feeds whose documents at the origin were not what the ledger says; they are to be built again.

    Nothing tells a torn twin from a whole one but unpacking it, so after a start none is trusted: upkeep packs them anew.
    """
    broken = []
    for site in context.settings.sites:
        for feed in site.feeds:
            key = feed_key(site, feed)
            paths = [f"{site.name}/feeds/{feed.name}.{fmt.extension}" for fmt in FORMATS.values()]
            with context.ledger.read() as tx:
                rows = documents.known(tx, key, paths)
            if rows:
                with context.ledger.write() as tx:
                    documents.makes_twins(tx, key, list(rows))
            backend = context.origin(key)
            wrong = [path for path, row in rows.items() if hashlib.sha256(backend.get(path) or b"").hexdigest() != row.sha256]
            if wrong:
                broken.append(key)
                with context.ledger.write() as tx:
                    documents.forget(tx, key, wrong)
                    deliveries.again(tx, key, ())
    return tuple(broken)


def torn(context: Context, row: Row[Any]) -> None:
    """A mirror's document is missing, or not as long as its row says: unless a run began there meanwhile, make it again."""
    with context.ledger.write(deadline=1.0) as tx:
        now = documents.one(tx, row.outlet, row.path)
        if now is not None and (now.status, now.sha256, now.size) == (row.status, row.sha256, row.size):
            documents.distrust(tx, row.outlet, {row.path: row.article_id})
            context.log.error("document damaged", outlet=row.outlet, path=row.path)


@dataclass(frozen=True, slots=True)
class Drift:
    """One path of a mirror that is not what the ledger says."""

    path: str
    detail: str


def verify(
    context: Context, key: str, progress: Callable[[int], None] = lambda _count: None, *, repair: bool = True
) -> tuple[int, tuple[Drift, ...]]:
    """Compare everything a mirror should hold with what its backend answers; (documents looked at, drifts).

    With `repair`, what drifted is marked to be made again by the next run.
    """
    site, _, name = context.outlet(key)
    mirror = next(m for m in site.mirrors if m.name == name)
    backend = context.mirror_backend(key, mirror)
    looked, after, found = 0, "", []
    while True:
        with context.ledger.read() as tx:
            rows = documents.everything(tx, key, after)
        if not rows:
            break
        after = rows[-1].path
        drifted = [(row, detail) for row in rows if (detail := _drift(backend, row))]
        looked += len(rows)
        progress(looked)
        found += [Drift(row.path, detail) for row, detail in drifted]
        if drifted and repair:
            with context.ledger.write() as tx:
                documents.distrust(tx, key, {row.path: row.article_id for row, _ in drifted})
    return looked, tuple(found)


def _drift(backend: Backend, row: Row[Any]) -> str:
    body = backend.get(row.path)
    if row.status == DocumentStatus.WRITING.value:
        return "A put was begun and never settled."
    if row.status == DocumentStatus.GONE.value and backend.gone == "delete":
        return "" if body is None else "It was withdrawn and can still be read."
    if body is None:
        return "It is missing."
    return "" if hashlib.sha256(body).hexdigest() == row.sha256 else "Its bytes are not those that were stored."
