"""Where an article's page lies at a mirror: made from an id of ours and a filtered name, so that no URL can steer it."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

NAME_MAX = 80  # characters; with the short id a path stays far below the 255 bytes of a file name

_PATH = re.compile(r"(?:[^:/?#]*:)?(?://[^/?#]*)?([^?#]*)", re.DOTALL)  # RFC 3986 appendix B, which never fails
_EXTENSION = re.compile(r"(?<=.)\.[a-z]{2,5}\Z", re.DOTALL)
_OTHERS = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=2048)  # every feed and index of every mirror asks for its whole window
def page_path(url: str, short_id: str) -> str:
    """`<name>-<short id>/`, relative to the mirror's base; just `<short id>/` where the URL gives no name.

    The name is the last segment of the canonical URL's path: percent-decoded, lower-cased, without an
    extension such as `.html`, every run of other characters than `[a-z0-9]` made one hyphen, at most 80
    characters. It is there for people; the id alone decides.
    """
    matched = _PATH.match(url)
    segments = [segment for segment in (matched.group(1) if matched else "").split("/") if segment]
    name = _EXTENSION.sub("", unquote(segments[-1]).lower()) if segments else ""
    name = _OTHERS.sub("-", name).strip("-")[:NAME_MAX].strip("-")
    return f"{name}-{short_id}/" if name else f"{short_id}/"
