"""A newsroom with every kind of outlet, and what stands in each of them, read back by parsers of others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import feedparser
from lxml import etree, html

from tests.conftest import CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.testclient import TestClient

    from tests.conftest import Newsroom

_WIDE = "window = 200\nwindow_hours = 168\nwindow_max = 1000\nwindow_max_bytes = 20000000\n"
_NETWORKS = ("bluesky", "facebook", "linkedin", "mastodon", "telegram", "whatsapp")
WIDE = CONFIG.replace('title = "Everything"\n', f'title = "Everything"\n{_WIDE}') + "".join(
    f"[sites.demo.networks.{n}]\n" for n in _NETWORKS
)
"""Everything in one feed, and all eight networks."""

ATOM, CONTENT, DC, MEDIA = (
    "http://www.w3.org/2005/Atom",
    "http://purl.org/rss/1.0/modules/content/",
    "http://purl.org/dc/elements/1.1/",
    "http://search.yahoo.com/mrss/",
)
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


@dataclass(frozen=True)
class Everywhere:
    """One feed in its three formats by CMS id, and the pages and shares of every article."""

    rss: Mapping[str, Any]
    atom: Mapping[str, Any]
    json: Mapping[str, Any]
    pages: Mapping[str, html.HtmlElement]
    shares: Mapping[str, list[dict[str, Any]]]
    raw: Mapping[str, bytes]


def everywhere(room: Newsroom, client: TestClient, ids: list[str]) -> Everywhere:
    """Read everything back through the app. Asserts that each feed is one document that two readers take without complaint."""
    raw = {extension: client.get(f"/demo/feeds/all.{extension}").content for extension in ("rss", "atom", "json")}
    rss, atom = (etree.fromstring(raw[name], _PARSER) for name in ("rss", "atom"))
    for name in ("rss", "atom"):
        parsed = feedparser.parse(raw[name], sanitize_html=False, resolve_relative_uris=False)
        assert not parsed.bozo, parsed.get("bozo_exception")
        assert b"<!DOCTYPE" not in raw[name].partition(b"<item>")[0].partition(b"<entry>")[0]
    found = {name: room.status(name) for name in ids}
    pages = {
        name: next(o.url for o in status.outlets if o.outlet == "demo/mirror:one").removeprefix("http://127.0.0.1:8499")
        for name, status in found.items()
    }
    shares = {name: client.get(f"/demo/shares/{name}.json") for name in ids}
    return Everywhere(
        rss={_cms(str(item.findtext("guid"))): item for item in rss.iter("item")},
        atom={_cms(str(entry.findtext(f"{{{ATOM}}}id"))): entry for entry in atom.iter(f"{{{ATOM}}}entry")},
        json={_cms(item["id"]): item for item in json.loads(raw["json"])["items"]},
        pages={name: html.document_fromstring(client.get(path).content.decode()) for name, path in pages.items()},
        shares={name: answer.json()["shares"] for name, answer in shares.items() if answer.status_code == 200},
        raw=raw,
    )


def _cms(identity: str) -> str:
    return identity.rpartition("/")[2]


def contents(found: Everywhere, name: str) -> dict[str, str]:
    """The HTML of an article in each feed."""
    rss, atom = found.rss[name], found.atom[name]
    return {
        "rss": str(rss.findtext(f"{{{CONTENT}}}encoded")),
        "atom": str(atom.findtext(f"{{{ATOM}}}content")),
        "json": str(found.json[name]["content_html"]),
    }
