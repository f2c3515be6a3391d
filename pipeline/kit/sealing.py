"""Keep a text where others may read the bytes: in a database that is copied, backed up, looked into.

Fernet (https://github.com/fernet/spec): AES-128-CBC and HMAC-SHA256 under one key, with a version byte, and nothing to choose.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.fernet import MultiFernet

KEY_BYTES = 32  # Fernet's: half signs, half encrypts


class Unsealable(Exception):
    """What was sealed cannot be read with these keys."""


class Sealer:
    """Seals with the first key, and reads what any of them sealed: so that a key can be exchanged."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` as `check_key` takes them; at least one."""
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - most processes never seal anything

        self._fernet: MultiFernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_bytes(key))) for key in keys])

    def seal(self, text: str) -> str:
        """ASCII that tells nothing of the text but about how long it is; another one each time."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text again. Raises Unsealable."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            message = "it was sealed with a key that is not among those configured"
        raise Unsealable(message)


def check_key(text: str) -> None:
    """Raises ValueError, which does not repeat it, where this is not 32 bytes in base64: `openssl rand -base64 32` makes one."""
    _bytes(text)


def _bytes(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        message = f"A key is {KEY_BYTES} bytes in base64, as `openssl rand -base64 {KEY_BYTES}` makes one; this is none."
        raise ValueError(message)
    return key


def kept_key(path: Path) -> str:
    """The key in a file that is its user's alone; made when first asked for, by whichever process comes first. Raises OSError."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)).decode("ascii") + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: then theirs counts
            os.link(name, path)
    finally:
        Path(name).unlink()
    return path.read_text(encoding="ascii")
