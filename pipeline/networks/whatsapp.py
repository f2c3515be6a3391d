"""WhatsApp: click to chat (https://faq.whatsapp.com/5913398998672934).

Channels take no posts from programs, so there is only the intent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model.share import Counted
from pipeline.networks.composing import fit, losses, parts_of
from pipeline.networks.counting import utf16_units
from pipeline.networks.craft import NetworkCraft, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 4096  # text.body of a message in the Cloud API: the only length Meta documents
INTENT_URL = "https://wa.me/"


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """Headline and link."""
    wanted = parts_of(entry, network, summary=False, hashtags=0)
    kept = fit(wanted, lambda parts: utf16_units(parts.text()) <= LIMIT)
    text = kept.text()
    return share_of(
        entry,
        network,
        account=network.account,
        text=text,
        counted=Counted("utf16-units", LIMIT, utf16_units(text)),
        intent_url=intent(INTENT_URL, text=text),
        warnings=losses(wanted, kept),
    )


CRAFT = NetworkCraft(name="whatsapp", title="WhatsApp", compose=compose)
