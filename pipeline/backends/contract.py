"""What every backend promises: four methods, one rule for paths, one for what is gone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pipeline.kit.http import Http

_COMPONENT = re.compile(r"[A-Za-z0-9._-]{1,140}")
_PATH_CHARACTERS = 1024
_RESERVED = (".tmp-", ".fence-")  # names of the local backend's own; refused everywhere so that all backends agree


@dataclass(frozen=True, slots=True)
class Stat:
    """`size` in bytes; `modified_ns` in nanoseconds since the epoch, 0 where the backend does not tell."""

    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where documents go, and with what credentials; `fence_name` is the key of the outlet that writes."""

    root_or_url: str
    http: Http | None = None
    token_header: str = "Authorization"  # noqa: S105  # a header's name
    token: str = field(default="", repr=False)
    fence_name: str = ""


class Backend(Protocol):
    """What stores documents.

    Paths are relative, `/`-separated, each component of `[A-Za-z0-9._-]{1,140}` and neither `.` nor `..`; all
    others raise ValueError. `fence` is the number of the writer's lease: where the backend can, it refuses one lower
    than the highest it has seen with FenceLost. Failures are Transient (worth repeating) or Permanent.

    gone  how a page says 410: "marker" (a file `.gone` beside the notice) or "delete" (it is deleted: 404 or 410)
    """

    @property
    def gone(self) -> str:
        """How a page says that it is gone."""

    def put(self, path: str, body: bytes, media_type: str, fence: int) -> None:
        """Store the bytes: a reader sees the old ones or the new ones, never a part."""

    def get(self, path: str) -> bytes | None:
        """The bytes, or None where nothing is stored."""

    def stat(self, path: str) -> Stat | None:
        """Size and time, or None where nothing is stored."""

    def delete(self, path: str, fence: int) -> None:
        """Remove what is stored; nothing there is fine too."""


def components(path: str) -> tuple[str, ...]:
    """The checked components of a path. Raises ValueError."""
    parts = tuple(path.split("/"))
    bad = (p for p in parts if not _COMPONENT.fullmatch(p) or p in {".", ".."} or p.startswith(_RESERVED))
    if len(path) > _PATH_CHARACTERS or next(bad, None) is not None:
        message = f"Not a path of a document: {path[:_PATH_CHARACTERS]!r}"
        raise ValueError(message)
    return parts


@runtime_checkable
class Mounted(Protocol):
    """A backend that can tell whether its documents would be found from here."""

    def mounted(self) -> bool:
        """Whether anything was ever put here, as far as can be seen from this process."""


@runtime_checkable
class Sweeping(Protocol):
    """A backend that writers can leave temporary files in."""

    def sweep(self, older_than_seconds: float, now: float) -> int:
        """Remove those older than that at `now` (epoch seconds); how many they were."""
