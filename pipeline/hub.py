"""Step 3b: a changed topic → its WebSub subscribers and other hubs, addresses → IndexNow; and what was asked of the hub, verified.

claim > what the topics say > requests, each in a thread of its own > settled together as they end > ask again

A run begins what is due and does not wait for who is slow: that one settles itself when it answers. So the keys of its nudges only
say why somebody called; whoever comes takes what is due, whatever the topic, the quick ones first (decision 17).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from pipeline import building, callbacks, indexnow
from pipeline.callbacks import Outcome, Text, What
from pipeline.kit import limits, metrics, websub
from pipeline.kit.http import HttpRefused, HttpUnreachable
from pipeline.kit.together import Together
from pipeline.ledger import subscription_claims, subscription_outcomes, topics
from pipeline.ledger.subscriptions import DENIED, HUB
from pipeline.model.errors import PressrunError, Unavailable
from pipeline.model.run import Nudge, Run, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx
    from pipeline.ledger.subscription_claims import Claim
    from pipeline.ledger.topics import Fetch

TAKES_WORK = 1.0  # seconds in which a run begins new requests
LATE = 2.0  # seconds after the claim in which its request must have begun: it ends before the claim does
LOOK = 0.05
AHEAD = 2000  # rows whose order is worked out at once
TOPIC_BYTES = 2_000_000  # of another publisher's topic; as long as a feed of ours may be
LOOKS, PAUSE = 10, 0.01
ASKING, FETCHING = 64, 32  # questions to callbacks, and to other publishers, under way in one process: strangers choose how many there are
AT_HOST = 32  # tellings at one host under way in one process: when it hangs, the others have theirs still
STRUCK, ASKS, FETCHES, AT = "struck", "asks", "fetches", "at "


def run(context: Context, keys: Sequence[str] = ()) -> Run:
    """Tell the IndexNow outlets among `keys`; else begin whatever the hub has to do now: topics are worked from rows."""
    if told := [key for key in keys if indexnow.is_mine(key)]:
        return indexnow.run(context, told)
    shift = _Shift(context)
    ends = context.clock.monotonic() + TAKES_WORK
    begun, more = 0, True
    while more and context.clock.monotonic() < ends:
        taken = shift.begin()
        begun += taken
        if not taken:
            more = shift.may_go_on()
    context.crew.see_off()
    more = shift.has_more(any_begun=begun > 0)
    return Run((Nudge(Step.HUB),) if more else (), begun, int(more))


class _Shift:
    """One run: the order in which those due come, the texts it has read, and those who settle together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tried = len(context.settings.retries.hub)
        self._order: dict[int, str] = {}
        self._held_back = False
        self._texts: dict[str, tuple[int, Text | None]] = {}
        self._settling: Together[Outcome, None] = Together(partial(_settle, context, self._tried))

    def may_go_on(self) -> bool:
        """Wait until somebody has answered; whether there may be something to begin then."""
        crew = self._context.crew
        if not crew.room() or crew.marked(STRUCK, young=True):
            crew.wait(LOOK)
            return True
        return self._held_back and crew.wait(TAKES_WORK)

    def has_more(self, *, any_begun: bool) -> bool:
        """Whether the next run would find something to begin, at once, or after who answers as soon as others did in this one."""
        if not self._context.crew.room():
            return False
        with self._context.ledger.read() as tx:
            fetches = topics.is_due(tx) and self._left(FETCHES, FETCHING) > 0
            return fetches or bool(self._waiting(tx, 1)) or (any_begun and self._is_held_back(tx))

    def begin(self) -> int:
        """Begin as many requests as there is room for; answers how many."""
        crew, context = self._context.crew, self._context
        room = crew.room()
        if not room:
            return 0
        some = self._next(room)
        if not some:
            with context.ledger.read() as tx:
                self._order = self._waiting(tx, AHEAD)
                self._held_back = not self._order and self._is_held_back(tx)
            some = self._next(room)
        with context.ledger.write() as tx:
            asks = self._left(ASKS, ASKING)
            claims = subscription_claims.claim(tx, context.me(), some, tried=self._tried, asks=asks) if some else []
            struck = [] if some or crew.marked(STRUCK, young=True) else self._struck(tx)
            if not some:
                subscription_claims.note_told(tx, self._tried)
            fetches = topics.claim_fetches(tx, context.me(), min(room - len(claims), self._left(FETCHES, FETCHING)))
        claimed = time.monotonic()
        for claim in claims:
            crew.begin(partial(self._do, claim, self._text(claim), claimed), *_marks(claim))
        for claim in struck:
            crew.begin(partial(self._do, claim, self._text(claim), claimed), STRUCK, *_marks(claim))
        for fetch in fetches:
            crew.begin(partial(_fetch, context, fetch), FETCHES)
        return len(some) + len(struck) + len(fetches)

    def _next(self, room: int) -> list[int]:
        """The next so many; who is at a host with enough under way stays where he is."""
        under_way = self._context.crew.marks()
        some: list[int] = []
        for row, host in self._order.items():
            if len(some) == room:
                break
            if not host or under_way[AT + host] < AT_HOST:
                under_way[AT + host] += 1
                some.append(row)
        for row in some:
            del self._order[row]
        return some

    def _waiting(self, tx: Tx, most: int) -> dict[int, str]:
        """Who has something to do now. Half of those under way are kept for the quick; who is asked something is no part of that crowd."""
        crew = self._context.crew
        slow = not crew.is_crowded(ASKS, FETCHES)
        full = {mark.removeprefix(AT) for mark, number in crew.marks().items() if mark.startswith(AT) and number >= AT_HOST}
        return subscription_claims.waiting(tx, most, tried=self._tried, slow=slow, asks=self._left(ASKS, ASKING), full=full)

    def _is_held_back(self, tx: Tx) -> bool:
        """Whether somebody waits only for others at the host, or for others who are asked something."""
        return bool(subscription_claims.waiting(tx, 1, tried=self._tried, slow=not self._context.crew.is_crowded(ASKS, FETCHES)))

    def _left(self, mark: str, most: int) -> int:
        """How many more with this mark may be begun."""
        return max(0, most - self._context.crew.marked(mark))

    def _struck(self, tx: Tx) -> Sequence[Claim]:
        return subscription_claims.claim_struck(tx, self._context.me(), tried=self._tried, alone=not self._context.crew.marked(STRUCK))

    def _text(self, claim: Claim) -> Text | None:
        """What this one is to be told, read once for all of its topic; None where nothing is told, or nothing consistent stands."""
        if claim.asked or claim.kind == HUB:
            return None
        seq, kept = self._texts.get(claim.topic, (0, None))
        if seq < claim.seq:
            # Once one is not as it should be in spite of waiting, the next ones are not waited for: many may be damaged alike.
            looks = LOOKS if all(text for _, text in self._texts.values()) else 1
            kept = _read(self._context, claim.topic, looks)
            self._texts[claim.topic] = (kept.seq if kept else claim.seq, kept)
        return kept

    def _do(self, claim: Claim, text: Text | None, claimed: float) -> None:
        began = time.monotonic()
        try:
            outcome = callbacks.outcome(self._context, claim, text, late=began - claimed > LATE)
        except Exception as error:  # noqa: BLE001 - one bad subscriber never stops the others
            limits.let_pass(error)
            outcome = Outcome(claim, What.REFUSED if claim.asked else What.FAILED, f"{type(error).__name__}")
        try:
            self._settling.do(replace(outcome, milliseconds=max(1, int(1000 * (time.monotonic() - began)))))
        except PressrunError as error:
            # Its claim ends in a moment: whoever finds it then is careful, and asks or tells once more.
            self._context.log.warning("not settled", topic=claim.topic, outcome=str(error))


def _marks(claim: Claim) -> tuple[str, ...]:
    return (ASKS if claim.asked else AT + claim.host,)


def _read(context: Context, url: str, looks: int) -> Text | None:
    """The stored document that its row speaks of. A feed is renamed in first and settled a moment later: look again for that moment."""
    for look in range(looks):
        if look:
            context.clock.sleep(PAUSE)
        with context.ledger.read() as tx:
            row = topics.standing(tx, url)
        if row is None:
            return None
        try:
            body = context.origin(row.outlet).get(row.path) if row.outlet else row.body
        except OSError:
            continue
        if body is not None and hashlib.sha256(body).hexdigest() == row.wanted_sha:
            return Text(row.seq, body, row.media_type, websub.links(_hubs(context, row.outlet), url))
    return None


def _hubs(context: Context, outlet: str) -> Sequence[str]:
    """The hubs that a topic names: those of its site, or only ours."""
    try:
        return building.hub_urls(context.outlet(outlet)[0])
    except KeyError:
        return (context.settings.hub_url,)


def _fetch(context: Context, fetch: Fetch) -> None:
    """Another publisher's topic, as it stands now (sections 6 and 7: what is told is the topic's content)."""
    answer, said = None, ""
    try:
        answer = context.http.request("GET", fetch.url, deadline=callbacks.REQUEST, max_bytes=TOPIC_BYTES)
        good = answer.status in callbacks.OK and answer.body and not answer.truncated and "content-encoding" not in answer.headers
        said = "" if good else f"{callbacks.said(answer)}, {len(answer.body)} bytes{' and more' if answer.truncated else ''}"
    except (HttpRefused, HttpUnreachable) as error:
        said = str(error)
    metrics.hub_requests.labels("fetch", "failed" if said else "fetched").inc()
    try:
        with context.ledger.write() as tx:
            if said or answer is None:
                topics.not_fetched(tx, [fetch])
            else:
                media_type = answer.headers.get("content-type", "application/octet-stream")  # RFC 9110 section 8.3: what is not known
                topics.fetched(tx, [(fetch, hashlib.sha256(answer.body).hexdigest(), media_type, answer.body)])
    except PressrunError as error:
        said = str(error)
    if said:
        context.log.warning("topic not fetched", topic=fetch.url, outcome=said)


def _settle(context: Context, tried: int, outcomes: Sequence[Outcome]) -> Sequence[None]:
    """Write down what came of these, in one transaction; tried again for a moment, for what was said cannot be taken back."""
    for last in (False, False, True):
        try:
            _write(context, tried, outcomes)
        except Unavailable:
            if last:
                raise
        else:
            break
    for outcome in outcomes:
        _count(context, outcome)
    return [None] * len(outcomes)


def _write(context: Context, tried: int, outcomes: Sequence[Outcome]) -> None:
    def of(*kinds: What) -> list[Outcome]:
        return [outcome for outcome in outcomes if outcome.what in kinds]

    again: Callable[[Outcome, datetime], datetime] = partial(_again, context)
    # What a subscriber was told it has must still be so when the power has failed.
    with context.ledger.write(durable=bool(of(What.VERIFIED))) as tx:
        subscription_outcomes.told(tx, [(o.claim, o.milliseconds, o.said) for o in of(What.TOLD)])
        subscription_outcomes.failed(tx, [(o.claim, o.milliseconds, o.said, again(o, tx.now)) for o in of(What.FAILED)], tried)
        stops = [o for o in of(What.STOPS) if not o.claim.asked]
        subscription_outcomes.failed(tx, [(replace(o.claim, attempts=tried), 0, o.said, again(o, tx.now)) for o in stops], tried)
        subscription_outcomes.put_back(tx, [o.claim for o in of(What.PUT_BACK)])
        subscription_outcomes.ended(tx, [o.claim for o in of(What.GONE)])
        subscription_outcomes.verified(tx, [o.claim for o in of(What.VERIFIED)], context.settings.hub)
        subscription_outcomes.refused(tx, [(o.claim, o.said) for o in of(What.REFUSED, What.STOPS) if o.claim.asked])
        subscription_outcomes.ask_again(tx, [(o.claim, o.said, tx.now + timedelta(seconds=o.wait)) for o in of(What.ASK_AGAIN)])


def _again(context: Context, outcome: Outcome, now: datetime) -> datetime:
    """When to try next: full list in the configuration, ±20 % so that subscribers do not march in step; never sooner than asked."""
    delays = context.settings.retries.hub
    delay = delays[min(outcome.claim.attempts, len(delays) - 1)] * (0.8 + 0.4 * context.random.random())
    return now + timedelta(seconds=max(delay, outcome.wait))


def _count(context: Context, outcome: Outcome) -> None:
    claim = outcome.claim
    kind = ("deny" if claim.asked == DENIED else "verify") if claim.asked else ("ping" if claim.kind == HUB else "deliver")
    metrics.hub_requests.labels(kind, outcome.what.value).inc()
    if outcome.what is What.TOLD and not claim.attempts and claim.changed_at is not None:
        metrics.hub_seconds.observe(max(0.0, (context.ledger.clock.now() - claim.changed_at).total_seconds()))
    if outcome.what is What.STOPS:
        metrics.alerts.labels("stops its worker").inc()
        context.log.error("subscriber left out", topic=claim.topic, outcome=outcome.said)
    elif outcome.what in {What.REFUSED, What.GONE}:
        context.log.info("subscription", topic=claim.topic, asked=claim.asked, outcome=outcome.said)
