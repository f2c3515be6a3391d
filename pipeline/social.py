"""Step 3d: the deliveries of a network → share payloads, composed and stored. Nothing is posted by this version.

leases > what is due > compose > store in the ledger > settle > ask again

Composing waits for nobody, so the networks of a nudge are brought together: one transaction each for all of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline import building, leasing
from pipeline.kit import limits, metrics
from pipeline.ledger import deliveries, documents
from pipeline.ledger.deliveries import GONE, LIVE, Failure, Settled
from pipeline.ledger.documents import Stored
from pipeline.model.document import Document, DocumentStatus
from pipeline.model.run import Run, Step
from pipeline.networks import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.context import Context
    from pipeline.leasing import Lease
    from pipeline.ledger.deliveries import Due
    from pipeline.model.revision import Revision
    from pipeline.model.settings import Network, Site

LIMIT = 20.0
ROWS = 128  # in one commit, of all networks together
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class _Work:
    """What is due at one network, and what was made of it."""

    lease: Lease
    site: Site
    network: Network
    due: Sequence[Due]
    made: list[tuple[Due, Stored]] = field(default_factory=list)
    bad: list[Failure] = field(default_factory=list)


def run(context: Context, keys: Sequence[str]) -> Run:
    """Bring these networks' payloads up to date, all together; one in somebody else's hands is passed over."""
    return leasing.at_all(context, keys, Step.SOCIAL, LIMIT, lambda leases: _bring(context, leases))


def _bring(context: Context, leases: Sequence[Lease]) -> int:
    most = 1 if leases[0].hold.careful else max(1, ROWS // len(leases))
    done, more = 0, True
    while more:
        works, read = _due(context, leases, most)
        for work in works:
            _compose(context, work, read)
        _settle(context, works, read)
        done += sum(len(work.due) for work in works)
        more = any(len(work.due) == most for work in works) and leases[0].takes_work()
    return done


def _due(context: Context, leases: Sequence[Lease], most: int) -> tuple[list[_Work], Mapping[int, Revision]]:
    works = []
    with context.ledger.read() as tx:
        for lease in leases:
            site, _, name = context.outlet(lease.key)
            network = next(n for n in site.networks if n.name == name)
            works.append(_Work(lease, site, network, deliveries.due(tx, lease.key, most)))
        return works, building.read(context, tx, {d.wanted for work in works for d in work.due})


def _compose(context: Context, work: _Work, read: Mapping[int, Revision]) -> None:
    for item in work.due:
        work.lease.touch(item.article_id)
        try:
            document = _document(context, work.site, work.network, item, read[item.wanted])
        except Exception as error:  # noqa: BLE001 - one bad article never stops its neighbours
            limits.let_pass(error)
            work.bad.append(Failure(item, "failed", f"It could not be composed: {type(error).__name__}: {error}", None))
            continue
        work.made.append((item, Stored(document, item.live_at, item.article_id, item.number, inline=True)))


def _settle(context: Context, works: Sequence[_Work], read: Mapping[int, Revision]) -> None:
    """One transaction: deliveries first, in the order a plan locks them, then documents, the outlets' rows last."""
    good = [
        (work.lease.key, Settled(item, LIVE if item.present else GONE, _url(context, work.site, read[item.wanted].short_id)))
        for work in works
        for item, _ in work.made
    ]
    with context.ledger.write() as tx:
        deliveries.settle_all(tx, good)
        for work in works:
            deliveries.fail(tx, work.lease.key, work.bad)
            documents.put(tx, work.lease.key, [stored for _, stored in work.made])
        for work in works:
            work.lease.guard(tx, held_seq=work.lease.hold.wanted_seq, suspect=None)
        now = tx.now
    for key, settled in good:
        metrics.deliveries.labels(key, "settled").inc()
        if not settled.due.again:
            metrics.delivery_seconds.labels(key).observe(max(0.0, (now - settled.due.wanted_at).total_seconds()))
    for work in works:
        metrics.deliveries.labels(work.lease.key, "failed").inc(len(work.bad))
        for failure in work.bad:
            context.log.error("delivery failed", outlet=work.lease.key, article=failure.due.article_id, outcome=failure.answer)


def _document(context: Context, site: Site, network: Network, due: Due, revision: Revision) -> Document:
    path = f"{revision.short_id}.json"
    if not due.present:
        return Document(path, JSON, b"", DocumentStatus.GONE)
    share = building.share_of(context, site, network, revision)
    return Document(path, JSON, json.dumps(to_json(share), ensure_ascii=False, separators=(",", ":")).encode())


def _url(context: Context, site: Site, short_id: str) -> str:
    return f"{context.settings.server.public_url}{site.name}/shares/{short_id}.json"
