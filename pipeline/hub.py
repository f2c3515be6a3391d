"""Step 3b: a changed topic → its WebSub subscribers and other hubs, addresses → IndexNow; and what was asked of the hub, verified.

claim > what the topics say > requests, each in a thread of its own > settled together as they end > ask again

A run begins what is due and does not wait for who is slow: that one settles itself when it answers. So the keys of its nudges only
say why somebody called; whoever comes takes what is due, whatever the topic, the quick ones first (decision 17).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from pipeline import building, indexnow
from pipeline.kit import limits, metrics, websub
from pipeline.kit.http import HttpRefused, HttpUnreachable, retry_after
from pipeline.kit.sealing import Unsealable
from pipeline.kit.together import Together
from pipeline.ledger import subscriptions, topics
from pipeline.ledger.subscriptions import DENIED, HUB, MOST_STRIKES
from pipeline.model.errors import PressrunError, Unavailable
from pipeline.model.run import Nudge, Run, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pipeline.context import Context
    from pipeline.kit.http import Answer
    from pipeline.ledger.engine import Tx
    from pipeline.ledger.subscriptions import Claim
    from pipeline.ledger.topics import Fetch

TAKES_WORK = 1.0  # seconds in which a run begins new requests
REQUEST = 8.0  # seconds for a whole request
LATE = 2.0  # seconds after the claim in which its request must have begun: it ends before the claim does
LOOK = 0.05
AHEAD = 2000  # rows whose order is worked out at once
ANSWER_BYTES = 4096
TOPIC_BYTES = 2_000_000  # of another publisher's topic; as long as a feed of ours may be
VERIFY_AGAIN = (5, 30)  # seconds after which a callback that does not answer is asked once more
MOST_PATIENT = 3600.0  # seconds that a subscriber may ask for with Retry-After
LOOKS, PAUSE = 10, 0.01
STRUCK = "struck"
OK, GONE, SERVER_ERROR = range(200, 300), 410, 500
BUSY = (408, 425, 429)


class What(StrEnum):
    """What came of a request; also the metric's label."""

    TOLD = "told"
    FAILED = "failed"
    GONE = "gone"
    PUT_BACK = "put back"
    VERIFIED = "verified"
    REFUSED = "refused"
    ASK_AGAIN = "ask again"
    STOPS = "stops its worker"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one claim. `said` is what the callback answered, in our words; `wait` what it asked for in seconds."""

    claim: Claim
    what: What
    said: str = ""
    wait: float = 0.0
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What the subscribers of a topic should hold."""

    seq: int
    body: bytes = field(repr=False)
    media_type: str
    links: str


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
        if not taken and (more := shift.may_go_on()):
            context.crew.wait(LOOK)
    context.crew.see_off()
    more = shift.has_more()
    return Run((Nudge(Step.HUB),) if more else (), begun, int(more))


class _Shift:
    """One run: the order in which those due come, the texts it has read, and those who settle together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tried = len(context.settings.retries.hub)
        self._order: list[int] = []
        self._texts: dict[str, Text | None] = {}
        self._settling: Together[Outcome, None] = Together(partial(_settle, context, self._tried))

    def may_go_on(self) -> bool:
        """Whether there may be something to begin once somebody has answered."""
        crew = self._context.crew
        return not crew.room() or crew.marked(STRUCK, young=True) > 0

    def has_more(self) -> bool:
        """Whether the next run would find something to begin at once."""
        if not self._context.crew.room():
            return False
        with self._context.ledger.read() as tx:
            return topics.is_due(tx) or bool(subscriptions.waiting(tx, 1, tried=self._tried, slow=not self._context.crew.is_crowded()))

    def begin(self) -> int:
        """Begin as many requests as there is room for; answers how many."""
        crew, context = self._context.crew, self._context
        room = crew.room()
        if not room:
            return 0
        if not self._order:
            with context.ledger.read() as tx:
                self._order = subscriptions.waiting(tx, AHEAD, tried=self._tried, slow=not crew.is_crowded())
        some, self._order = self._order[:room], self._order[room:]
        with context.ledger.write() as tx:
            claims = subscriptions.claim(tx, context.me(), some, tried=self._tried) if some else []
            struck = [] if some or crew.marked(STRUCK, young=True) else self._struck(tx)
            if not some:
                subscriptions.note_told(tx, self._tried)
            fetches = topics.claim_fetches(tx, context.me(), room - len(claims))
        claimed = time.monotonic()
        for claim in claims:
            crew.begin(partial(self._do, claim, self._text(claim), claimed))
        for claim in struck:
            crew.begin(partial(self._do, claim, self._text(claim), claimed), STRUCK)
        for fetch in fetches:
            crew.begin(partial(_fetch, context, fetch))
        return len(some) + len(struck) + len(fetches)

    def _struck(self, tx: Tx) -> Sequence[Claim]:
        return subscriptions.claim_struck(tx, self._context.me(), tried=self._tried, alone=not self._context.crew.marked(STRUCK))

    def _text(self, claim: Claim) -> Text | None:
        """What this one is to be told, read once for all of its topic; None where nothing is told, or nothing consistent stands."""
        if claim.asked or claim.kind == HUB:
            return None
        kept = self._texts.get(claim.topic)
        if kept is None or kept.seq < claim.seq:
            kept = self._texts[claim.topic] = _read(self._context, claim.topic)
        return kept

    def _do(self, claim: Claim, text: Text | None, claimed: float) -> None:
        began = time.monotonic()
        try:
            outcome = _outcome(self._context, claim, text, late=began - claimed > LATE)
        except Exception as error:  # noqa: BLE001 - one bad subscriber never stops the others
            limits.let_pass(error)
            outcome = Outcome(claim, What.REFUSED if claim.asked else What.FAILED, f"{type(error).__name__}")
        try:
            self._settling.do(replace(outcome, milliseconds=int(1000 * (time.monotonic() - began))))
        except PressrunError as error:
            # Its claim ends in a moment: whoever finds it then is careful, and asks or tells once more.
            self._context.log.warning("not settled", topic=claim.topic, outcome=str(error))


def _read(context: Context, url: str) -> Text | None:
    """The stored document that its row speaks of. A feed is renamed in first and settled a moment later: look again for that moment."""
    for look in range(LOOKS):
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


def _outcome(context: Context, claim: Claim, text: Text | None, *, late: bool) -> Outcome:
    """Ask or tell one callback whatever is to be asked or told."""
    if claim.strikes >= MOST_STRIKES:
        return Outcome(claim, What.STOPS, What.STOPS.value)
    if late:  # this process was held up: the claim might end before the request does
        return Outcome(claim, What.PUT_BACK)
    if claim.asked:
        return _ask(context, claim)
    if claim.kind == HUB:
        return _tell_hub(context, claim)
    return _tell(context, claim, text) if text is not None else Outcome(claim, What.PUT_BACK)


def _tell(context: Context, claim: Claim, text: Text) -> Outcome:
    """Content distribution (W3C WebSub section 7): the topic's bytes, its media type, and who signs."""
    headers = {"Content-Type": text.media_type, "Link": text.links}
    if claim.secret:
        try:
            headers["X-Hub-Signature"] = websub.signature(context.sealer.open(claim.secret), text.body)
        except Unsealable as error:  # never unsigned: its subscriber would have to throw it away
            metrics.alerts.labels("secret unreadable").inc()
            context.log.error("subscriber not told", topic=claim.topic, outcome=str(error))  # noqa: TRY400 - its words say all
            return Outcome(claim, What.FAILED, f"its secret cannot be read: {error}")
    return replace(_posted(context, claim, headers, text.body, own=False), claim=replace(claim, seq=text.seq))


def _tell_hub(context: Context, claim: Claim) -> Outcome:
    """Another hub, which comes and looks for itself."""
    return _posted(context, claim, {"Content-Type": websub.FORM}, websub.publication(claim.topic), own=True)


def _posted(context: Context, claim: Claim, headers: dict[str, str], body: bytes, *, own: bool) -> Outcome:
    try:
        answer = context.http.request(
            "POST", claim.callback, headers=headers, body=body, deadline=REQUEST, max_bytes=ANSWER_BYTES, allow_private=own
        )
    except (HttpRefused, HttpUnreachable) as error:
        return Outcome(claim, What.FAILED, str(error))
    if answer.status in OK:
        return Outcome(claim, What.TOLD, _said(answer))
    if answer.status == GONE and claim.kind != HUB:
        return Outcome(claim, What.GONE, _said(answer))
    wait = retry_after(answer, context.clock.now().timestamp()) or 0.0
    return Outcome(claim, What.FAILED, _said(answer), min(wait, MOST_PATIENT))


def _said(answer: Answer) -> str:
    moved = " and leads elsewhere, where nobody is asked" if answer.status // 100 == 3 else ""  # noqa: PLR2004 - redirects
    return f"it answered {answer.status}{moved}"


def _ask(context: Context, claim: Claim) -> Outcome:
    """Verification of intent, or word of a denial (sections 5.3 and 5.2)."""
    challenge = secrets.token_urlsafe(32)
    if claim.asked == DENIED:
        url = websub.denial_url(claim.callback, claim.topic, claim.reason)
    else:
        url = websub.verification_url(claim.callback, claim.asked, claim.topic, challenge, claim.asked_lease)
    try:
        answer = context.http.request("GET", url, deadline=REQUEST, max_bytes=ANSWER_BYTES)
    except HttpRefused as error:
        return Outcome(claim, What.GONE if claim.asked == DENIED else What.REFUSED, str(error))
    except HttpUnreachable as error:
        return _unanswered(claim, str(error))
    return Outcome(claim, What.GONE, _said(answer)) if claim.asked == DENIED else _meant(claim, answer, challenge)


def _meant(claim: Claim, answer: Answer, challenge: str) -> Outcome:
    """Whether a callback confirmed what was asked for: 2xx with the challenge, and nothing else, counts (section 5.3.1)."""
    if answer.status >= SERVER_ERROR or answer.status in BUSY:
        return _unanswered(claim, _said(answer))
    if answer.status not in OK:
        return Outcome(claim, What.REFUSED, _said(answer))
    if answer.body != challenge.encode():
        return Outcome(claim, What.REFUSED, "it did not repeat the challenge, and nothing but the challenge")
    return Outcome(claim, What.VERIFIED)


def _unanswered(claim: Claim, said: str) -> Outcome:
    if claim.attempts < len(VERIFY_AGAIN):
        return Outcome(claim, What.ASK_AGAIN, said, VERIFY_AGAIN[claim.attempts])
    return Outcome(claim, What.GONE if claim.asked == DENIED else What.REFUSED, said)


def _fetch(context: Context, fetch: Fetch) -> None:
    """Another publisher's topic, as it stands now (sections 6 and 7: what is told is the topic's content)."""
    answer, said = None, ""
    try:
        answer = context.http.request("GET", fetch.url, deadline=REQUEST, max_bytes=TOPIC_BYTES)
        good = answer.status in OK and answer.body and not answer.truncated and "content-encoding" not in answer.headers
        said = "" if good else f"{_said(answer)}, {len(answer.body)} bytes{' and more' if answer.truncated else ''}"
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
        subscriptions.told(tx, [(o.claim, o.milliseconds, o.said) for o in of(What.TOLD)])
        subscriptions.failed(tx, [(o.claim, o.milliseconds, o.said, again(o, tx.now)) for o in of(What.FAILED)], tried)
        stops = [o for o in of(What.STOPS) if not o.claim.asked]
        subscriptions.failed(tx, [(replace(o.claim, attempts=tried), 0, o.said, again(o, tx.now)) for o in stops], tried)
        subscriptions.put_back(tx, [o.claim for o in of(What.PUT_BACK)])
        subscriptions.ended(tx, [o.claim for o in of(What.GONE)])
        subscriptions.verified(tx, [o.claim for o in of(What.VERIFIED)])
        subscriptions.refused(tx, [(o.claim, o.said) for o in of(What.REFUSED, What.STOPS) if o.claim.asked])
        subscriptions.ask_again(tx, [(o.claim, o.said, tx.now + timedelta(seconds=o.wait)) for o in of(What.ASK_AGAIN)])


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
