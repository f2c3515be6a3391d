"""Local mirrors as the app serves them: pages, former names, notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import feedparser
import pytest
from starlette.testclient import TestClient

from pipeline import validate
from pipeline.ledger import documents
from pipeline.model.document import Document
from pipeline.web.app import make_app
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Newsroom


@pytest.fixture
def visitor(small_newsroom: Newsroom) -> Iterator[TestClient]:
    """A client of the app over a newsroom with one article."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    with TestClient(make_app(small_newsroom.context, lambda _n: None), follow_redirects=False) as client:
        yield client


def page(room: Newsroom) -> str:
    """The path of the article's page."""
    url = next(o.url for o in room.status().outlets if o.outlet == "demo/mirror:one")
    return "/" + url.split("/", 3)[3]


def test_the_page_the_front_page_and_the_feeds_are_there(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """Links of the mirror's feeds lead to the mirror; guids are the site's."""
    answer = visitor.get(page(small_newsroom))
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "A quiet harbour" in answer.text
    assert "A quiet harbour" in visitor.get("/mirrors/demo/one/").text
    assert visitor.get("/mirrors/demo/one/robots.txt").headers["content-type"].startswith("text/plain")
    parsed = feedparser.parse(visitor.get("/mirrors/demo/one/feeds/all.rss").content)
    assert parsed.entries[0].link.endswith(page(small_newsroom))
    assert parsed.entries[0].id == "tag:example.org,2026-01-01:newsroom/a-1"


def test_the_id_decides_and_another_name_is_301(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """Somebody's old or invented slug, with the right short id."""
    right = page(small_newsroom)
    short = right.rstrip("/").rpartition("-")[2]
    for path in (f"/mirrors/demo/one/any-name-{short}/", right.rstrip("/"), f"/mirrors/demo/one/{short}/"):
        answer = visitor.get(path)
        assert answer.status_code == 301
        assert answer.headers["location"].endswith(right)


def test_a_renamed_article_leaves_a_301(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """The canonical URL changed; the page at the old path leads on."""
    old = page(small_newsroom)
    small_newsroom.send("updated", article(url="https://www.example.org/news/renamed", updated_at="2026-11-23T07:59:00Z"))
    small_newsroom.drain()
    answer = visitor.get(old)
    assert answer.status_code == 301
    assert "renamed" in answer.headers["location"]


def test_a_withdrawn_page_is_410_with_a_notice(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """And its share payloads are gone, too."""
    path = page(small_newsroom)
    short = path.rstrip("/").rpartition("-")[2]
    assert len(visitor.get(f"/demo/shares/{short}.json").json()["shares"]) == 2
    small_newsroom.send("withdrawn", {"id": "a-1"})
    small_newsroom.drain()
    answer = visitor.get(path)
    assert answer.status_code == 410
    assert "A quiet harbour" not in visitor.get("/mirrors/demo/one/").text
    assert visitor.get(f"/demo/shares/{short}.json").status_code == 410
    assert visitor.get("/demo/shares/a-1.json").status_code == 410


@pytest.mark.parametrize("path", ["../../../etc/passwd", "..%2f..%2fpressrun.toml", "%2e%2e/x", ".fence-demo_mirror_one", "none/", "\x00"])
def test_nothing_but_documents_is_served(visitor: TestClient, path: str) -> None:
    """A row must know the path; the file system is never asked for a stranger's."""
    assert visitor.get("/mirrors/demo/one/" + path.replace("\x00", "%00")).status_code == 404


def test_an_unknown_mirror_is_404(visitor: TestClient) -> None:
    """As a problem document."""
    assert visitor.get("/mirrors/demo/three/").headers["content-type"] == "application/problem+json"


def test_a_page_withdrawn_before_it_was_made_is_410_too(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """Feeds and payloads may have led readers there: the notice stands where the page would, and the status says where."""
    small_newsroom.send("published", article(id="brief", url="https://www.example.org/news/brief.html"))
    validate.run(small_newsroom.context, ["newsroom"])
    small_newsroom.send("withdrawn", {"id": "brief", "reason": "It was not true."})
    small_newsroom.drain()
    outlets = small_newsroom.status("brief").outlets
    assert {o.state for o in outlets} == {"settled"}
    assert all(o.gone and o.url and o.seconds is not None for o in outlets)
    url = next(o.url for o in outlets if o.outlet == "demo/mirror:one")
    assert "/brief-" in url
    answer = visitor.get("/" + url.split("/", 3)[3])
    assert answer.status_code == 410
    assert "It was not true." in answer.text


def test_an_embargoed_revision_is_not_told_of_by_its_withdrawal(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """The notice has headline and address of the revision before it: the other was never live."""
    small_newsroom.send("published", article(id="brief", url="https://www.example.org/news/brief.html"))
    later = {"updated_at": "2026-11-23T07:30:00Z", "embargo_until": "2026-11-23T09:00:00Z"}
    validate.run(small_newsroom.context, ["newsroom"])
    small_newsroom.send("updated", article(id="brief", headline="A merger", url="https://www.example.org/news/merger.html", **later))
    validate.run(small_newsroom.context, ["newsroom"])
    small_newsroom.send("withdrawn", {"id": "brief"})
    small_newsroom.drain()
    url = next(o.url for o in small_newsroom.status("brief").outlets if o.outlet == "demo/mirror:one")
    assert "/brief-" in url
    answer = visitor.get("/" + url.split("/", 3)[3])
    assert answer.status_code == 410
    assert "A quiet harbour" in answer.text
    assert "merger" not in answer.text


@pytest.mark.parametrize("extension", ["rss", "atom", "json"])
def test_a_feed_at_a_mirror_is_answered_as_at_the_origin(visitor: TestClient, small_newsroom: Newsroom, extension: str) -> None:
    """The same headers, and the same rules for what may be 304."""
    origin, mirror = (visitor.get(f"{base}/feeds/all.{extension}") for base in ("/demo", "/mirrors/demo/one"))
    own = {"etag", "last-modified", "content-length", "link"}  # only the origin's can be subscribed to
    assert {k: v for k, v in mirror.headers.items() if k not in own} == {k: v for k, v in origin.headers.items() if k not in own}
    path, early = f"/mirrors/demo/one/feeds/all.{extension}", mirror.headers["last-modified"]
    assert visitor.get(path, headers={"if-none-match": mirror.headers["etag"]}).status_code == 304
    assert visitor.get(path, headers={"if-modified-since": early}).status_code == 200
    small_newsroom.clock.move(4)
    date = visitor.get(path).headers["last-modified"]
    assert visitor.get(path, headers={"if-modified-since": date}).status_code == 304
    assert visitor.get(path, headers={"if-modified-since": date, "if-none-match": '"x"'}).status_code == 200


def test_the_page_of_a_feed_may_use_its_own_style_at_a_mirror_too(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """And a page of an archive is kept no longer than at the origin."""
    document = Document("feeds/all.html", "text/html; charset=utf-8", b"<p>Subscribe")
    page = Document("feeds/all-2026-10-1.rss", "application/rss+xml; charset=utf-8", b"<rss/>")
    backend = small_newsroom.context.mirror_backend("demo/mirror:one", small_newsroom.context.settings.sites[0].mirrors[0])
    for made in (document, page):
        backend.put(made.path, made.body, made.media_type, 10**6)
        with small_newsroom.context.ledger.write() as tx:
            documents.put(tx, "demo/mirror:one", [documents.Stored(made, small_newsroom.clock.now())])
    assert "style-src 'unsafe-inline'" in visitor.get("/mirrors/demo/one/feeds/all.html").headers["content-security-policy"]
    assert visitor.get("/mirrors/demo/one/feeds/all-2026-10-1.rss").headers["cache-control"] == "public, max-age=3600, must-revalidate"
