"""nginx in Caddy's place: what is still from its folder, mirror pages, notices of what is gone, everything else passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.formats import FORMATS
from pipeline.web import feeds as web_feeds
from tests.support import fronts
from tests.support.deploying import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.formats import Format
    from tests.support.fronts import Front

pytestmark = pytest.mark.skipif(bool(fronts.MISSING["nginx"]), reason=fronts.MISSING["nginx"])


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Nginx with our file in front of a folder of documents and a stand-in for web."""
    folder = tmp_path_factory.mktemp("front")
    fronts.furnish(folder)
    with fronts.stand_in() as web, fronts.nginx(folder, folder / "origin", folder, web) as nginx:
        yield nginx


@pytest.mark.parametrize("fmt", [FORMATS[name] for name in ("rss", "atom", "json")], ids=lambda fmt: fmt.name)
def test_it_serves_what_is_still_as_the_web_process_does(front: Front, fmt: Format) -> None:
    """The twin the reader asks for, each with another tag. The whole of it: tests/web/test_conformance.py."""
    path = f"/demo/feeds/all.{fmt.extension}"
    got = [front.get(path, Accept_Encoding=coding) for coding in ("identity", "gzip", "gzip, br")]
    assert [body.decode() for _, _, body in got] == [f"all.{fmt.extension}{suffix} at rest" for suffix in ("", ".gz", ".br")]
    assert [(status, told["content-type"], told["cache-control"]) for status, told, _ in got] == [
        (200, fmt.media_type, web_feeds.CACHE)
    ] * 3


def test_it_leaves_to_the_web_process_what_it_cannot_know(front: Front) -> None:
    """A feed that is not still, a request by date alone, other methods, feeds of mirrors, and whatever begins with a dot."""
    for path in (
        "/demo/feeds/world.rss",
        "/demo/feeds/none.rss",
        "/demo/feeds/all.rss.gz",
        "/demo/feeds/.tmp-1.rss",
        "/.fence-demo_feed_all",
        "/mirrors/demo/one/feeds/all.rss",
        "/mirrors/demo/one/old-name-abc/",
        "/mirrors/demo/one/a-harbour-abc",
        "/mirrors/demo/one/gone-def/.gone",
        "/mirrors/demo/one/gone-def/index.html",
        "/",
        "/healthz",
    ):
        assert front.get(path)[2].decode() == f"web {path}"
    dated = {"If_Modified_Since": "Mon, 23 Nov 2026 08:00:00 GMT"}
    assert front.get("/demo/feeds/all.rss", **dated)[2] == b"web /demo/feeds/all.rss"
    assert front.get("/demo/feeds/all.rss", **dated, If_None_Match='"x"')[2] == b"all.rss at rest"
    assert front.get("/demo/feeds/all.rss", method="POST")[2] == b"web /demo/feeds/all.rss"
    assert front.get("/webhooks/newsroom", method="POST")[2] == b"web /webhooks/newsroom"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/%6detrics", "//metrics", "/./metrics", "/x/../metrics", "/metrics?x=1"])
def test_it_keeps_the_counters_inside(front: Front, path: str) -> None:
    """However the path is written, it never reaches the web process."""
    status, _, body = front.get(path)
    assert (status, b"web" in body) == (404, False)


def test_it_serves_pages_of_mirrors_and_says_what_is_gone(front: Front) -> None:
    """Pages without validators of its own, which would be made from whole seconds; 410 with the notice beside a marker."""
    status, headers, body = front.get("/mirrors/demo/one/a-harbour-abc/")
    assert (status, body, headers["content-type"]) == (200, b"<p>A harbour", "text/html; charset=utf-8")
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("public, max-age=60", "nosniff")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not {"etag", "last-modified"} & headers.keys()
    for asked in ({}, {"If_None_Match": "*"}, {"Range": "bytes=0-1"}, {"If_Modified_Since": "Mon, 23 Nov 2099 08:00:00 GMT"}):
        status, headers, body = front.get("/mirrors/demo/one/gone-def/", **asked)
        assert (status, body, headers["cache-control"]) == (410, b"<p>Withdrawn", "no-cache")
        assert front.get("/mirrors/demo/one/a-harbour-abc/", **asked)[::2] == (200, b"<p>A harbour")
    assert front.get("/mirrors/demo/one/gone-def/", method="HEAD")[::2] == (410, b"")


def test_where_nobody_is_at_home_a_feed_is_served_as_it_stands(tmp_path: Path) -> None:
    """Kept by nobody, and without a tag; everything else is 502."""
    fronts.furnish(tmp_path)
    with fronts.nginx(tmp_path, tmp_path / "origin", tmp_path, free_port()) as nginx:
        fronts.look_at_what_stands(nginx)
