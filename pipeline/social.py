"""Step 3c: the deliveries of a network → share payloads, composed and stored. Nothing is posted by this version.

lease > what is due > compose > store in the ledger > settle > ask again
"""

from __future__ import annotations

import json
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
BATCH = 100
JSON = "application/json"


def run(context: Context, keys: Sequence[str]) -> Run:
    """Bring these networks' payloads up to date; one in somebody else's hands is passed over."""

    def bring(lease: Lease, site: Site, name: str) -> int:
        return _bring(context, lease, site, next(n for n in site.networks if n.name == name))

    return leasing.at_each(context, keys, Step.SOCIAL, LIMIT, bring)


def _bring(context: Context, lease: Lease, site: Site, network: Network) -> int:
    done, first = 0, True
    while first or lease.takes_work():
        with context.ledger.read() as tx:
            due = deliveries.due(tx, lease.key, 1 if lease.hold.careful else BATCH)
            read = building.read(context, tx, {d.wanted for d in due})
        if not due and not first:
            break
        _batch(context, lease, site, network, due, read)
        done += len(due)
        if len(due) < BATCH and not lease.hold.careful:
            break
        first = False
    return done


def _batch(context: Context, lease: Lease, site: Site, network: Network, due: Sequence[Due], read: Mapping[int, Revision]) -> None:
    made, bad = [], []
    for item in due:
        lease.touch(item.article_id)
        try:
            document = _document(context, site, network, item, read[item.wanted])
        except Exception as error:  # noqa: BLE001 - one bad article never stops its neighbours
            limits.let_pass(error)
            bad.append(Failure(item, "failed", f"It could not be composed: {type(error).__name__}: {error}", None))
            continue
        made.append((item, Stored(document, item.live_at, item.article_id, item.number, inline=True)))
    with context.ledger.write() as tx:
        documents.put(tx, lease.key, [stored for _, stored in made])
        good = [Settled(item, LIVE if item.present else GONE, _url(context, site, read[item.wanted].short_id)) for item, _ in made]
        deliveries.settle(tx, lease.key, good)
        deliveries.fail(tx, lease.key, bad)
        lease.guard(tx, held_seq=lease.hold.wanted_seq, suspect=None)  # the outlet's row last, as in a plan
        now = tx.now
    metrics.deliveries.labels(lease.key, "settled").inc(len(good))
    metrics.deliveries.labels(lease.key, "failed").inc(len(bad))
    for settled in (s for s in good if not s.due.again):
        metrics.delivery_seconds.labels(lease.key).observe(max(0.0, (now - settled.due.wanted_at).total_seconds()))
    for failure in bad:
        context.log.error("delivery failed", outlet=lease.key, article=failure.due.article_id, outcome=failure.answer)


def _document(context: Context, site: Site, network: Network, due: Due, revision: Revision) -> Document:
    path = f"{revision.short_id}.json"
    if not due.present:
        return Document(path, JSON, b"", DocumentStatus.GONE)
    share = building.share_of(context, site, network, revision)
    return Document(path, JSON, json.dumps(to_json(share), ensure_ascii=False, separators=(",", ":")).encode())


def _url(context: Context, site: Site, short_id: str) -> str:
    return f"{context.settings.server.public_url}{site.name}/shares/{short_id}.json"
