"""Standard Webhooks 1.0.0: sign a body, and check that a body was signed by someone who knows the secret.

The verifier is our own because the reference package keeps one secret only, lets malformed headers out as other
errors and accepts time stamps such as " 17 " and "1_7". https://www.standardwebhooks.com, "Verifying signatures".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE = 300  # seconds either way, as the reference libraries have it; the specification names none
SECRET_BYTES = (24, 64)  # least and most, specification, "Signature scheme"
_PREFIX = "whsec_"
_MOST_SIGNATURES = 16  # rotation needs two; each costs one comparison a secret
_MOST_CHARACTERS = 4096
_ID = re.compile(r"[!-\-/-~]{1,200}")  # visible ASCII; a "." would let id and time stamp trade characters
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class BadSignature(Exception):
    """The request is not proven to come from a holder of the secret.

    One message for every cause, so that an answer cannot help an attacker; `reason` is for our own log.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason out of the message."""
        self.reason = reason
        super().__init__("The signature could not be verified.")


def sign(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` value: `v1,<base64>` of the HMAC-SHA256 over `id.timestamp.body`.

    `timestamp` in seconds since the epoch. Raises ValueError for an id or a time stamp no verifier would accept.
    """
    if not _ID.fullmatch(webhook_id) or not _TIMESTAMP.fullmatch(str(timestamp)):
        message = "A webhook id is 1 to 200 visible ASCII characters without a full stop, a time stamp at most 12 digits."
        raise ValueError(message)
    signed = b".".join((webhook_id.encode("ascii"), str(timestamp).encode("ascii"), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode("ascii")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: float, tolerance: int = TOLERANCE) -> str:
    """The `webhook-id`, once one signature matches one of the secrets. Raises BadSignature for everything else.

    headers  names in lower case
    body     the bytes as received, before any decoding
    secrets  all that are valid now; several during a rotation
    now      seconds since the epoch
    """
    if not secrets:
        reason = "no secret configured"
        raise BadSignature(reason)
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(webhook_id):
        reason = "webhook-id missing or malformed"
        raise BadSignature(reason)
    if not _TIMESTAMP.fullmatch(timestamp):
        reason = "webhook-timestamp missing or malformed"
        raise BadSignature(reason)
    if not abs(now - int(timestamp)) <= tolerance:
        reason = f"webhook-timestamp is {int(timestamp) - now:+.0f} s off"
        raise BadSignature(reason)
    _compare(_candidates(headers.get("webhook-signature", "")), webhook_id, timestamp, body, secrets)
    return webhook_id


def _candidates(header: str) -> list[bytes]:
    """The `v1` signatures of the header; other versions are skipped, as the specification demands."""
    if not header.isascii() or len(header) > _MOST_CHARACTERS or header.count(" ") >= _MOST_SIGNATURES:
        reason = "webhook-signature not ASCII or too long"
        raise BadSignature(reason)
    found = [value.encode("ascii") for version, _, value in (part.partition(",") for part in header.split(" ")) if version == "v1"]
    if not found:
        reason = "webhook-signature missing or without v1"
        raise BadSignature(reason)
    return found


def _compare(candidates: Sequence[bytes], webhook_id: str, timestamp: str, body: bytes, secrets: Sequence[bytes]) -> None:
    """Compare everything with everything, so that time tells neither which secret matched nor how far."""
    signed = b".".join((webhook_id.encode("ascii"), timestamp.encode("ascii"), body))
    matched = False
    for secret in secrets:
        wanted = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256))
        for candidate in candidates:
            matched |= hmac.compare_digest(wanted, candidate)
    if not matched:
        reason = "no signature matches a secret"
        raise BadSignature(reason)


def parse_secret(text: str) -> bytes:
    """The key bytes of `whsec_<base64>`. Raises ValueError with a sentence that does not repeat the secret."""
    encoded = text.removeprefix(_PREFIX)
    if encoded == text:
        message = "A webhook secret begins with whsec_."
        raise ValueError(message)
    try:
        secret = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        secret = b""
    if base64.b64encode(secret).decode("ascii") != encoded or not secret:  # the decoder overlooks padding too many
        message = "After whsec_ a webhook secret is base64 (A-Z, a-z, 0-9, +, /, and = at the end); this one is not."
        raise ValueError(message)
    _check_length(secret)
    return secret


def new_secret(random_bytes: bytes) -> str:
    """`whsec_<base64>` of 24 to 64 random bytes. Raises ValueError for fewer or more."""
    _check_length(random_bytes)
    return _PREFIX + base64.b64encode(random_bytes).decode("ascii")


def _check_length(secret: bytes) -> None:
    least, most = SECRET_BYTES
    if not least <= len(secret) <= most:
        message = f"A webhook secret is {least} to {most} bytes long; this one has {len(secret)}."
        raise ValueError(message)
