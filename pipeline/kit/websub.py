"""The words of W3C WebSub (https://www.w3.org/TR/websub/, 23 January 2018) as they go over the wire.

What a hub is asked, and what it says to subscribers and other hubs. Whether anything of it is allowed, and when, is not known here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

FORM = "application/x-www-form-urlencoded"
SECRET_BYTES = 200  # section 5.1: "This parameter MUST be less than 200 bytes in length"
URL_CHARACTERS = 2000
_FIELDS = 64
_DIGITS = re.compile(r"[0-9]+")  # section 5.1: "a positive decimal integer"
_LONGEST = 10**12  # seconds; whoever asks for more gets what is granted at most
_NOT_IN_URL = re.compile(r"[^!-~]")  # no space, no control character, no CR or LF: a URL is ASCII (RFC 3986 section 2)


class BadRequest(ValueError):
    """What was asked of the hub cannot be understood; the message says why in a sentence (section 5.1: SHOULD be plain text)."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A request to subscribe or to unsubscribe. `lease_seconds` is None where none was asked for."""

    mode: str
    topic: str
    callback: str
    lease_seconds: int | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Publish:
    """A publisher says that these topics changed."""

    topics: tuple[str, ...]


def parse(body: bytes) -> Subscription | Publish:
    """What a form asks for. Parameters that are not known are ignored, as section 5.1 demands. Raises BadRequest."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS)
    except ValueError:
        message = f"The body is no form of at most {_FIELDS} fields in UTF-8."
        raise BadRequest(message) from None
    mode = _one(fields, "hub.mode")
    if mode == "publish":
        return _publish(fields)
    if mode not in {"subscribe", "unsubscribe"}:
        message = "hub.mode must be subscribe, unsubscribe or publish."
        raise BadRequest(message)
    return Subscription(
        mode,
        _url("hub.topic", _one(fields, "hub.topic")),
        _url("hub.callback", _one(fields, "hub.callback")),
        _lease(_one(fields, "hub.lease_seconds", needed=False)),
        _secret(_one(fields, "hub.secret", needed=False)),
    )


def _one(fields: Sequence[tuple[str, str]], name: str, *, needed: bool = True) -> str:
    found = [value for key, value in fields if key == name]
    if len(found) > 1 or (needed and not (found and found[0])):
        message = f"{name} must be given, and once." if needed else f"{name} may be given once."
        raise BadRequest(message)
    return found[0] if found else ""


def _publish(fields: Sequence[tuple[str, str]]) -> Publish:
    """`hub.url` is what publishers usually send, `hub.topic` what websub.rocks does: either will do, several times."""
    topics = tuple(dict.fromkeys(value for key, value in fields if key in {"hub.url", "hub.topic"} and value))
    if not topics:
        message = "hub.url must name the topic that changed."
        raise BadRequest(message)
    return Publish(tuple(_url("hub.url", topic) for topic in topics))


def _url(name: str, text: str) -> str:
    """An absolute http or https URL without user name or fragment. Raises BadRequest."""
    parts = _parts(text)
    if parts is None or len(text) > URL_CHARACTERS or _NOT_IN_URL.search(text):
        message = f"{name} must be an http or https URL of at most {URL_CHARACTERS} characters, all of them ASCII."
    elif "@" in parts.netloc:
        message = f"{name} must be without user name and password."
    elif "#" in text:
        message = f"{name} must be without a fragment: it is never sent."
    else:
        return text
    raise BadRequest(message)


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and host else None


def _lease(text: str) -> int | None:
    if not text:
        return None
    digits = text.lstrip("0")
    if not _DIGITS.fullmatch(text) or not digits:
        message = "hub.lease_seconds must be a positive number of seconds."
        raise BadRequest(message)
    return int(digits) if len(digits) < len(str(_LONGEST)) else _LONGEST


def _secret(text: str) -> str:
    if len(text.encode()) >= SECRET_BYTES:
        message = f"hub.secret must have less than {SECRET_BYTES} bytes."
        raise BadRequest(message)
    return text


def verification_url(callback: str, mode: str, topic: str, challenge: str, lease_seconds: int) -> str:
    """Where a subscriber is asked whether it meant it (section 5.3.1): its own query stays and comes first."""
    asked = {"hub.mode": mode, "hub.topic": topic, "hub.challenge": challenge}
    return _with(callback, asked | ({"hub.lease_seconds": str(lease_seconds)} if mode == "subscribe" else {}))


def denial_url(callback: str, topic: str, reason: str) -> str:
    """Where a subscriber is told that there is no subscription, or no longer (section 5.2)."""
    return _with(callback, {"hub.mode": "denied", "hub.topic": topic, "hub.reason": reason})


def _with(callback: str, asked: dict[str, str]) -> str:
    return f"{callback}{'&' if '?' in callback else '?'}{urlencode(asked)}"


def links(hubs: Sequence[str], topic: str) -> str:
    """The one `Link` header of a topic and of its distribution (sections 4 and 7): every hub, and the topic as self."""
    return ", ".join([*(f'<{hub}>; rel="hub"' for hub in hubs), f'<{topic}>; rel="self"'])


def signature(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature` (section 7.1), by sha256."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def publication(topic: str) -> bytes:
    """The form that tells another hub of a change: with both names that hubs look for the topic under."""
    return urlencode({"hub.mode": "publish", "hub.url": topic, "hub.topic": topic}).encode()
