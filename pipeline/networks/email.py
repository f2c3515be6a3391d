"""E-mail: a mailto address (RFC 6068) that opens the reader's own mail program. No recipient: the reader knows whom."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.model.share import Counted
from pipeline.networks.composing import Parts, fit, losses, paragraphs, parts_of
from pipeline.networks.craft import NetworkCraft, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 1999  # characters of the whole address: some mail programs are handed no more than about 2,000


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """The headline as subject; headline, summary and link as body."""
    wanted = parts_of(entry, network, hashtags=0)
    kept = fit(wanted, lambda parts: len(mailto(parts)) <= LIMIT)
    address = mailto(kept)
    return share_of(
        entry,
        network,
        account=network.account,
        text=kept.text(),
        counted=Counted("mailto-characters", LIMIT, len(address)),
        intent_url=address,
        warnings=losses(wanted, kept),
    )


def mailto(parts: Parts) -> str:
    """The address: UTF-8 percent-encoded, a space %20, line ends %0D%0A (RFC 6068 section 5)."""
    body = paragraphs((parts.summary, parts.link)).replace("\n", "\r\n")
    return f"mailto:?subject={quote(parts.headline, safe='')}&body={quote(body, safe='')}"


CRAFT = NetworkCraft(name="email", title="E-mail", compose=compose)
