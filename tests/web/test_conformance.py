"""HTTP as a subscriber meets it, over real sockets: the app, Caddy and nginx are held to the same tests with the same expectations.

All three serve one origin folder: Caddy and nginx what is still, from the folder, and the app behind them the rest.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

import brotli
import pytest

from pipeline.formats import FORMATS
from pipeline.ledger import documents
from pipeline.model.document import Document, DocumentStatus
from tests.conftest import CONFIG, SECRET, Newsroom, article, open_newsroom
from tests.support import fronts
from tests.support.deploying import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.fronts import Front

HUB_IN_THE_APP = True
"""Whether the app names the hub in a header of its own: until then only the servers in front must."""

UNPACK = {"identity": bytes, "gzip": gzip.decompress, "br": brotli.decompress}
LIVE = "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400"
ARCHIVE = "public, max-age=3600, must-revalidate"
LISTS = "public, max-age=600, stale-if-error=86400"
NOTHING = "default-src 'none'"
FEED, PAGE = "demo/feeds/all", "demo/feeds/all-2026-10-1"
KEY = "demo/feed:all"


@dataclass(frozen=True, slots=True)
class Kind:
    """A document by hand, as the steps that make it put it: its path, type, caching, and whether it is anybody's topic."""

    path: str
    media_type: str
    caching: str
    topic: bool = False


READ = [FORMATS[name] for name in ("rss", "atom", "json")]
FEEDS = [Kind(f"{FEED}.{fmt.extension}", fmt.media_type, LIVE, topic=True) for fmt in READ]
PAGES = [Kind(f"{PAGE}.{fmt.extension}", fmt.media_type, ARCHIVE) for fmt in READ]
OTHERS = [
    *(Kind(f"{FEED}.{FORMATS[name].extension}", FORMATS[name].media_type, LIVE) for name in ("html", "ninjs", "roku")),
    Kind(f"{PAGE}.{FORMATS['ninjs'].extension}", FORMATS["ninjs"].media_type, ARCHIVE),
    Kind("demo/feeds/opml.xml", "text/x-opml; charset=utf-8", LISTS),
    Kind("demo/sitemaps/news.xml", FORMATS["news"].media_type, LISTS),
    Kind("demo/items/a-1.ninjs.json", FORMATS["ninjs"].media_type, LIVE),
]
EVERY = [*FEEDS, *PAGES, *OTHERS]
paths = pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.path)
somewhere = pytest.mark.parametrize(
    "path", [FEEDS[0].path, PAGES[0].path, OTHERS[0].path, "demo/sitemaps/news.xml", "demo/items/a-1.ninjs.json", "demo/feeds/none.rss"]
)
formats = pytest.mark.parametrize("kind", [*FEEDS, *PAGES], ids=lambda kind: kind.path)


@dataclass
class Origin:
    """A newsroom whose documents the servers serve; what no step makes yet is put by hand, as one would."""

    room: Newsroom
    port: int

    def put(self, path: str, media_type: str, body: bytes, *, twins: bool = False) -> None:
        """Store a document in a step's order: twins away, bytes, row."""
        self.store(Document(path, media_type, body), bare=False)
        if twins:
            self.rest(path, body)

    def store(self, document: Document, *, bare: bool) -> None:
        """One document; `bare` leaves the bytes away, as where nothing stands any more."""
        backend, now = self.room.context.origin(KEY), self.room.clock.now()
        for suffix in (".gz", ".br", *([""] if bare else [])):
            backend.delete(document.path + suffix, 10**6)
        if not bare:
            backend.put(document.path, document.body, document.media_type, 10**6)
        with self.room.context.ledger.write() as tx:
            documents.put(tx, KEY, [documents.Stored(document, now)])

    def rest(self, path: str, body: bytes) -> None:
        """It has been still: twins beside it, as upkeep makes them."""
        backend = self.room.context.origin(KEY)
        with self.room.context.ledger.write() as tx:
            documents.makes_twins(tx, KEY, [path])
        for suffix, packed in ((".gz", gzip.compress(body, mtime=0)), (".br", brotli.compress(body))):
            backend.put(path + suffix, packed, "", 10**6)
        with self.room.context.ledger.write() as tx:
            documents.has_twins(tx, KEY, path, hashlib.sha256(body).hexdigest())

    def body(self, path: str) -> bytes:
        """What stands there."""
        found = self.room.context.origin(KEY).get(path)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """One article out, an archive page and what else a site has; all of it still, with twins where upkeep makes them."""
    with opened(tmp_path_factory.mktemp("origin"), CONFIG) as made:
        yield made


@contextmanager
def opened(folder: Path, config: str) -> Iterator[Origin]:
    """Such an origin of a newsroom with this configuration."""
    folder.chmod(0o755)
    port = free_port()
    text = config.replace("port = 8499", f'port = {port}\npublic_url = "http://127.0.0.1:{port}/"')
    room = open_newsroom(folder, f"sqlite:///{folder / 'data' / 'ledger.sqlite'}", text)
    room.send("published", article())
    room.drain()
    room.clock.move(4)
    room.drain()
    made = Origin(room, port)
    for kind in PAGES:
        made.put(kind.path, kind.media_type, made.body(kind.path.replace(PAGE, FEED)), twins=True)
    for kind in OTHERS:
        made.put(kind.path, kind.media_type, f"{kind.path} as it is stored, é".encode())
    yield made
    room.context.close()


@pytest.fixture(scope="module")
def app(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Our web process over it."""
    with started(origin, tmp_path_factory.mktemp("app")) as front:
        yield front


@contextmanager
def started(origin: Origin, folder: Path) -> Iterator[Front]:
    """A web process over an origin."""
    config = origin.room.context.settings.data.parent / "pressrun.toml"
    settings = {"PRESSRUN_DATABASE": origin.room.context.settings.database, "PRESSRUN_TEST_SECRET": SECRET}
    with fronts.app(folder, config, origin.port, **settings) as front:
        # What it finds at its start it no longer trusts to be whole: twins are made again by upkeep, here by hand.
        until(lambda: front.get("/readyz")[0] > 0, 30, lambda: "")
        for kind in [*FEEDS, *PAGES]:
            origin.rest(kind.path, origin.body(kind.path))
        yield front


@pytest.fixture(scope="module")
def proxies(origin: Origin, app: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    """Caddy and nginx in front of it, those that can be had."""
    with stood_before(app, origin, tmp_path_factory.mktemp) as made:
        yield made


@contextmanager
def stood_before(app: Front, origin: Origin, folder: Callable[[str], Path]) -> Iterator[dict[str, Front]]:
    """The web process, and the servers in front of it that can be had, by their names; `folder` makes one for each."""
    settings = origin.room.context.settings
    with ExitStack() as running:
        made = {"app": app}
        for name, server in (("caddy", fronts.caddy), ("nginx", fronts.nginx)):
            if not fronts.MISSING[name]:
                made[name] = running.enter_context(server(folder(name), settings.origin, settings.data, app.port))
        yield made


@pytest.fixture(params=["app", "caddy", "nginx"])
def front(request: pytest.FixtureRequest) -> Front:
    """Each server in turn."""
    return one_of(request, "proxies")


def one_of(request: pytest.FixtureRequest, fixture: str) -> Front:
    """The server that a parameter names, of a fixture's."""
    if why := fronts.MISSING[request.param]:
        pytest.skip(why)
    found: dict[str, Front] = request.getfixturevalue(fixture)
    return found[request.param]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """The same of a site that has an address of its own for its feeds, and another hub beside ours."""
    own = 'feeds_url = "https://feeds.example.org/"\nhubs = ["https://hub.example.net/"]\ntag_host ='
    with opened(tmp_path_factory.mktemp("elsewhere"), CONFIG.replace("tag_host =", own, 1)) as made:
        yield made


@pytest.fixture(scope="module")
def there(elsewhere: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    """The three servers over it."""
    folder = tmp_path_factory.mktemp
    with started(elsewhere, folder("app")) as app, stood_before(app, elsewhere, folder) as made:
        yield made


@pytest.fixture(params=["app", "caddy", "nginx"])
def front_there(request: pytest.FixtureRequest) -> Front:
    """Each of these in turn."""
    return one_of(request, "there")


def codings_of(kind: Kind) -> tuple[str, ...]:
    """What it can be had in: twins are made of feeds."""
    return ("identity", "gzip", "br") if kind in FEEDS or kind in PAGES else ("identity",)


@paths
def test_every_kind_says_what_it_is(front: Front, origin: Origin, kind: Kind) -> None:
    """The bytes that are stored, their type, how long they may be kept, who may read them, and that they run nothing."""
    status, headers, body = front.get(f"/{kind.path}")
    assert (status, body) == (200, origin.body(kind.path))
    assert headers["content-type"] == kind.media_type
    assert headers["content-length"] == str(len(body))
    assert headers["cache-control"] == kind.caching
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-expose-headers"] == "ETag, Link"
    assert headers["vary"] == "Accept-Encoding"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith(NOTHING)
    assert parsedate_to_datetime(headers["last-modified"]) <= datetime.now(UTC) + timedelta(seconds=1)
    assert "set-cookie" not in headers
    assert "content-encoding" not in headers


@paths
def test_a_tag_is_strong_and_differs_by_coding(front: Front, origin: Origin, kind: Kind) -> None:
    """RFC 9110 8.8.3.3: what is compared byte by byte has a tag of its own in each coding, always the same one."""
    tags = set()
    for coding in codings_of(kind):
        status, headers, body = front.get(f"/{kind.path}", Accept_Encoding=coding)
        assert status == 200
        assert headers.get("content-encoding", "identity") == coding
        assert headers["content-type"] == kind.media_type
        assert headers["vary"] == "Accept-Encoding"
        assert UNPACK[coding](body) == origin.body(kind.path)
        assert headers["etag"].startswith('"')
        assert front.get(f"/{kind.path}", Accept_Encoding=coding)[1]["etag"] == headers["etag"]
        tags.add(headers["etag"])
    assert len(tags) == len(codings_of(kind))


@paths
def test_head_says_the_same_without_a_body(front: Front, kind: Kind) -> None:
    """RFC 9110 9.3.2."""
    for coding in codings_of(kind):
        got, head = (front.get(f"/{kind.path}", method, Accept_Encoding=coding) for method in ("GET", "HEAD"))
        assert (head[0], head[2]) == (200, b"")
        # What is known only from the bytes themselves may be left away (RFC 9110 9.3.2); what is said is the same.
        left_away = set(told(got[1])) - set(told(head[1]))
        assert left_away <= {"content-length", "transfer-encoding"}
        assert told(head[1]) == {name: value for name, value in told(got[1]).items() if name not in left_away}


def told(headers: dict[str, str]) -> dict[str, str]:
    """What describes the document, without what describes the connection and the moment."""
    return {name: value for name, value in headers.items() if name not in {"date", "server", "connection", "keep-alive"}}


@paths
def test_an_equal_tag_is_304_with_the_headers_of_the_200(front: Front, kind: Kind) -> None:
    """RFC 9110 15.4.5; compared weakly (13.1.2), in a list, or for whatever stands; to GET and HEAD."""
    for coding in codings_of(kind):
        _, whole, _ = front.get(f"/{kind.path}", Accept_Encoding=coding)
        tag = whole["etag"]
        for given in (tag, f"W/{tag}", f'"other", W/"more", {tag}', f'"other",{tag}', "*"):
            for method in ("GET", "HEAD"):
                status, headers, body = front.get(f"/{kind.path}", method, Accept_Encoding=coding, If_None_Match=given)
                assert (status, body) == (304, b""), given
                for name in ("etag", "cache-control", "vary", "access-control-allow-origin", "access-control-expose-headers"):
                    assert headers.get(name) == whole[name], name
                assert headers["date"]
                assert "content-encoding" not in headers
                assert headers.get("content-length", "0") in {"0", whole.get("content-length", "0")}


@paths
def test_another_tag_is_200(front: Front, kind: Kind) -> None:
    """One of another coding too; no half of a tag, and no tag inside another."""
    tags = {coding: front.get(f"/{kind.path}", Accept_Encoding=coding)[1]["etag"] for coding in codings_of(kind)}
    others = [*(tag for coding, tag in tags.items() if coding != "identity"), '"x"', tags["identity"][:-2] + '"', '""']
    for given in others:
        assert front.get(f"/{kind.path}", If_None_Match=given)[0] == 200, given


@paths
def test_the_tag_decides_alone_where_there_is_one(front: Front, kind: Kind) -> None:
    """RFC 9110 13.2.2: whatever the date beside it says."""
    _, whole, _ = front.get(f"/{kind.path}")
    old, future = (format_datetime(datetime(year, 1, 1, tzinfo=UTC), usegmt=True) for year in (2001, 2096))
    for date in (old, whole["last-modified"], future):
        assert front.get(f"/{kind.path}", If_None_Match=whole["etag"], If_Modified_Since=date)[0] == 304, date
        assert front.get(f"/{kind.path}", If_None_Match='"other"', If_Modified_Since=date)[0] == 200, date


@paths
def test_a_date_alone_is_believed_of_what_is_still(front: Front, app: Front, kind: Kind) -> None:
    """By the ledger's date, whose second is never before the change; nonsense is passed over."""
    date = app.get(f"/{kind.path}")[1]["last-modified"]
    earlier = format_datetime(parsedate_to_datetime(date) - timedelta(seconds=2), usegmt=True)
    assert front.get(f"/{kind.path}", If_Modified_Since=date)[0] == 304
    for given in (earlier, "yesterday", "", "Mon, 01 Jan 0001 00:00:00 +2359"):
        assert front.get(f"/{kind.path}", If_Modified_Since=given)[0] == 200, given


@formats
@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("gzip;q=0", "identity"),
        ("gzip;q=0, br;q=0", "identity"),
        ("br;q=0, gzip", "gzip"),
        ("gzip, br", "br"),
        ("deflate", "identity"),
        ("identity", "identity"),
        ("br;q=0,gzip;q=0.0,*;q=0", "identity"),
    ],
)
def test_a_refused_coding_is_not_sent(front: Front, origin: Origin, kind: Kind, asked: str, given: str) -> None:
    """RFC 9110 12.5.3: q=0 is a refusal. Which one of several welcome ones comes is the server's choice."""
    status, headers, body = front.get(f"/{kind.path}", Accept_Encoding=asked)
    assert status == 200
    assert headers.get("content-encoding", "identity") == given
    assert UNPACK[given](body) == origin.body(kind.path)


@formats
def test_a_range_is_answered_with_the_whole(front: Front, origin: Origin, kind: Kind) -> None:
    """A part of a feed is no feed; ranges may be passed over (RFC 9110 14.2)."""
    status, headers, body = front.get(f"/{kind.path}", Range="bytes=0-1")
    if status == 206:  # Caddy's file server cannot be told: then it is a right one
        assert (headers["content-range"], body) == (f"bytes 0-1/{len(origin.body(kind.path))}", origin.body(kind.path)[:2])
    else:
        assert (status, body) == (200, origin.body(kind.path))


@paths
def test_the_hub_is_named_where_there_is_something_to_subscribe_to(front: Front, kind: Kind) -> None:
    """One header, hub and self (WebSub 4); self is the document's own public address. Nothing of the kind on what is no topic."""
    for headers in (front.get(f"/{kind.path}")[1], front.get(f"/{kind.path}", If_None_Match="*")[1]):
        if not kind.topic:
            assert "link" not in headers
        elif front.name != "app" or HUB_IN_THE_APP or "link" in headers:
            assert headers["link"] == f'<{front.public_url}hub>; rel="hub", <{front.public_url}{kind.path}>; rel="self"'


@pytest.mark.parametrize("kind", FEEDS, ids=lambda kind: kind.path)
def test_the_hubs_of_a_site_are_named_with_its_own_address(front_there: Front, elsewhere: Origin, kind: Kind) -> None:
    """Where the site has `feeds_url` and `hubs`: as in the document itself, for our hub takes no other address as a topic."""
    own = f"https://feeds.example.org/{kind.path.rpartition('/')[2]}"
    hubs = [f"{front_there.public_url}hub", "https://hub.example.net/"]
    for asked in ({}, {"Accept_Encoding": "gzip"}, {"If_None_Match": "*"}):
        status, headers, body = front_there.get(f"/{kind.path}", **asked)
        assert status == (304 if "If_None_Match" in asked else 200)
        assert headers["link"] == ", ".join([*(f'<{hub}>; rel="hub"' for hub in hubs), f'<{own}>; rel="self"'])
        assert headers["cache-control"] == kind.caching
    body = elsewhere.body(kind.path)
    assert all(address.encode() in body for address in (own, *hubs))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
@somewhere
def test_what_cannot_be_done_here_is_405(front: Front, path: str, method: str) -> None:
    """With what can be (RFC 9110 15.5.6), whether anything stands there or not; a page elsewhere may read that, too."""
    status, headers, _ = front.get(f"/{path}", method)
    assert status == 405
    assert {word.strip() for word in headers["allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}
    assert headers["access-control-allow-origin"] == "*"


@somewhere
def test_a_browser_may_ask_with_a_tag_from_any_page(front: Front, path: str) -> None:
    """Which it asks about first (Fetch, CORS-preflight request): the answer is 2xx, and allows method and header."""
    asked = {"Origin": "https://reader.example", "Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "if-none-match"}
    status, headers, body = front.get(f"/{path}", "OPTIONS", **asked)
    assert (status, body) == (204, b"")
    assert {word.strip() for word in headers["allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}
    said = {name.removeprefix("access-control-"): value for name, value in headers.items() if name.startswith("access-control-")}
    assert (said["allow-origin"], said["allow-methods"], said["allow-headers"], said["max-age"]) == ("*", "GET, HEAD", "*", "86400")


@pytest.mark.parametrize(
    "path",
    [
        "/demo/feeds/none.rss",
        "/demo/feeds/all.xml",
        "/demo/feeds/all",
        "/demo/feeds/all.rss.gz",
        "/demo/feeds/all.rss/",
        "/demo/feeds/all.RSS",
        "/demo/feeds/",
        "/demo/feeds/.fence-demo_feed_all",
        "/demo/feeds/..%2f..%2fpressrun.toml",
        "/demo/feeds/all-2026-10-2.atom",
        "/demo/sitemaps/none.xml",
        "/demo/items/none.ninjs.json",
        "/other/feeds/all.rss",
        "/.fence-demo_feed_all",
    ],
)
def test_what_never_was_is_404(front: Front, path: str) -> None:
    """A problem document, kept by nobody; neither a file beside the documents nor one outside."""
    status, headers, _ = front.get(path)
    assert (status, headers["content-type"], headers["cache-control"]) == (404, "application/problem+json", "no-store")
    assert headers.get("access-control-allow-origin", "") == ("*" if re.match("/[a-z]+/(feeds|sitemaps|items)/", path) else "")


@formats
def test_a_closed_feed_is_410_and_a_renamed_one_301(front: Front, origin: Origin, kind: Kind) -> None:
    """To who has its tag too. It is 200 again once it is opened again."""
    body, address = origin.body(kind.path), f"{front.public_url}{kind.path.replace('/all', '/world')}"
    tag = front.get(f"/{kind.path}")[1]["etag"]
    notice = Document(kind.path, "text/html; charset=utf-8", b"<p>Closed", DocumentStatus.GONE)
    moved = Document(kind.path, kind.media_type, b"", DocumentStatus.MOVED, address)
    try:
        for bare, said in ((False, b"<p>Closed"), (True, None)):
            origin.store(notice, bare=bare)
            for asked in ({}, {"If_None_Match": tag}, {"If_None_Match": "*"}, {"Accept_Encoding": "gzip"}):
                status, headers, got = front.get(f"/{kind.path}", **asked)
                assert (status, headers["cache-control"], headers["access-control-allow-origin"]) == (410, "no-cache", "*")
                assert said is None or got == said
                assert "etag" not in headers
            assert front.get(f"/{kind.path}", "HEAD")[0] == 410
        origin.store(moved, bare=True)
        for asked in ({}, {"If_None_Match": tag}):
            status, headers, _ = front.get(f"/{kind.path}", **asked)
            assert (status, headers["location"], headers["cache-control"]) == (301, address, "public, max-age=3600")
    finally:
        origin.put(kind.path, kind.media_type, body, twins=True)
    assert front.get(f"/{kind.path}")[::2] == (200, body)


@formats
def test_a_newer_document_is_what_the_next_get_sees(front: Front, origin: Origin, kind: Kind) -> None:
    """In every coding, though a twin of the older one stood there, though it has the same size, and though all happens in a second."""
    path, before = f"/{kind.path}", origin.body(kind.path)
    tags = {coding: front.get(path, Accept_Encoding=coding)[1]["etag"] for coding in UNPACK}
    seen = {coding: {tag} for coding, tag in tags.items()}
    try:
        for number in range(6):
            body = before.replace(b"quiet", b"QUIE" + str(number).encode())
            assert len(body) == len(before)
            origin.put(kind.path, kind.media_type, body)
            for coding in UNPACK:
                status, headers, got = front.get(path, Accept_Encoding=coding, If_None_Match=tags[coding])
                assert status == 200, (number, coding)
                assert UNPACK[headers.get("content-encoding", "identity")](got) == body, (number, coding)
                tags[coding] = headers["etag"]
            assert tags["identity"] not in seen["identity"]
            seen["identity"].add(tags["identity"])
    finally:
        origin.put(kind.path, kind.media_type, before, twins=True)
    for coding, unpack in UNPACK.items():
        assert unpack(front.get(path, Accept_Encoding=coding)[2]) == before


@formats
def test_bytes_that_nobody_settled_are_not_served(front: Front, origin: Origin, kind: Kind) -> None:
    """Between a rename and its settling: the document before, or the word that it is being made; never the newer one before its row."""
    path, before = f"/{kind.path}", origin.body(kind.path)
    assert front.get(path)[0] == 200
    backend = origin.room.context.origin(KEY)
    try:
        for suffix in (".gz", ".br"):
            backend.delete(kind.path + suffix, 10**6)
        backend.put(kind.path, before + b" ", kind.media_type, 10**6)
        status, _, body = front.get(path)
        assert (status, body) == (200, before) or status == 503
    finally:
        origin.put(kind.path, kind.media_type, before, twins=True)


@formats
def test_what_is_still_comes_from_the_folder(front: Front, app: Front, kind: Kind) -> None:
    """The app is not asked: the servers in front have tags of their own."""
    for coding in UNPACK:
        here, there = (server.get(f"/{kind.path}", Accept_Encoding=coding)[1]["etag"] for server in (front, app))
        assert (here == there) is (front is app)


def test_a_feed_is_read_as_what_it_says_it_is(front: Front) -> None:
    """The document itself, once through: JSON is JSON, and XML is well-formed."""
    from lxml import etree

    for kind in FEEDS:
        _, _, body = front.get(f"/{kind.path}")
        assert json.loads(body)["items"] if kind.path.endswith(".json") else len(etree.fromstring(body))
