"""Board: paths. No spelling of an address reads a file that was not published, writes outside its root, or puts a line into a header."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipeline.backends import open_backend
from pipeline.cli.start import first_token
from pipeline.context import open_context, register
from pipeline.kit.clock import SetClock
from pipeline.kit.http import Http
from pipeline.web.app import ROUTES
from tests.boards import urls
from tests.boards.board import none_of
from tests.boards.server import Web, web_in
from tests.conftest import Newsroom, article
from tests.support.peers import OK, Peer, answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = b"canary-4f1d"
PARAMETER = re.compile(r"\{[a-z_]+(?::path)?\}")
USUAL = {"site": "demo", "mirror": "one", "source": "newsroom"}
NO = {400, 401, 404, 405}
PUBLISHED = {"/", "/demo/feeds/all.rss", "/mirrors/demo/one/"}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, bytes]]:
    """A process with one article out, canaries all around what is served, and the token of its API."""
    folder = tmp_path_factory.mktemp("paths")
    with web_in(folder, "httptools") as made:
        context = open_context(folder / "pressrun.toml", SetClock(datetime.now(UTC)))
        register(context)
        room = Newsroom(context, SetClock(datetime.now(UTC)))
        room.send("published", article())
        room.drain()
        token = first_token(context).encode()
        context.close()
        for place in (
            "",
            "data",
            "data/origin",
            "data/origin/demo",
            "data/origin/demo/feeds",
            "data/mirrors",
            "data/mirrors/demo",
            "data/mirrors/demo/one",
        ):
            (folder / place / "canary").mkdir()
            for name in ("canary.rss", "canary.jpg", "canary.json", "canary/index.html"):
                (folder / place / name).write_bytes(CANARY)
        yield made, token


def routes() -> Iterator[tuple[str, str]]:
    """(what stands before, what stands after) each parameter of each path that can be asked for."""
    for route in ROUTES:
        for found in PARAMETER.finditer(route.path):
            before, after = route.path[: found.start()], route.path[found.end() :]
            yield PARAMETER.sub(_usual, before), PARAMETER.sub(_usual, after)


def _usual(parameter: re.Match[str]) -> str:
    return USUAL.get(parameter[0].strip("{}").partition(":")[0], "all.rss")


def test_no_path_leads_to_what_was_not_published(web: tuple[Web, bytes]) -> None:
    """With the token and without: refused in words; no canary, no secret, no ledger in any answer, and no header of somebody else's."""
    process, token = web
    failed: list[object] = []
    places = list(dict.fromkeys(routes()))
    tried = [(before + path + after, number) for before, after in places for number, path in enumerate(urls.paths())]
    for path, number in tried:
        bearer = b"authorization: Bearer " + token + b"\r\n" if number % 2 else b""
        heard = process.ask(b"GET " + path.encode() + b" HTTP/1.1\r\nhost: a\r\n" + bearer + b"connection: close\r\n\r\n")
        leaked = any(secret in heard.body for secret in (CANARY, b"whsec_", b"SQLite format", b"[sources.", b"root:"))
        good = NO | {200, 303} if re.split("[?#]", path)[0] in PUBLISHED else NO
        if heard.status not in good or leaked or "x-injected" in heard.headers or (heard.status in NO and not heard.is_problem):
            failed.append((path, heard))
    none_of(tried, failed, least=4000)
    assert process.faults() == []
    assert process.ask(b"GET /demo/feeds/all.rss HTTP/1.1\r\nhost: a\r\n\r\n").status == 200


KINDS = ("local", "memory", "http")
_CODED: tuple[str, ...] = (
    "..",
    ".",
    "",
    "/",
    "//",
    "a//b",
    "/etc/passwd",
    "a/../b",
    "a/./b",
    "./a",
    "../a",
    "a/..",
    "..\\a",
    "a\\b",
    "C:\\a",
    "a\0b",
    "a\nb",
    "a\r\nX: y",
    "a b",
    "a%2fb",
    "%2e%2e/a",
    "\u2025/a",
)
_CODED += (
    "a/\uff0e\uff0e/b",
    "a\u2215b",
    "\uff0fa",
    "\u0430",
    "a" * 141,
    "/".join("a" * 600),
    ".tmp-1",
    ".fence-x",
    "a/.tmp-1/b",
    "~",
    "~/a",
    "$HOME",
    "a:b",
    "a*",
    "a?",
    "a|b",
    "a;b",
    "a\u202eb",
    "a\ud800",
    "a&b",
    "'",
    '"',
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_backend_leaves_its_root(kind: str, tmp_path: Path) -> None:
    """ValueError from each of the four methods, before anything is touched; beside the root nothing was made, nobody was asked."""
    root, peer = tmp_path / "root", Peer(answering(OK))
    root.mkdir()
    (tmp_path / "outside").write_bytes(CANARY)
    place = f"http://127.0.0.1:{peer.port}/put/" if kind == "http" else root
    backend = open_backend(kind, root_or_url=place, http=Http([f"127.0.0.1:{peer.port}"]), fence_name="demo/mirror:one")
    cases = list(
        dict.fromkeys((*_CODED, *(p for p in urls.paths() if not re.fullmatch(r"(?:[A-Za-z0-9._-]{1,140}/)*[A-Za-z0-9._-]{1,140}", p))))
    )
    cases += [p for p in urls.paths() if ".." in p.split("/") or "." in p.split("/")]
    failed = []
    for path in cases:
        for ask in (
            lambda p: backend.put(p, b"x", "text/plain", 1),
            backend.get,
            backend.stat,
            lambda p: backend.delete(p, 1),
        ):
            try:
                ask(path)
            except ValueError:
                continue
            failed.append(path)
    peer.close()
    none_of(cases, failed, least=300)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outside", "root"]
    assert (tmp_path / "outside").read_bytes() == CANARY
    assert list(root.iterdir()) == []
    assert peer.connections == 0
