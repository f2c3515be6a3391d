"""Mastodon: POST /api/v1/statuses (https://docs.joinmastodon.org/methods/statuses/#create) on the account's instance.

Options: `instance` (host name), `visibility`, `max_characters` where the instance allows more or less than 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.model.share import Counted
from pipeline.networks.composing import fit, losses, paragraphs, parts_of
from pipeline.networks.counting import mastodon_length
from pipeline.networks.craft import JSON_HEADERS, Chosen, NetworkCraft, Request, dedupe_key, intent, share_of

if TYPE_CHECKING:
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site
    from pipeline.model.share import Share

LIMIT = 500  # /api/v2/instance configuration.statuses.max_characters of an instance as shipped
HASHTAGS = 5
INSTANCE = "mastodon.social"
VISIBILITIES = ("public", "unlisted", "private", "direct")
_ISO_639_1 = 2


def compose(entry: Entry, site: Site, network: Network) -> Share:  # noqa: ARG001 - one signature for every network
    """Headline, summary, link and hashtags as one status; sent twice within the hour, it is still one (Idempotency-Key)."""
    instance, limit, visibility = _instance(network), _limit(network), _visibility(network)
    account = f"{network.account}@{instance.value}"
    wanted = parts_of(entry, network, hashtags=HASHTAGS)
    kept = fit(wanted, lambda parts: mastodon_length(parts.text()) <= int(limit.value))
    text = kept.text()
    language = entry.article.language.partition("-")[0].lower()
    body = {"status": text, "visibility": visibility.value} | ({"language": language} if len(language) == _ISO_639_1 else {})
    headers = {**JSON_HEADERS, "Idempotency-Key": dedupe_key(network.name, account, entry.identity)}
    host = f"https://{quote(instance.value, safe=':')}"
    return share_of(
        entry,
        network,
        account=account,
        text=text,
        counted=Counted("mastodon", int(limit.value), mastodon_length(text)),
        request=Request(f"{host}/api/v1/statuses", body, headers),
        intent_url=intent(f"{host}/share", text=text if kept.link else paragraphs((text, entry.link))),
        warnings=(*instance.warnings, *limit.warnings, *visibility.warnings, *losses(wanted, kept)),
    )


def _instance(network: Network) -> Chosen:
    named = network.option("instance").removeprefix("https://").strip("/ ")
    if named:
        return Chosen(named)
    return Chosen(INSTANCE, (f"No instance is configured: {INSTANCE} stands in for it.",))


def _limit(network: Network) -> Chosen:
    named = network.option("max_characters", str(LIMIT))
    if named.isascii() and named.isdigit() and int(named):
        return Chosen(str(int(named)))
    return Chosen(str(LIMIT), (f"max_characters is no whole number above 0: {LIMIT} is used.",))


def _visibility(network: Network) -> Chosen:
    """A word Mastodon does not know must not make public what was not meant to be."""
    named = network.option("visibility", VISIBILITIES[0])
    if named in VISIBILITIES:
        return Chosen(named)
    return Chosen("direct", (f"visibility is none of {', '.join(VISIBILITIES)}: direct, the narrowest, is used.",))


CRAFT = NetworkCraft(name="mastodon", title="Mastodon", compose=compose)
