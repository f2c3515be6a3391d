"""Two newsrooms in one deployment, as alike as they may be: the same CMS ids, slugs, tag host, id space, names of feeds and mirrors.

Whatever the second one writes or is called has its name in it, so that a word of it anywhere at the first one is found.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline import accept
from pipeline.kit import signatures
from pipeline.ledger import events
from pipeline.ledger import tables as t
from tests.conftest import article

if TYPE_CHECKING:
    from datetime import datetime

    from tests.conftest import Newsroom

SITES = ("kestrel", "osprey")
KEYS = {site: f"the secret of the newsroom {site}, long".encode() for site in SITES}

_SITE = """
[sources.@SITE@-cms]
site = "@SITE@"
id_space = "cms"
secrets = ["env:TWO_@SITE@"]
[sites.@SITE@]
title = "The @SITE@ Courier"
home_url = "https://www.@SITE@.example/"
language = "en"
publisher = "The @SITE@ Company"
tag_host = "example.org"
tag_date = "2026-01-01"
[sites.@SITE@.feeds.all]
title = "Everything of @SITE@"
[sites.@SITE@.feeds.world]
title = "World of @SITE@"
sections = ["News/World"]
[sites.@SITE@.mirrors.one]
title = "@SITE@ elsewhere"
[sites.@SITE@.networks.x]
account = "@SITE@"
[sites.@SITE@.networks.email]
"""
CONFIG = 'data = "data"\n[server]\nport = 8499\n' + "".join(_SITE.replace("@SITE@", site) for site in SITES)


def secrets() -> dict[str, str]:
    """Environment variable → secret."""
    return {f"TWO_{site}": signatures.new_secret(key) for site, key in KEYS.items()}


def story(site: str, cms_id: str, **changes: Any) -> dict[str, Any]:
    """An article with its site's name in every text, under the same slug at both."""
    made = article(
        id=cms_id,
        url=f"https://www.{site}.example/news/{cms_id}.html",
        headline=f"{cms_id} as {site} has it",
        summary=f"In short, says {site}.",
        body_html=f"<p>The whole story of {site}.</p>",
        authors=[{"name": f"Jo of {site}"}],
        tags=[f"{site}-tag"],
        dateline=f"At {site}",
    )
    return {**made, **changes}


def signed(room: Newsroom, site: str, body: bytes, webhook_id: str, key: bytes | None = None, at: datetime | None = None) -> dict[str, str]:
    """The headers of a webhook of a site's source."""
    stamp = int((at or room.clock.now()).timestamp())
    signature = signatures.sign(key or KEYS[site], webhook_id, stamp, body)
    return {"webhook-id": webhook_id, "webhook-timestamp": str(stamp), "webhook-signature": signature}


def send(room: Newsroom, site: str, kind: str, data: dict[str, Any], webhook_id: str = "") -> str:
    """One event of a site's source, signed, stored as `accept` does; answers its id."""
    source = room.context.settings.source(f"{site}-cms")
    assert source is not None
    body = room.body(kind, data)
    headers = signed(room, site, body, webhook_id or f"msg_{site}_{next(room._ids)}")
    event = accept.admit(source, headers, body, room.context)
    with room.context.ledger.write(durable=True) as tx:
        events.add(tx, [event])
    return event.event_id


def a_day(room: Newsroom) -> dict[str, str]:
    """Both live through the same: published, corrected, withdrawn, embargoed, refused; osprey has one article more. Site → an event id."""
    ids = {}
    for site in SITES:
        ids[site] = send(room, site, "published", story(site, "a-1"))
        send(room, site, "published", story(site, "gone"))
        send(room, site, "published", story(site, "later", embargo_until="2026-11-24T08:00:00Z"))
        send(room, site, "published", {"id": "bad", "headline": f"Refused at {site}"})
    send(room, "osprey", "published", story("osprey", "only-b"))
    room.drain()
    room.clock.move(60)
    for site in SITES:
        send(room, site, "corrected", story(site, "a-1", headline=f"a-1 put right by {site}"))
        send(room, site, "withdrawn", {"id": "gone", "reason": f"It was wrong, says {site}."})
    room.drain()
    return ids


def left_alone(room: Newsroom, *keys: str) -> None:
    """These outlets' circuits are open."""
    with room.context.ledger.write() as tx:
        values = {"circuit_failures": 5, "circuit_until": tx.now + timedelta(seconds=60)}
        for key in keys:
            tx.run(t.outlets.update().where(t.outlets.c.key == key).values(**values))


def speaks_of(body: object, site: str) -> bool:
    """Whether anything in it is of that site."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body if isinstance(body, str) else json.dumps(body, default=str)
    return site in text.lower()
