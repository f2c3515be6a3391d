"""What is made when it is asked for: the list of a site's feeds, and each article as ninjs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from starlette.testclient import TestClient

from pipeline.web.app import make_app
from tests.conftest import CONFIG, article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Newsroom


@pytest.fixture
def client(newsroom: Newsroom) -> Iterator[TestClient]:
    """The app over each database."""
    with TestClient(make_app(newsroom.context, lambda _n: None)) as made:
        yield made


def test_opml_lists_every_open_feed_that_a_reader_can_take(make_newsroom: Callable[..., Newsroom]) -> None:
    """In what readers take; sitemaps, closed feeds and what only programs or people read are left out. It changes when one of them does."""
    formats = {"wire": ["ninjs", "json"], "tv": ["html", "roku", "atom"], "films": ["roku"], "page": ["html"], "ours": ["ninjs"]}
    more = "".join(f"[sites.demo.feeds.{name}]\ntitle = '{name}'\nformats = {listed}\n" for name, listed in formats.items())
    more += '[sites.demo.feeds.old]\ntitle = "Old"\nclosed = true\n'
    room = make_newsroom(CONFIG + more)
    with TestClient(make_app(room.context, lambda _n: None)) as client:
        first = client.get("/demo/feeds/opml.xml")
        assert (first.status_code, first.headers["content-type"]) == (200, "text/x-opml; charset=utf-8")
        listed = [(o.get("version"), o.get("xmlUrl")) for o in etree.fromstring(first.content).iterfind("body/outline/outline")]
        base = "http://127.0.0.1:8499/demo/feeds/"
        assert listed == [
            ("RSS2", f"{base}all.rss"),
            ("RSS2", f"{base}world.rss"),
            (None, f"{base}wire.json"),
            (None, f"{base}tv.atom"),
        ]
        assert client.get("/demo/feeds/opml.xml", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        room.send("published", article())
        room.drain()
        assert client.get("/demo/feeds/opml.xml", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_an_article_is_an_item_of_its_own(newsroom: Newsroom, client: TestClient) -> None:
    """As it is live now; withdrawn it is canceled, and told so with 410."""
    assert client.get("/demo/items/aaaaaaaaaa.ninjs.json").status_code == 404
    newsroom.send("published", article())
    newsroom.drain()
    address = f"/demo/items/{short_id(newsroom)}.ninjs.json"
    first = client.get(address)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/json")
    assert (first.json()["version"], first.json()["headlines"][0]["value"]) == ("1", "A quiet harbour")
    newsroom.clock.move(5)
    newsroom.send("updated", article(headline="A loud harbour", updated_at="2026-11-23T08:00:04Z"))
    newsroom.drain()
    assert client.get(address, headers={"If-None-Match": first.headers["etag"]}).json()["headlines"][0]["value"] == "A loud harbour"
    newsroom.clock.move(5)
    newsroom.send("withdrawn", {"id": "a-1", "reason": "wrong"})
    newsroom.drain()
    gone = client.get(address)
    assert (gone.status_code, gone.json()["pubStatus"], gone.json()["firstCreated"]) == (410, "canceled", "2026-11-23T07:00:00Z")
    assert "harbour" not in json.dumps(gone.json()).replace("quiet-harbour", "")


def test_an_embargo_holds_there_too(newsroom: Newsroom, client: TestClient) -> None:
    """Until its hour there is no such item."""
    newsroom.send("published", article(embargo_until="2026-11-23T09:00:00Z"))
    newsroom.drain()
    address = f"/demo/items/{short_id(newsroom)}.ninjs.json"
    assert client.get(address).status_code == 404
    newsroom.clock.move(3601)
    newsroom.drain()
    assert client.get(address).status_code == 200


def short_id(newsroom: Newsroom) -> str:
    """Of the one article there is."""
    from sqlalchemy import text

    with newsroom.context.ledger.read() as tx:
        return str(tx.value(text("SELECT short_id FROM articles")))
