"""Facebook Page: POST /{page-id}/feed of the Graph API (https://developers.facebook.com/docs/graph-api/reference/page/feed).

Title and picture of the link come from the page's OpenGraph; they cannot be overridden.
Options: `page_id`, `version` of the Graph API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.model.share import Counted
from pipeline.networks.composing import fit, losses, parts_of
from pipeline.networks.counting import utf16_units
from pipeline.networks.craft import JSON_HEADERS, NetworkCraft, Request, account_of, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 63_206  # characters of a post; how they are counted is not documented, UTF-16 units are the safe side
VERSION = "v23.0"
PLACEHOLDER = "PAGE-ID-NOT-SET"
INTENT_URL = "https://www.facebook.com/sharer/sharer.php"


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """Headline, summary, link and hashtags as `message`, the link once more as `link`."""
    page = account_of(network, "page_id", PLACEHOLDER)
    wanted = parts_of(entry, network)
    kept = fit(wanted, lambda parts: utf16_units(parts.text()) <= LIMIT)
    text = kept.text()
    address = f"https://graph.facebook.com/{quote(network.option('version', VERSION), safe='')}/{quote(page.value, safe='')}/feed"
    return share_of(
        entry,
        network,
        account=page.value,
        text=text,
        counted=Counted("utf16-units", LIMIT, utf16_units(text)),
        request=Request(address, {"message": text, "link": entry.link, "published": True}, JSON_HEADERS),
        intent_url=intent(INTENT_URL, u=entry.link),
        warnings=(*page.warnings, *losses(wanted, kept)),
    )


CRAFT = NetworkCraft(name="facebook", title="Facebook", compose=compose)
