"""Who an article is: made from the newsroom's own id and nothing that can change."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

SHORT = 10  # characters of base32: 50 bits, one collision expected in some 30 million articles of a site


def identity(tag_host: str, tag_date: str, space: str, cms_id: str) -> str:
    """The tag URI (RFC 4151 2.1) that is Atom id and guid: never URL, slug, date or mirror."""
    return f"tag:{tag_host},{tag_date}:{space}/{quote(cms_id, safe='')}"


def feed_identity(tag_host: str, tag_date: str, site: str, feed: str) -> str:
    """A feed's own tag URI, equal for all its formats and at every base URL.

    It names the site, because several may share a tag host; and no article's has two slashes, whatever its id space is called.
    """
    return f"tag:{tag_host},{tag_date}:feed/{site}/{feed}"


def short_id(of: str) -> str:
    """Ten characters `[a-z2-7]` of the identity's hash: what page paths carry."""
    return base64.b32encode(hashlib.sha256(of.encode()).digest()).decode()[:SHORT].lower()


def event_id(source: str, webhook_id: str) -> str:
    """Our name for an event: equal for equal (source, webhook id), and no help in guessing either."""
    digest = hashlib.sha256(f"{source}\0{webhook_id}".encode()).digest()
    return "ev_" + base64.b32encode(digest).decode()[:26].lower()
