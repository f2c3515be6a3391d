"""Caddy in front: the documents in its folders as the web process serves them, everything else passed on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.formats import FORMATS
from pipeline.web import feeds as web_feeds
from tests.support import fronts
from tests.support.deploying import DEPLOY, free_port, get

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.formats import Format

pytestmark = pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed; `apt-get install caddy` brings it")


def test_the_caddyfile_is_one() -> None:
    """Caddy takes it, and it is written as `caddy fmt` writes."""
    file = str(DEPLOY / "Caddyfile")
    done = subprocess.run(["caddy", "validate", "--adapter", "caddyfile", "--config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run(["caddy", "fmt", file], capture_output=True, text=True, check=False).stdout == Path(file).read_text()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Caddy with our file in front of a folder of documents and a stand-in for web: (port, folder)."""
    folder = tmp_path_factory.mktemp("front")
    fronts.furnish(folder)
    with fronts.stand_in() as web, fronts.caddy(folder, folder / "origin", folder, web) as caddy:
        yield caddy.port, folder


@pytest.mark.parametrize("fmt", [FORMATS[name] for name in ("rss", "atom", "json")], ids=lambda fmt: fmt.name)
def test_caddy_serves_feeds_as_the_web_process_does(front: tuple[int, Path], fmt: Format) -> None:
    """The same type, cache rule and safety headers; the twin the reader asks for, with another ETag; 304 by ETag."""
    port, _ = front
    path = f"/demo/feeds/all.{fmt.extension}"
    plain, gzip, br = (get(port, path, Accept_Encoding=coding) for coding in ("identity", "gzip", "gzip, br"))
    assert [got[2].decode() for got in (plain, gzip, br)] == [f"all.{fmt.extension}{suffix} at rest" for suffix in ("", ".gz", ".br")]
    assert [got[1].get("content-encoding") for got in (plain, gzip, br)] == [None, "gzip", "br"]
    for status, headers, _ in (plain, gzip, br):
        assert status == 200
        assert headers["content-type"] == fmt.media_type
        assert headers["cache-control"] == web_feeds.CACHE
        assert headers["vary"] == "Accept-Encoding"
        assert headers["access-control-allow-origin"] == "*"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'"
        assert headers["last-modified"]
        assert not headers["etag"].startswith("W/")
    again = get(port, path, Accept_Encoding="gzip", If_None_Match=gzip[1]["etag"])
    assert (again[0], again[2]) == (304, b"")
    assert get(port, path, method="HEAD")[0] == 200


def test_caddy_leaves_to_the_web_process_what_it_cannot_know(front: tuple[int, Path]) -> None:
    """A feed without document, or that is not still, a request by date alone, everything else, and whatever begins with a dot."""
    port, _ = front
    for path in (
        "/demo/feeds/world.rss",
        "/demo/feeds/none.rss",
        "/demo/feeds/all.rss.gz",
        "/demo/feeds/.tmp-1.rss",
        "/.fence-demo_feed_all",
        "/",
        "/healthz",
        "/docs",
    ):
        assert get(port, path)[2].decode() == f"web {path}"
    dated = {"If_Modified_Since": "Mon, 23 Nov 2026 08:00:00 GMT"}
    assert get(port, "/demo/feeds/all.rss", **dated)[2] == b"web /demo/feeds/all.rss"
    assert get(port, "/demo/feeds/all.rss", **dated, If_None_Match='"x"')[2] == b"all.rss at rest"
    assert get(port, "/webhooks/newsroom", method="POST")[2] == b"web /webhooks/newsroom"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/%6detrics", "//metrics", "/./metrics", "/x/../metrics", "/metrics?x=1"])
def test_caddy_keeps_the_counters_inside(front: tuple[int, Path], path: str) -> None:
    """However the path is written, it never reaches the web process."""
    status, _, body = get(front[0], path)
    assert (status, body) == (404, b"")


def test_caddy_serves_mirrors_and_says_what_is_gone(front: tuple[int, Path]) -> None:
    """Pages with their headers; 410 with the notice beside a marker, also to who has it cached; former names go to web."""
    port, _ = front
    status, headers, body = get(port, "/mirrors/demo/one/a-harbour-abc/")
    assert (status, body) == (200, b"<p>A harbour")
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "public, max-age=60"
    assert "default-src 'none'" in headers["content-security-policy"]
    status, feed, body = get(port, "/mirrors/demo/one/feeds/all.rss")
    assert (status, body) == (200, b"all.rss of the mirror")
    assert feed["content-type"] == FORMATS["rss"].media_type
    assert (feed["cache-control"], feed["access-control-allow-origin"]) == (web_feeds.CACHE, "*")
    assert get(port, "/mirrors/demo/one/feeds/all-2026-10-1.rss")[1]["cache-control"] == web_feeds.ARCHIVE
    assert get(port, "/mirrors/demo/one/a-harbour-abc/", If_None_Match=headers["etag"])[0] == 304
    for asked in ({}, {"If_None_Match": "*"}, {"Range": "bytes=0-1"}):
        status, headers, body = get(port, "/mirrors/demo/one/gone-def/", **asked)
        assert (status, body, headers["cache-control"]) == (410, b"<p>Withdrawn", "no-cache")
    for path in (
        "/mirrors/demo/one/old-name-abc/",
        "/mirrors/demo/one/feeds/all.ninjs.json",
        "/mirrors/demo/one/feeds/all.roku.xml",
        "/mirrors/demo/one/a-harbour-abc",
        "/mirrors/demo/one/gone-def/.gone",
        "/mirrors/demo/one/gone-def/index.html",
    ):
        assert get(port, path)[2].decode() == f"web {path}"


def test_where_nobody_is_at_home_a_feed_is_served_as_it_stands(tmp_path: Path) -> None:
    """Kept by nobody, and without a tag; everything else is 502."""
    fronts.furnish(tmp_path)
    with fronts.caddy(tmp_path, tmp_path / "origin", tmp_path, free_port()) as caddy:
        fronts.look_at_what_stands(caddy)
