"""A document: anything made, before it is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property


class DocumentStatus(StrEnum):
    """What stands at a path: `writing` means a put is under way and nobody has settled it yet."""

    LIVE = "live"
    GONE = "gone"
    MOVED = "moved"
    WRITING = "writing"


@dataclass(frozen=True)
class Document:
    """Bytes for a path of an outlet. `path` is relative, `/`-separated, never `..`.

    A GONE document's bytes are the notice a reader sees beside the 410 (RFC 9110 15.5.11);
    a MOVED one carries `moved_to`, and its bytes are a page that redirects.
    """

    path: str
    media_type: str
    body: bytes
    status: DocumentStatus = DocumentStatus.LIVE
    moved_to: str = ""

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the bytes: the strong ETag is made from it."""
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return len(self.body)

    def without_body(self) -> Document:
        """What a record of it needs: hash and size are those of the bytes it had."""
        made = replace(self, body=b"")
        vars(made).update(sha256=self.sha256, size=self.size)  # in place of what the properties would find
        return made
