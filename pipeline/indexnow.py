"""IndexNow: search engines are told which addresses are new, changed or gone. The step `hub` carries it.

    lease > what is due > addresses by host > a request a host > settled in portions > ask again

To be told twice harms no search engine, so a run that dies between a request and its settling is simply repeated
(docs/decisions/0022). What an endpoint refuses because of the key, or does not answer, is the whole outlet's trouble:
it fails nobody's delivery, and the circuit decides when to come back.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline import leasing
from pipeline.kit import metrics
from pipeline.kit.http import HttpRefused, HttpUnreachable, retry_after
from pipeline.ledger import deliveries, revisions
from pipeline.ledger.deliveries import GONE, LIVE, Failure, Settled
from pipeline.ledger.outlets import LONGEST_CIRCUIT
from pipeline.model.errors import Permanent, PressrunError, Transient
from pipeline.model.run import Run, Step
from pipeline.model.settings import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pipeline.context import Context
    from pipeline.kit.http import Answer
    from pipeline.leasing import Lease
    from pipeline.ledger.deliveries import Due
    from pipeline.ledger.engine import Tx
    from pipeline.model.settings import IndexNow, Site

LIMIT = 20.0
REQUEST = 8.0  # seconds for a whole request; none begins later than this before the limit
MOST = 10_000  # addresses of one request (indexnow.org/documentation, "Submitting set of URLs"), and articles of one round
TRIAL = 100  # articles of a round at an endpoint that failed last
ROWS = 200  # in one commit
ASKED = 200  # articles in one question to the ledger
SPLITS = 20  # times that a round halves what was refused: enough to find one address among ten thousand
ANSWER_BYTES = 4096
EXCERPT = 300
OK = range(200, 300)
# "Invalid format" and "URLs which don't belong to the host" (indexnow.org/documentation), and too large (RFC 9110 15.5.14): of the
# addresses in a request, and not of the endpoint.
REFUSED = (400, 413, 422)
NO_KEY = 403  # "Key not valid: key not found, or key in the file does not match"
OF_ALL = 1  # addresses in a request that cannot be halved


class _KeyRefused(Transient):
    """The endpoint does not find the key at one host; other hosts may have theirs."""


@dataclass
class _Teller:
    """One run at one endpoint.

    met      address → what it met; None: it was taken
    trouble  what the endpoint met every address with, if it did
    took     whether it took anything in this round
    """

    context: Context
    lease: Lease
    outlet: IndexNow
    met: dict[str, PressrunError | None] = field(default_factory=dict)
    trouble: Transient | None = None
    took: bool = False
    splits: int = SPLITS

    def begins(self) -> bool:
        """Whether there is time for a request."""
        return self.trouble is None and self.context.clock.monotonic() < self.lease.limit - REQUEST


def is_mine(key: str) -> bool:
    """Whether that is the key of an outlet of this kind."""
    return key.partition("/")[2].startswith(f"{Kind.INDEXNOW.value}:")


def run(context: Context, keys: Sequence[str]) -> Run:
    """Tell these endpoints what they were not told yet; one in somebody else's hands is passed over."""

    def bring(lease: Lease, site: Site, name: str) -> int:
        return _bring(_Teller(context, lease, next(one for one in site.indexnow if one.name == name)))

    return leasing.at_each(context, keys, Step.HUB, LIMIT, bring)


def _bring(teller: _Teller) -> int:
    """Everything due that there is time for. After a crash one article a request, so that the neighbours come through."""
    hold = teller.lease.hold
    most = 1 if hold.careful else TRIAL if hold.circuit_failures else MOST
    done = 0
    while True:
        with teller.context.ledger.read() as tx:
            due = deliveries.due(tx, teller.lease.key, most)
            told = _addresses(tx, teller, due)
        done += _round(teller, due, told)
        if len(due) < most or teller.trouble or not (teller.lease.takes_work() and teller.begins()):
            return done


def _addresses(tx: Tx, teller: _Teller, due: Sequence[Due]) -> dict[int, list[str]]:
    """Article → where it stood since the outlet was told of it last, the present address at the end. Nothing for what never was live."""
    found: dict[int, list[str]] = {item.article_id: [] for item in due}
    if teller.outlet.closed:
        return found
    ids = sorted(found)
    for start in range(0, len(ids), ASKED):
        for row in revisions.shown_since(tx, teller.lease.key, ids[start : start + ASKED]):
            found[row.article_id].append(row.url)
    return found


def _round(teller: _Teller, due: Sequence[Due], told: Mapping[int, Sequence[str]]) -> int:
    """Ask once for every host, then write down what came of it."""
    teller.met, teller.took, teller.splits = {}, False, SPLITS
    by_host: dict[str, dict[str, None]] = {}
    for item in due:
        teller.lease.touch(item.article_id)
        for url in told[item.article_id]:
            by_host.setdefault(urlsplit(url).netloc.lower(), {})[url] = None
    for host, urls in by_host.items():
        _tell_host(teller, host, list(urls))
    return _settle(teller, due, told)


def _tell_host(teller: _Teller, host: str, urls: Sequence[str]) -> None:
    """In requests of ten thousand. What is refused because of some address is halved until that one is alone."""
    parts: deque[tuple[Sequence[str], Permanent | None]] = deque((urls[n : n + MOST], None) for n in range(0, len(urls), MOST))
    while parts:
        part, before = parts.popleft()
        error: PressrunError | None = before
        if teller.begins():
            error = _ask(teller, host, part)
        elif before is None or teller.trouble:
            return
        if isinstance(error, Permanent) and error is not before and len(part) > OF_ALL and teller.splits:
            teller.splits -= 1
            half = len(part) // 2
            parts.extend([(part[:half], error), (part[half:], error)])
            continue
        teller.took = teller.took or error is None
        teller.met.update(dict.fromkeys(part, error))
        if isinstance(error, _KeyRefused):
            teller.met.update(dict.fromkeys(urls, error))
            return
        if isinstance(error, Transient):
            teller.trouble = error


def _ask(teller: _Teller, host: str, urls: Sequence[str]) -> PressrunError | None:
    """One request; None where the addresses were taken."""
    endpoint = teller.outlet.endpoint
    body = {"host": host, "key": teller.outlet.key, **_location(teller.outlet, host), "urlList": list(urls)}
    sent = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    try:
        answer = teller.context.http.request("POST", endpoint, headers=headers, body=sent, deadline=REQUEST, max_bytes=ANSWER_BYTES)
    except (HttpRefused, HttpUnreachable) as error:
        return Transient(str(error))
    return None if answer.status in OK else _what(teller, host, urls, answer)


def _location(outlet: IndexNow, host: str) -> dict[str, str]:
    """`keyLocation`, for addresses of the host it stands at; elsewhere the key is looked for at the root."""
    return {"keyLocation": outlet.key_location} if urlsplit(outlet.key_location).netloc.lower() == host else {}


def _what(teller: _Teller, host: str, urls: Sequence[str], answer: Answer) -> PressrunError:
    """What an answer that is no yes means, in a sentence that says what to do about it."""
    outlet = teller.outlet
    said = " ".join("".join(c if c.isprintable() else " " for c in answer.body.decode("utf-8", "replace")).split())[:EXCERPT]
    message = f"{urlsplit(outlet.endpoint).netloc}: {answer.status} {said}".rstrip()
    if answer.status in REFUSED:
        return Permanent(message)
    if answer.status == NO_KEY:
        place = _location(outlet, host).get("keyLocation") or f"{urlsplit(urls[0]).scheme}://{host}/{outlet.key}.txt"
        advice = f"The key is not found: let {place} answer with the key and nothing else. It is tried again by itself."
        return _KeyRefused(f"{message}. {advice}")
    return Transient(message, retry_after(answer, teller.context.clock.now().timestamp()))


def _settle(teller: _Teller, due: Sequence[Due], told: Mapping[int, Sequence[str]]) -> int:
    """Portions of a transaction each; the last one, or the only one, says how the endpoint does, and what was asked for is done."""
    good, bad = [], []
    for item in sorted(due, key=lambda item: item.article_id):
        errors = [teller.met.get(url, teller.trouble or _NOT_BEGUN) for url in told[item.article_id]]
        if not any(errors):
            good.append(item)
        elif worst := _worst(errors):
            bad.append((item, worst))
    if teller.took and teller.lease.hold.circuit_failures:
        with teller.context.ledger.write() as tx:  # before the first failure of this round is written, which is not to be hastened
            teller.lease.hasten(tx)
    rows = [*((item, None) for item in good), *bad]
    portions = [rows[n : n + ROWS] for n in range(0, len(rows), ROWS)] or [[]]
    for portion in portions:
        _write(teller, portion, told, last=portion is portions[-1])
    return len(good)


_NOT_BEGUN = Transient("The round ended before its turn.")


def _worst(errors: Sequence[PressrunError | None]) -> PressrunError | None:
    """What decides over a delivery of several addresses: that some were not asked about, then what may pass, then what is refused."""
    if _NOT_BEGUN in errors:
        return None
    met = [error for error in errors if error is not None]
    return next((error for error in met if isinstance(error, Transient)), met[0])


def _write(teller: _Teller, rows: Sequence[tuple[Due, PressrunError | None]], told: Mapping[int, Sequence[str]], *, last: bool) -> None:
    key, lease = teller.lease.key, teller.lease
    good = [item for item, error in rows if error is None]
    with teller.context.ledger.write() as tx:
        failures = [_failure(teller, item, error, tx.now) for item, error in rows if error is not None]
        deliveries.settle(tx, key, [Settled(d, LIVE if d.present else GONE, (told[d.article_id] or [""])[-1]) for d in good])
        deliveries.fail(tx, key, failures)
        deliveries.record(tx, key, [(d.article_id, 0, "settled", "") for d in good if lease.hold.circuit_failures])
        if last:
            _account(teller, tx)
        lease.guard(tx, suspect=None, **({"held_seq": lease.hold.wanted_seq} if last else {}))
        now = tx.now
    metrics.deliveries.labels(key, "settled").inc(len(good))
    metrics.deliveries.labels(key, "failed").inc(len(failures))
    for item in (item for item in good if not item.again):
        metrics.delivery_seconds.labels(key).observe(max(0.0, (now - item.wanted_at).total_seconds()))
    for answer in sorted({failure.answer for failure in failures}):
        teller.context.log.warning("delivery failed", outlet=key, outcome=answer)


def _account(teller: _Teller, tx: Tx) -> None:
    """Tell the circuit how the endpoint answered in this round; one that takes what is of one host is well."""
    refused = next((error for error in teller.met.values() if isinstance(error, _KeyRefused)), None)
    if teller.trouble is not None:
        teller.lease.failed(tx, asked=min(teller.trouble.retry_after or 0.0, leasing.MOST_PATIENT))
    elif refused is not None and not teller.took:
        teller.lease.failed(tx)
    elif teller.met:
        teller.lease.worked(tx)


def _failure(teller: _Teller, item: Due, error: PressrunError, now: datetime) -> Failure:
    """Refused for good; or the endpoint's trouble, which spends nobody's retries."""
    if isinstance(error, Permanent):
        return Failure(item, "failed", str(error), None)
    alone = isinstance(error, _KeyRefused) and teller.took  # the circuit stays closed for the hosts whose key is found
    back = now + LONGEST_CIRCUIT if alone else leasing.back_at(teller.lease, Kind.INDEXNOW, now, error)
    return Failure(item, "retrying", str(error), back, spends=False)
