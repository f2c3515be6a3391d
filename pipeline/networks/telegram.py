"""Telegram: sendMessage of the Bot API (https://core.telegram.org/bots/api#sendmessage).

Option: `chat_id` (`@channel` or a number). A bot's token is part of the address; here the word TOKEN stands where it goes.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pipeline.model.share import Counted
from pipeline.networks.composing import Parts, fit, losses, paragraphs, parts_of
from pipeline.networks.counting import utf16_units
from pipeline.networks.craft import JSON_HEADERS, NetworkCraft, Request, account_of, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 4096  # "1-4096 characters after entities parsing"; entities are measured in UTF-16 units, so is this
HASHTAGS = 5
PLACEHOLDER = "@channel_not_set"
POST_URL = "https://api.telegram.org/botTOKEN/sendMessage"
INTENT_URL = "https://t.me/share/url"


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """A bold headline, summary, link and hashtags; the preview is the link's own."""
    chat = account_of(network, "chat_id", PLACEHOLDER)
    wanted = parts_of(entry, network, hashtags=HASHTAGS)
    kept = fit(wanted, lambda parts: utf16_units(parts.text()) <= LIMIT)
    text = kept.text()
    return share_of(
        entry,
        network,
        account=chat.value,
        text=text,
        counted=Counted("utf16-units", LIMIT, utf16_units(text)),
        request=Request(POST_URL, _body(_chat_id(chat.value), kept, entry.link), JSON_HEADERS),
        intent_url=intent(INTENT_URL, url=entry.link, text=wanted.headline),
        warnings=(*chat.warnings, *losses(wanted, kept)),
    )


def _chat_id(named: str) -> str:
    """A channel's name needs its @; a number stays one."""
    return named if named.startswith("@") or named.removeprefix("-").isdigit() else f"@{named}"


def _body(chat: str, parts: Parts, link: str) -> dict[str, object]:
    return {
        "chat_id": chat,
        "text": _html(parts),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": False, "url": link, "prefer_large_media": True},
    }


def _html(parts: Parts) -> str:
    """Telegram's HTML: only & < > are special in text (formatting options, HTML style)."""
    headline = f"<b>{escape(parts.headline, quote=False)}</b>" if parts.headline else ""
    rest = (escape(part, quote=False) for part in (parts.summary, parts.link, parts.tag_line))
    return paragraphs((headline, *rest))


CRAFT = NetworkCraft(name="telegram", title="Telegram", compose=compose)
