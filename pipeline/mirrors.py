"""Step 3c: the deliveries of a mirror → pages, feeds and index at another domain, read back and compared.

    lease > what is due > pages put > feeds, index, robots put > pages of the withdrawn put > settle > ask again

Pages stand before anything links to them; on a withdrawal nothing links to the page before it goes. Feeds and index
are made once a run, however many articles it brings. A mirror that does not answer ends the round soon: what its turn
did not come to stays as it is, without an attempt, and what stands is on record, so that the next round goes on there.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline import building, leasing
from pipeline.kit import limits, metrics
from pipeline.ledger import deliveries, documents, revisions
from pipeline.ledger.deliveries import GONE, LIVE, Failure, Settled
from pipeline.ledger.documents import Stored
from pipeline.mirror_documents import MARKER, TEXT, Change, Maker, differs, frame
from pipeline.model.document import Document, DocumentStatus
from pipeline.model.errors import FenceLost, Permanent, PressrunError, Transient
from pipeline.model.run import Run, Step
from pipeline.model.settings import Kind
from pipeline.pages import robots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from pipeline.backends import Backend
    from pipeline.context import Context
    from pipeline.leasing import Lease
    from pipeline.ledger.deliveries import Due
    from pipeline.ledger.engine import Tx
    from pipeline.model.revision import Revision
    from pipeline.model.settings import Mirror, Site

LIMIT = 20.0
REQUEST = 8.0  # seconds; a request to a mirror takes no longer (`backends.http`), so none begins later than this before the limit
MOST = 200
ROBOTS = "robots.txt"
BATCH = 50


class _NotBegun(Transient):
    """The round ended before its turn: its delivery stays as it is, without an attempt."""

    def __init__(self) -> None:
        super().__init__("The round ended before its turn.")


def run(context: Context, keys: Sequence[str]) -> Run:
    """Bring these mirrors up to date; one in somebody else's hands is passed over."""

    def bring(lease: Lease, site: Site, name: str) -> int:
        press = _Press(context, lease, site, next(m for m in site.mirrors if m.name == name))
        try:
            return _bring(press)
        except FenceLost:
            _put_late(press)
            raise

    return leasing.at_each(context, keys, Step.MIRRORS, LIMIT, bring)


@dataclass
class _Press:
    """One run at one mirror: what it works with, what it made so far, and how the mirror answers.

    named     path → article of everything this run may have put
    failed    article (0: what all share) → what it met in this round
    streak    puts in a row, of the whole run, that met something Transient
    counted   how many of them the circuit knows of
    answered  whether the mirror took anything, or refused it in so many words, in this round
    took      whether it took anything in this round
    away      what it said when it refused everything of this round in so many words, and what all share besides
    shown     article that leaves → what was last shown of it
    folders   article → where its page stands, or the notice that it is gone
    edge      when time alone will change what its feeds show
    """

    context: Context
    lease: Lease
    site: Site
    mirror: Mirror
    named: dict[str, int | None] = field(default_factory=dict)
    failed: dict[int, PressrunError] = field(default_factory=dict)
    revisions: dict[int, Revision] = field(default_factory=dict)
    kept: dict[str, Row[Any]] = field(default_factory=dict)
    shown: dict[int, Row[Any]] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    edge: datetime | None = None
    streak: int = 0
    counted: int = 0
    answered: bool = False
    took: bool = False
    away: Permanent | None = None
    stopped: bool = False
    _noting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> str:
        return self.lease.key

    @property
    def backend(self) -> Backend:
        return self.context.mirror_backend(self.key, self.mirror)

    @property
    def maker(self) -> Maker:
        hold = self.lease.hold
        return Maker(self.context, self.site, self.mirror, self.key, frame(self.site, self.mirror), self.lease.touch, hold.careful)

    @property
    def bound(self) -> int:
        """Failures in a row that end the run and open the circuit; one that was half open takes a single one."""
        return max(1, self.context.settings.limits.circuit_failures - self.lease.hold.circuit_failures)

    @property
    def deaf(self) -> bool:
        """Whether the mirror met us with nothing but failures, in this round or for too long."""
        return self.stopped or (self.streak > 0 and not self.answered)

    @property
    def refusing(self) -> bool:
        """Whether the mirror answered in this round, and took nothing: a token that ran out, say."""
        return self.answered and not self.took

    def begins(self, requests: int = 1) -> bool:
        """Whether there is time for a request, and for so many in turn before the run's limit."""
        return not self.stopped and self.context.clock.monotonic() < self.lease.limit - requests * REQUEST

    def note(self, error: PressrunError | None) -> None:
        """Keep account of how the mirror answers. Called from several threads."""
        with self._noting:
            if isinstance(error, Transient):
                self.streak += 1
                self.stopped = self.stopped or self.streak >= self.bound
            else:
                self.streak, self.answered = 0, True
                self.took = self.took or error is None


def _put_late(press: _Press) -> None:
    """Over HTTP nothing refuses bytes of a run that lost its lease: whatever it may have put is looked at again."""
    if press.mirror.backend == "http" and press.named:
        with press.context.ledger.write() as tx:
            documents.distrust(tx, press.key, press.named, f"?{press.lease.hold.fence}")


def _bring(press: _Press) -> int:
    """Everything due that there is time for; without anything due, feeds and index are looked at all the same."""
    with press.context.ledger.read() as tx:
        due = deliveries.due(tx, press.key, MOST)
    if not press.lease.hold.careful:
        return _round(press, due)
    # After a crash one item a commit, so that the neighbours of what stops a worker are settled before it is touched.
    done = 0
    for number, item in enumerate(due or [None]):
        if number and (press.stopped or not press.lease.takes_work()):
            break
        done += _round(press, [item] if item else [])
    return done


def _round(press: _Press, due: Sequence[Due]) -> int:
    """Pages of what comes, then feeds and index, then notices for what leaves; settled together."""
    press.failed, press.revisions, press.kept = {}, {}, {}
    press.answered, press.took, press.away = False, False, None
    taken: list[Due] = []
    leaving: list[Stored] = []
    stored: list[Stored] = []
    waiting = list(due)
    while waiting and not (taken and (press.deaf or not press.lease.takes_work())):
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        coming, going = _made(press, batch)
        # A page is of no use without the feeds: those must have time to follow.
        stored += map(_light, _put(press, coming, press.kept, requests=2))
        leaving += going
        taken += batch
        waiting = waiting or _came(press, taken)
    stored += _asked_for_another(press)
    common, error = _put_shared(press, taken)
    stored += common
    stored += _put(press, [s for s in leaving if s.article_id not in press.failed], press.kept)
    return _settle(press, taken, stored, error)


def _came(press: _Press, taken: Sequence[Due]) -> list[Due]:
    """What became due while the round went on: feeds and index cost the same for one page as for hundreds."""
    if press.lease.hold.careful or press.deaf or len(taken) >= MOST or not press.lease.takes_work():
        return []
    here = {d.article_id for d in taken}
    with press.context.ledger.read() as tx:
        return [d for d in deliveries.due(tx, press.key, MOST) if d.article_id not in here]


def _light(stored: Stored) -> Stored:
    """Hundreds of pages wait for the end of their round: their bytes need not."""
    return replace(stored, document=stored.document.without_body())


def _made(press: _Press, batch: Sequence[Due]) -> tuple[list[Stored], list[Stored]]:
    """(documents of what comes or changes, notices for what leaves)."""
    with press.context.ledger.read() as tx:
        press.revisions.update(building.read(press.context, tx, {d.wanted for d in batch}))
        there = documents.of_articles(tx, press.key, [d.article_id for d in batch])
        press.shown.update({row.article_id: row for row in revisions.last_shown(tx, [d.article_id for d in batch if not d.present])})
    press.kept.update({row.path: row for row in there})
    by_article: dict[int, list[Row[Any]]] = {}
    for row in there:
        by_article.setdefault(row.article_id, []).append(row)
    coming: list[Stored] = []
    leaving: list[Stored] = []
    maker = press.maker
    for due in batch:
        (coming if due.present else leaving).extend(_documents(press, maker, due, by_article.get(due.article_id, [])))
    return coming, leaving


def _documents(press: _Press, maker: Maker, due: Due, there: Sequence[Row[Any]]) -> list[Stored]:
    """What one article should have here: its page, redirects from former paths, or the notice that it is gone."""
    press.lease.touch(due.article_id)
    revision = press.revisions[due.wanted]
    try:
        # Rules that no longer match are a removal, too: then the revision has a text, and there is no reason to show.
        made = maker.live(revision, there) if due.present else maker.gone(revision, there, press.shown.get(due.article_id))
    except Exception as error:  # noqa: BLE001 - one bad article never stops its neighbours
        limits.let_pass(error)
        press.failed[due.article_id] = Permanent(f"It could not be rendered: {type(error).__name__}: {error}")
        return []
    if made:
        press.folders[due.article_id] = made[0].path.removesuffix("index.html")
    return [Stored(document, due.live_at, due.article_id, revision.number) for document in made]


def _put(press: _Press, todo: Sequence[Stored], kept: Mapping[str, Row[Any]], requests: int = 1) -> list[Stored]:
    """Put what differs, several at a time where each waits for a network; answers what stands now and was not known."""
    changed = [s for s in todo if press.lease.hold.careful or differs(s.document, kept.get(s.document.path))]
    if changed and press.begins(requests):
        # A run that dies before it settles leaves what it put: whoever comes next must find it named.
        with press.context.ledger.write() as tx:
            documents.mark_writing(tx, press.key, sorted(changed, key=lambda s: s.document.path))
            press.lease.guard(tx)
        press.named.update({s.document.path: s.article_id for s in changed})
    good: list[Stored] = []
    for stored, error in zip(changed, _each(press, changed, requests), strict=True):
        about = stored.article_id or 0
        if error is None:
            good.append(stored)
        elif not isinstance(error, _NotBegun):
            press.failed[about] = error
        else:
            press.failed.setdefault(about, error)
    return good


def _each(press: _Press, changed: Sequence[Stored], requests: int) -> list[PressrunError | None]:
    def one(stored: Stored) -> PressrunError | None:
        error: PressrunError | None = None
        if not press.begins(requests):
            return _NotBegun()
        try:
            _place(press, stored.document, press.kept.get(stored.document.path))
        except FenceLost:
            raise
        except _NotBegun as ended:
            return ended
        except OSError as failure:
            error = Transient(f"It could not be written: {failure}")
        except PressrunError as failure:
            error = failure
        press.note(error)
        return error

    if press.mirror.backend == "http" and len(changed) > 1:
        with ThreadPoolExecutor(press.mirror.parallel) as pool:
            return list(pool.map(one, changed))
    return [one(stored) for stored in changed]


def _place(press: _Press, document: Document, kept: Row[Any] | None) -> None:
    """Make the path answer as it should, and look whether it does."""
    backend, fence = press.backend, press.lease.hold.fence
    marker = document.path.rpartition("/")[0] + "/" + MARKER
    gone = document.status is DocumentStatus.GONE
    if gone and backend.gone == "delete":
        backend.delete(document.path, fence)
        if _read_back(press, document.path) is not None:
            message = "It was deleted and can still be read."
            raise Transient(message)
        return
    if gone:
        backend.put(marker, b"", TEXT, fence)
    backend.put(document.path, document.body, document.media_type, fence)
    if _read_back(press, document.path) != document.body:
        message = "It was stored and reads back differently."
        raise Transient(message)
    if not gone and backend.gone == "marker" and kept is not None and kept.status != DocumentStatus.LIVE.value:
        backend.delete(marker, fence)


def _read_back(press: _Press, path: str) -> bytes | None:
    """What stands there now; where there is no time left to ask, the next round puts it again."""
    if not press.begins():
        raise _NotBegun
    return press.backend.get(path)


def _asked_for_another(press: _Press) -> list[Stored]:
    """Where nothing else was taken: does the mirror refuse these pages, or everything? A document all share tells."""
    if not (press.deaf or press.refusing):
        return []
    before, press.stopped = press.streak, False
    plain = Stored(Document(ROBOTS, TEXT, robots(press.maker.frame)), press.context.ledger.now())
    stored = _put(press, [plain], {})
    met = press.failed.pop(0, None)
    press.away = met if isinstance(met, Permanent) else None
    # Asked twice, it failed once: the circuit is told of what the work met.
    press.streak = min(press.streak, before)
    press.stopped = press.streak >= press.bound
    return stored


def _put_shared(press: _Press, taken: Sequence[Due]) -> tuple[list[Stored], PressrunError | None]:
    """Feeds, index and robots for what the mirror holds once this run is settled. If they cannot stand, nothing settles."""
    if press.deaf or press.away:
        for due in taken:
            press.failed.setdefault(due.article_id, _NotBegun())
        return [], press.away or next(iter(_hiccups(press.failed.values())), _NotBegun())
    change = Change(
        frozenset(d.article_id for d in taken if d.present and d.article_id not in press.failed),
        frozenset(d.article_id for d in taken if not d.present),
        max((d.live_at for d in taken), default=None),
    )
    made = press.maker.shared(change)
    press.edge = made.next_edge
    with press.context.ledger.read() as tx:
        kept = documents.known(tx, press.key, [s.document.path for s in made.documents])
    stored = _put(press, made.documents, kept)
    press.kept.update(kept)
    error = press.failed.pop(0, None)
    for due in taken if error is not None else ():
        press.failed.setdefault(due.article_id, error or Transient(""))
    return stored, error


def _settle(press: _Press, taken: Sequence[Due], stored: Sequence[Stored], shared: PressrunError | None) -> int:
    """Write down what stands. `shared` is what feeds, index and robots met; the outlet's row comes last, as in a plan."""
    with press.context.ledger.write() as tx:
        stored = _undisturbed(press, tx, taken, stored)
        taken = sorted((d for d in taken if not isinstance(press.failed.get(d.article_id), _NotBegun)), key=lambda d: d.article_id)
        good = [d for d in taken if d.article_id not in press.failed]
        bad = [d for d in taken if d.article_id in press.failed]
        back = _back(press, tx.now, shared)
        failures = [_failure(press, d, tx.now, shared, back) for d in bad]
        deliveries.settle(tx, press.key, [Settled(d, LIVE if d.present else GONE, _url(press, d)) for d in good])
        deliveries.fail(tx, press.key, failures)
        if shared is None and not press.stopped:
            press.lease.hasten(tx)
        ill = press.lease.hold.circuit_failures > 0
        deliveries.record(tx, press.key, [(d.article_id, 0, "settled", "") for d in good if d.attempts or ill])
        documents.put(tx, press.key, sorted(stored, key=lambda s: s.document.path))
        _account(press, tx, good, shared)
        press.lease.guard(tx, suspect=None, **_progress(press, failures, shared, back))
        now = tx.now
    _measure(press, good, bad, now)
    return len(good)


def _undisturbed(press: _Press, tx: Tx, taken: Sequence[Due], stored: Sequence[Stored]) -> list[Stored]:
    """What was stored, less what a run that had lost its lease may have overwritten since; those deliveries stay due."""
    if press.mirror.backend != "http":
        return list(stored)
    documents.lock_deliveries(tx, press.key, [d.article_id for d in taken])
    rows = documents.known(tx, press.key, [s.document.path for s in stored])
    good: list[Stored] = []
    for one in stored:
        path = one.document.path
        expected = press.kept[path].sha256 if path in press.kept else one.document.sha256
        if path in rows and rows[path].sha256 == expected:
            good.append(one)
        elif one.article_id is not None:
            press.failed[one.article_id] = _NotBegun()
    return good


def _hiccups(errors: Iterable[PressrunError | None]) -> list[Transient]:
    """Those that were met, and may pass."""
    return [e for e in errors if isinstance(e, Transient) and not isinstance(e, _NotBegun)]


def _account(press: _Press, tx: Tx, good: Sequence[Due], shared: PressrunError | None) -> None:
    """Tell the circuit how the mirror answered in this round."""
    if press.stopped or _hiccups([shared]) or isinstance(shared, Permanent):
        times = max(1, min(press.streak, press.bound) - press.counted)
        press.counted += times
        press.lease.failed(tx, times)
    elif good or press.answered or not press.failed:
        press.lease.worked(tx)


def _back(press: _Press, now: datetime, shared: PressrunError | None) -> datetime | None:
    """When to come back to a mirror that does not take what all its articles share; None where it does, or was not asked."""
    return None if shared is None or isinstance(shared, _NotBegun) else leasing.back_at(press.lease, Kind.MIRROR, now, shared)


def _progress(press: _Press, failures: Sequence[Failure], shared: PressrunError | None, back: datetime | None) -> dict[str, object]:
    """What the outlet's row says from now on. What was asked for counts as done only if somebody will come back to the rest."""
    if isinstance(shared, _NotBegun):
        return {}
    # Where it failed, the next run makes what time should have changed; a delivery that is tried again brings it, or time must.
    edge = press.edge if back is None else min((f.again_at for f in failures if f.again_at), default=back)
    return {"held_seq": press.lease.hold.wanted_seq, "next_edge_at": edge}


def _measure(press: _Press, good: Sequence[Due], bad: Sequence[Due], now: datetime) -> None:
    metrics.deliveries.labels(press.key, "settled").inc(len(good))
    metrics.deliveries.labels(press.key, "failed").inc(len(bad))
    for due in (d for d in good if not d.again):
        metrics.delivery_seconds.labels(press.key).observe(max(0.0, (now - due.wanted_at).total_seconds()))
    for due in bad:
        press.context.log.warning("delivery failed", outlet=press.key, article=due.article_id, outcome=str(press.failed[due.article_id]))


def _failure(press: _Press, due: Due, now: datetime, shared: PressrunError | None, back: datetime | None) -> Failure:
    """Its own failure, with its own retries; or the whole mirror's, which spends nobody's and fails nobody's delivery."""
    error = press.failed[due.article_id]
    if back is not None and (isinstance(shared, Permanent) or error is shared or isinstance(error, Transient)):
        return Failure(due, "retrying", str(error), back, spends=False)
    again = leasing.again_at(press.context, Kind.MIRROR, due.attempts, now, error)
    return Failure(due, "failed" if again is None else "retrying", str(error), again)


def _url(press: _Press, due: Due) -> str:
    """Where its page stands; where it went, the notice that it is gone."""
    folder = press.folders.get(due.article_id)
    return press.mirror.base_url + folder if folder else ""
