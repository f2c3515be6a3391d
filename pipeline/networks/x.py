"""X: POST /2/tweets (https://docs.x.com/x-api/posts/create-post) and the web intent.

The link's card comes from the page's own metadata, so the body is the text alone. X refuses a text it has already seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import regex

from pipeline.model.share import Counted
from pipeline.networks.composing import Parts, fit, losses, parts_of
from pipeline.networks.counting import x_weight
from pipeline.networks.craft import JSON_HEADERS, NetworkCraft, Request, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 280  # twitter-text config v3 maxWeightedTweetLength; more is an account's privilege, not a rule
HASHTAGS = 2
POST_URL = "https://api.x.com/2/tweets"
INTENT_URL = "https://x.com/intent/post"

_REFUSED = regex.compile(r"[\uFFFE\uFEFF\uFFFF]")  # twitter-text invalid characters: the whole post is refused
_HANDLE = regex.compile(r"@?([A-Za-z0-9_]{1,15})")


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """Headline, link, hashtags within 280 of X's weights. `account` is the handle, for the intent's `via`."""
    wanted = parts_of(entry, network, summary=False, hashtags=HASHTAGS)
    wanted = replace(wanted, headline=_REFUSED.sub("", wanted.headline, concurrent=False))
    kept = fit(wanted, lambda parts: x_weight(parts.text()) <= LIMIT)
    text = kept.text()
    return share_of(
        entry,
        network,
        account=network.account,
        text=text,
        counted=Counted("x-weighted", LIMIT, x_weight(text)),
        request=Request(POST_URL, {"text": text}, JSON_HEADERS),
        intent_url=_intent(wanted, _via(network)),
        warnings=losses(wanted, kept),
    )


def _via(network: Network) -> str:
    handle = _HANDLE.fullmatch(network.account, concurrent=False)
    return handle[1] if handle else ""


def _intent(wanted: Parts, via: str) -> str:
    """X joins text, link, hashtags and "via @handle" by spaces; shortened so that the reader's composer takes it."""

    def fits(parts: Parts) -> bool:
        return x_weight(" ".join(filter(None, (parts.headline, wanted.link, parts.tag_line, via and f"via @{via}")))) <= LIMIT

    kept = fit(replace(wanted, link=""), fits)
    return intent(INTENT_URL, text=kept.headline, url=wanted.link, hashtags=",".join(kept.hashtags), via=via)


CRAFT = NetworkCraft(name="x", title="X", compose=compose)
