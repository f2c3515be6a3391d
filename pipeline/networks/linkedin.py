"""LinkedIn: POST /rest/posts (https://learn.microsoft.com/linkedin/marketing/community-management/shares/posts-api).

LinkedIn reads nothing from the page of a posted link: title, description and thumbnail go with the payload. The thumbnail
is uploaded first and named by its URN, so here it stands among the media. Options: `organization` (number or URN), `version`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.model.share import Counted
from pipeline.networks.composing import Parts, fit, losses, paragraphs, parts_of, shorten
from pipeline.networks.counting import utf16_units
from pipeline.networks.craft import JSON_HEADERS, NetworkCraft, Request, account_of, card_image, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 3000  # commentary; counted here with its escapes, in UTF-16 units: the safe side of what is not documented
TITLE_LIMIT = 400
DESCRIPTION_LIMIT = 4086
VERSION = "202601"  # YYYYMM; LinkedIn ends each about a year later
PLACEHOLDER = "ORGANIZATION-NOT-SET"
POST_URL = "https://api.linkedin.com/rest/posts"
INTENT_URL = "https://www.linkedin.com/sharing/share-offsite/"

_RESERVED = re.compile(r"[\\<>#~_|\[\]*(){}@]")  # "little text": each of these starts markup unless escaped


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """Headline, summary, link and hashtags as commentary, and the article's card."""
    organization = account_of(network, "organization", PLACEHOLDER)
    wanted = parts_of(entry, network)
    kept = fit(wanted, lambda parts: utf16_units(_commentary(parts)) <= LIMIT)
    commentary = _commentary(kept)
    headers = {**JSON_HEADERS, "LinkedIn-Version": network.option("version", VERSION), "X-Restli-Protocol-Version": "2.0.0"}
    return share_of(
        entry,
        network,
        account=organization.value,
        text=kept.text(),
        counted=Counted("utf16-units-escaped", LIMIT, utf16_units(commentary)),
        request=Request(POST_URL, _body(_urn(organization.value), commentary, parts_of(entry, network)), headers),
        intent_url=intent(INTENT_URL, url=entry.link),
        media=card_image(entry, "thumbnail", None),
        warnings=(*organization.warnings, *losses(wanted, kept)),
    )


def little_text(text: str) -> str:
    """The text with LinkedIn's markup characters escaped by a backslash."""
    return _RESERVED.sub(r"\\\g<0>", text)


def _commentary(parts: Parts) -> str:
    """A `#tag` merely escaped is not clickable; the hashtag template is."""
    tags = " ".join(f"{{hashtag|\\#|{little_text(tag)}}}" for tag in parts.hashtags)
    return paragraphs((little_text(parts.words), little_text(parts.link), tags))


def _urn(organization: str) -> str:
    return organization if organization.startswith("urn:li:") else f"urn:li:organization:{organization}"


def _body(author: str, commentary: str, card: Parts) -> dict[str, object]:
    article = {
        "source": card.link,
        "title": shorten(card.headline, lambda text: utf16_units(text) <= TITLE_LIMIT),
        "description": shorten(card.summary, lambda text: utf16_units(text) <= DESCRIPTION_LIMIT),
    }
    return {
        "author": author,
        "commentary": commentary,
        "visibility": "PUBLIC",
        "distribution": {"feedDistribution": "MAIN_FEED", "targetEntities": [], "thirdPartyDistributionChannels": []},
        "content": {"article": article},
        "lifecycleState": "PUBLISHED",
        "isReshareDisabledByAuthor": False,
    }


CRAFT = NetworkCraft(name="linkedin", title="LinkedIn", compose=compose)
