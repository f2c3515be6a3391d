"""What stands is compared with what the ledger says stands, and made again where they differ.

Storing a document costs no fsync; this is what it costs instead: feeds are looked at once before the app calls
itself ready, and their compressed twins are made again; pages of mirrors are measured whenever the app serves one,
and upkeep compares those stored shortly before the machine stopped, and archive pages (`docs/decisions/0009-after-an-unclean-stop.md`).
When an operator asks, all of it is compared.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import brotli

from pipeline.backends import Mounted
from pipeline.building import INDEX, feed_key, formats_of
from pipeline.kit.clock import EPOCH, microseconds
from pipeline.ledger import archives, deliveries, documents, duties
from pipeline.mirror_documents import MARKER
from pipeline.model.document import DocumentStatus
from pipeline.model.settings import Kind, outlet_key
from pipeline.paging import page_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from pipeline.backends import Backend
    from pipeline.context import Context
    from pipeline.ledger.engine import Tx


LOOKS, PAUSE = 10, 0.05
TWINS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = ((".gz", gzip.decompress), (".br", brotli.decompress))
CHECK_IN = timedelta(minutes=1)
SLICE = 200
PAGES = 30  # documents of archive pages, of 100 kB and more each, with two twins to unpack


def check_feeds(context: Context) -> tuple[str, ...]:
    """Outlet keys of feeds whose documents at the origin were not what the ledger says; they are to be built again.

    Nothing tells a torn twin from a whole one but unpacking it, so after a start none is trusted: upkeep packs them anew.
    """
    broken = []
    for site in context.settings.sites:
        for feed in (f for f in site.feeds if not f.closed):
            key = feed_key(site, feed)
            paths = [f"{site.name}/{feed.folder}/{name}.{fmt.extension}" for name in (feed.name, INDEX) for fmt in formats_of(feed)]
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


def torn(context: Context, outlet: str, rows: Sequence[Row[Any]]) -> None:
    """Documents of a mirror are missing, or not what their rows say: unless a run began there meanwhile, make them again."""
    with context.ledger.write(deadline=1.0) as tx:
        documents.lock_deliveries(tx, outlet, {row.article_id for row in rows if row.article_id is not None})
        now = {row.path: documents.one(tx, outlet, row.path) for row in rows}
        same = [row for row in rows if _unchanged(row, now[row.path])]
        if same:
            documents.distrust(tx, outlet, {row.path: row.article_id for row in same})
    for row in same:
        context.log.error("document damaged", outlet=outlet, path=row.path)


def _unchanged(row: Row[Any], now: Row[Any] | None) -> bool:
    return now is not None and (now.status, now.sha256, now.size) == (row.status, row.sha256, row.size)


def check_in(context: Context, kernel: str) -> None:
    """Note once a minute that this kernel is at work. One nobody knows: have compared what folders may have lost with the one before."""
    with context.ledger.read() as tx:
        seen = duties.kernel_seen_at(tx, kernel)
        if seen is not None and tx.now - CHECK_IN < seen <= tx.now:
            return
    sites = context.settings.sites
    folders = [feed_key(site, feed) for site in sites for feed in site.feeds if feed.page_size and not feed.closed]
    folders += [outlet_key(s.name, Kind.MIRROR, m.name) for s in sites for m in s.mirrors if m.backend == "local"]
    with context.ledger.write() as tx:
        new = duties.check_in(tx, kernel, folders)
    if new:
        context.log.info("comparison begun", outlets=folders, outcome="the machine was started")


def compare(context: Context, ends: float) -> None:
    """Go on with the comparison that `check_in` began, a slice at least and as far as there is time."""
    with context.ledger.read() as tx:
        waiting = duties.comparing(tx)
    for key, since, after in waiting:
        path: str | None = after
        while path is not None:
            path = _compare_slice(context, key, since, path)
            if context.clock.monotonic() >= ends:
                return


def _compare_slice(context: Context, key: str, since: datetime, after: str) -> str | None:
    """The path up to which is compared now, None at the end, or where nothing can be said here: that is left to the next run."""
    backend, pages = _folder(context, key), f"/{Kind.FEED.value}:" in key
    path: str | None = None
    if backend is not None:
        with context.ledger.read() as tx:
            rows, path = documents.stored_since(tx, key, EPOCH if pages else since, after, PAGES if pages else SLICE)
        if rows and not (isinstance(backend, Mounted) and backend.mounted()):
            return None  # a folder of another machine, or not mounted here: that nothing stands there says nothing
        if pages:
            _compare_pages(context, backend, key, [row for row in rows if row.stored_at > since or _packed_since(backend, row.path, since)])
        elif wrong := [row for row in rows if _drift(backend, row.path, row)]:
            torn(context, key, wrong)
    with context.ledger.write() as tx:
        duties.compared(tx, key, since, path)
    return path


def _folder(context: Context, key: str) -> Backend | None:
    """The folder of a feed or mirror; None for one that is no longer configured so."""
    try:
        site, kind, name = context.outlet(key)
    except KeyError:
        return None
    if kind is Kind.FEED:
        return context.origin(key)
    mirror = next((m for m in site.mirrors if m.name == name and m.backend == "local"), None)
    return context.mirror_backend(key, mirror) if mirror is not None else None


def _packed_since(backend: Backend, path: str, since: datetime) -> bool:
    """Whether a twin beside it was written since: after a large filling that may be long after its document was stored."""
    stats = [backend.stat(path + suffix) for suffix, _ in TWINS]
    return any(stat is not None and stat.modified_ns > microseconds(since) * 1000 for stat in stats)


def _compare_pages(context: Context, backend: Backend, key: str, rows: Sequence[Row[Any]]) -> None:
    """Have archive pages that are damaged written again, or whose twins are. Live documents were compared before the app was ready."""
    stand = [row for row in rows if page_of(row.path) and row.status == DocumentStatus.LIVE.value]
    wrong = [row for row in stand if _wrong(backend, row)]
    if not wrong:
        return
    with context.ledger.write() as tx:
        # Of a page that a run wrote meanwhile the row is another one now.
        same = [row.path for row in wrong if _unchanged(row, documents.one(tx, key, row.path))]
        _write_again(tx, key, same)
    for path in same:
        context.log.error("document damaged", outlet=key, path=path)


def _write_again(tx: Tx, key: str, paths: Sequence[str]) -> None:
    """Have a feed's next run store these documents, whatever it finds to be unchanged."""
    documents.forget(tx, key, paths)
    archives.write_again(tx, key, {page for path in paths if (page := page_of(path))})
    deliveries.again(tx, key, ())


@dataclass(frozen=True, slots=True)
class Drift:
    """One path of a mirror or feed that is not what the ledger says."""

    path: str
    detail: str


def verify_feed(context: Context, key: str, *, repair: bool = True) -> tuple[int, tuple[Drift, ...]]:
    """Compare a feed's documents at the origin with the ledger; as `verify`.

    A run renames a document in and settles a moment later, so one that differs is looked at again for that moment.
    """
    found, looked = _differing(context, key)
    for _ in range(LOOKS):
        if not found:
            break
        context.clock.sleep(PAUSE)
        found, looked = _differing(context, key)
    if found and repair:
        with context.ledger.write() as tx:
            _write_again(tx, key, list(found))
    return looked, tuple(Drift(path, detail) for path, detail in found.items())


def _differing(context: Context, key: str) -> tuple[dict[str, str], int]:
    """(path → what is wrong there, documents looked at)."""
    backend, told, looked, after = context.origin(key), dict[str, str](), 0, ""
    while True:
        with context.ledger.read() as tx:
            rows = documents.everything(tx, key, after)
        if not rows:
            return told, looked
        after, looked = rows[-1].path, looked + len(rows)
        told |= {row.path: detail for row in rows if (detail := _wrong(backend, row))}


def _wrong(backend: Backend, row: Row[Any]) -> str:
    """What is wrong with a feed's document; what is closed or was renamed must not stand any more."""
    if row.status in {DocumentStatus.GONE.value, DocumentStatus.MOVED.value}:
        return "" if backend.stat(row.path) is None else "It is closed, and can still be read."
    return _drift(backend, row.path, row) or _lying_twin(backend, row.path, row)


def _lying_twin(backend: Backend, path: str, row: Row[Any]) -> str:
    """Readers who take a coding get the twin's bytes. A missing one is normal."""
    for suffix, unpack in TWINS if row.twins_sha == row.sha256 else ():
        packed = backend.get(path + suffix)
        if packed is not None and _unpacked_sha(unpack, packed) != row.sha256:
            return f"Its compressed twin {suffix} holds other bytes."
    return ""


def twin(backend: Backend, row: Row[Any], suffix: str) -> bytes | None:
    """The compressed twin beside a document, if it unpacks to exactly what the row says."""
    packed = backend.get(row.path + suffix)
    return packed if packed is not None and _unpacked_sha(dict(TWINS)[suffix], packed) == row.sha256 else None


def _unpacked_sha(unpack: Callable[[bytes], bytes], packed: bytes) -> str:
    try:
        return hashlib.sha256(unpack(packed)).hexdigest()
    except (OSError, EOFError, zlib.error, brotli.error):
        return ""


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
        drifted = [(row, detail) for row in rows if (detail := _drift(backend, row.path, row))]
        looked += len(rows)
        progress(looked)
        found += [Drift(row.path, detail) for row, detail in drifted]
        if drifted and repair:
            with context.ledger.write() as tx:
                documents.distrust(tx, key, {row.path: row.article_id for row, _ in drifted})
    return looked, tuple(found)


def _drift(backend: Backend, path: str, row: Row[Any]) -> str:
    body = backend.get(path)
    if row.status == DocumentStatus.WRITING.value:
        return "A put was begun and never settled."
    if backend.gone == "marker" and path.endswith("/index.html"):
        marked = backend.stat(path.removesuffix("index.html") + MARKER) is not None
        if marked is not (row.status == DocumentStatus.GONE.value):
            return "It is marked as gone, and is not." if marked else "It is gone, and not marked so."
    if row.status == DocumentStatus.GONE.value and backend.gone == "delete":
        return "" if body is None else "It was withdrawn and can still be read."
    if body is None:
        return "It is missing."
    return "" if hashlib.sha256(body).hexdigest() == row.sha256 else "Its bytes are not those that were stored."
