"""One request of the hub to one callback: a claim → what it is asked or told → what came of it.

Nothing is written here; whoever holds the claim settles it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.kit import metrics, websub
from pipeline.kit.http import HttpRefused, HttpUnreachable, retry_after
from pipeline.kit.sealing import Unsealable
from pipeline.ledger.subscription_claims import MOST_STRIKES
from pipeline.ledger.subscriptions import DENIED, HUB

if TYPE_CHECKING:
    from pipeline.context import Context
    from pipeline.kit.http import Answer
    from pipeline.ledger.subscription_claims import Claim

REQUEST = 8.0  # seconds for a whole request
ANSWER_BYTES = 4096
VERIFY_AGAIN = (5, 30)  # seconds after which a callback that does not answer is asked once more
MOST_PATIENT = 3600.0  # seconds that a subscriber may ask for with Retry-After
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


def outcome(context: Context, claim: Claim, text: Text | None, *, late: bool) -> Outcome:
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
        return Outcome(claim, What.TOLD, said(answer))
    if answer.status == GONE and claim.kind != HUB:
        return Outcome(claim, What.GONE, said(answer))
    wait = retry_after(answer, context.clock.now().timestamp()) or 0.0
    return Outcome(claim, What.FAILED, said(answer), min(wait, MOST_PATIENT))


def said(answer: Answer) -> str:
    """An answer in words of our own."""
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
    return Outcome(claim, What.GONE, said(answer)) if claim.asked == DENIED else _meant(claim, answer, challenge)


def _meant(claim: Claim, answer: Answer, challenge: str) -> Outcome:
    """Whether a callback confirmed what was asked for: 2xx with the challenge, and nothing else, counts (section 5.3.1)."""
    if answer.status >= SERVER_ERROR or answer.status in BUSY:
        return _unanswered(claim, said(answer))
    if answer.status not in OK:
        return Outcome(claim, What.REFUSED, said(answer))
    if answer.body != challenge.encode():
        return Outcome(claim, What.REFUSED, "it did not repeat the challenge, and nothing but the challenge")
    return Outcome(claim, What.VERIFIED)


def _unanswered(claim: Claim, said: str) -> Outcome:
    if claim.attempts < len(VERIFY_AGAIN):
        return Outcome(claim, What.ASK_AGAIN, said, VERIFY_AGAIN[claim.attempts])
    return Outcome(claim, What.GONE if claim.asked == DENIED else What.REFUSED, said)
