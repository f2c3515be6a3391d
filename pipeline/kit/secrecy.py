"""Texts without the secrets in them: what a peer answers or a library says may repeat what it was given.

A peer repeats it as it pleases, so a secret is looked for in the spellings that programs have for a text.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"
_LEAST = 6  # characters; what is shorter is no secret, and would be found in every word
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_NAMED = re.compile(r"((?:^|[?&])[^=&]*(?:pass|secret|token|key)[^=&]*=)[^&#]*", re.IGNORECASE)
_known: set[str] = set()


def remember(secrets: Iterable[str]) -> None:
    """From now on this process says none of these in a log."""
    _known.update(secret for secret in secrets if secret)


def without_known(text: str) -> str:
    """The text without anything that was to be remembered."""
    return without(text, _known)


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with each of these secrets replaced, in whatever spelling it stands there."""
    found = _pattern(frozenset(secrets))
    return found.sub(HIDDEN, text) if found else text


def shown(url: str) -> str:
    """A URL as it may be shown: without user and password, and without the values of parameters that are named like a secret."""
    head, mark, query = url.partition("?")
    # The last @ ends them: a password with an @ of its own is none that should be shown in part.
    return _USER.sub(HIDDEN + "@", head) + mark + _NAMED.sub(r"\1" + HIDDEN, query)


def passwords(url: str) -> tuple[str, ...]:
    """The passwords in a URL: before the host, and in parameters that are named like one."""
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    named = [found[0].partition("=")[2] for found in _NAMED.finditer(urlsplit(url).query)]
    return tuple(unquote(text) for text in (user.partition(":")[2] if at else "", *named) if text)


@lru_cache(maxsize=64)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    texts = {spelled for secret in secrets for part in _parts(secret) for spelled in _spellings(part)}
    longest_first = sorted((text for text in texts if len(text) >= _LEAST), key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if longest_first else None


def _parts(secret: str) -> Iterable[bytes]:
    """The secret, and what of it is one by itself: `Bearer x` is x, `Basic x` a user's name and password, `whsec_x` a key."""
    yield secret.encode()
    scheme, _, credentials = secret.partition(" ")
    if credentials:
        yield credentials.encode()
    if scheme.lower() == "basic":
        user_and_password = _decoded(credentials)
        yield user_and_password
        yield user_and_password.partition(b":")[2]
    if secret.startswith("whsec_"):
        yield secret.removeprefix("whsec_").encode()
        yield _decoded(secret.removeprefix("whsec_"))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _spellings(part: bytes) -> Iterable[str]:
    coded = (base64.b64encode(part).decode(), base64.urlsafe_b64encode(part).decode())
    yield from (*coded, *(text.rstrip("=") for text in coded), part.hex())
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return
    yield from (text, quote(text), quote(text, safe=""), quote_plus(text), html.escape(text), html.escape(text, quote=False))
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1].replace("/", "\\/"))
