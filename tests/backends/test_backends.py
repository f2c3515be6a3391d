"""The promises of `contract.Backend`, kept by every backend alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.backends import Backend, kinds, open_backend
from pipeline.backends.contract import components
from pipeline.kit.http import Http
from pipeline.model.errors import ConfigError, FenceLost
from tests.support.put_server import PutServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "Bearer t0ken"


@pytest.fixture(params=["local", "memory", "http"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """One of each kind, empty."""
    if request.param != "http":
        yield open_backend(request.param, root_or_url=tmp_path / "deep" / "root", fence_name="demo/mirror:uk")
        return
    with PutServer(tmp_path, TOKEN) as server:
        yield open_backend("http", root_or_url=server.url, http=Http([server.authority]), token=TOKEN)


def test_every_kind_is_tried_here() -> None:
    """A new backend must join the contract tests."""
    assert kinds() == ("http", "local", "memory")


def test_an_unknown_kind_is_a_mistake_in_the_configuration() -> None:
    """The message names those that exist, and a module beside them is none."""
    for kind in ("ftp", "contract", "../local", ""):
        with pytest.raises(ConfigError, match="http, local, memory"):
            open_backend(kind, root_or_url="x")


@pytest.mark.parametrize("body", [b"", b"hello", bytes(range(256)) * 4000], ids=["empty", "small", "megabyte"])
def test_what_was_put_is_read_back(backend: Backend, body: bytes) -> None:
    """Byte for byte, with its size, in folders that did not exist."""
    backend.put("a/b/page.html", body, "text/html", 1)
    assert backend.get("a/b/page.html") == body
    found = backend.stat("a/b/page.html")
    assert found is not None
    assert found.size == len(body)
    assert found.modified_ns > 1_700_000_000 * 10**9


def test_a_put_replaces(backend: Backend) -> None:
    """The newest bytes stand, shorter ones too."""
    for body in (b"first and long", b"2nd"):
        backend.put("feed.rss", body, "application/rss+xml", 1)
    assert backend.get("feed.rss") == b"2nd"


def test_what_is_not_there_is_none(backend: Backend) -> None:
    """Neither reading nor deleting it is an error."""
    assert backend.get("no/such") is None
    assert backend.stat("no/such") is None
    backend.delete("no/such", 1)


def test_what_was_deleted_is_gone(backend: Backend) -> None:
    """A second delete is fine, and a put brings it back."""
    backend.put("a/x", b"1", "text/plain", 1)
    backend.delete("a/x", 1)
    backend.delete("a/x", 1)
    assert backend.get("a/x") is None
    backend.put("a/x", b"2", "text/plain", 1)
    assert backend.get("a/x") == b"2"


def test_a_marker_is_a_file_like_any_other(backend: Backend) -> None:
    """`.gone` beside a page can be put, read and removed."""
    backend.put("page-0123456789/.gone", b"", "text/plain", 1)
    assert backend.get("page-0123456789/.gone") == b""
    backend.delete("page-0123456789/.gone", 1)
    assert backend.gone in {"marker", "delete"}


BAD_PATHS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a/./b",
    ".",
    "a//b",
    "a/",
    "a\\b",
    "a\0b",
    "a\nb",
    "a b",
    "ä",
    "a/%2e%2e/b",
    "c:x",
    "x" * 141,
    "/".join(["abcdefgh"] * 200),
    ".tmp-1",
    "a/.tmp-x",
    ".fence-demo",
    "a?b",
    "a#b",
    "~",
    "a\n",
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_lead_elsewhere_are_refused(backend: Backend, path: str) -> None:
    """By every method, before anything is touched."""
    with pytest.raises(ValueError, match="Not a path"):
        backend.put(path, b"x", "text/plain", 1)
    with pytest.raises(ValueError, match="Not a path"):
        backend.get(path)
    with pytest.raises(ValueError, match="Not a path"):
        backend.stat(path)
    with pytest.raises(ValueError, match="Not a path"):
        backend.delete(path, 1)


@given(st.text(alphabet="abc./-_~\\ \n%A0", max_size=30) | st.text(max_size=20))
def test_a_path_is_refused_or_harmless(path: str) -> None:
    """Whatever passes has only plain components."""
    try:
        parts = components(path)
    except ValueError:
        return
    assert "/".join(parts) == path
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", part) and part not in {".", ".."} for part in parts)


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_who_comes_with_a_lower_fence_is_too_late(tmp_path: Path, kind: str) -> None:
    """Neither put nor delete takes effect; an equal or higher one does."""
    old = open_backend(kind, root_or_url=tmp_path / kind, fence_name="demo/feed:all")
    new = open_backend(kind, root_or_url=tmp_path / kind, fence_name="demo/feed:all")
    old.put("a", b"old", "text/plain", 7)
    new.put("a", b"new", "text/plain", 8)
    with pytest.raises(FenceLost):
        old.put("a", b"late", "text/plain", 7)
    with pytest.raises(FenceLost):
        old.delete("a", 7)
    assert new.get("a") == b"new"
    new.put("a", b"again", "text/plain", 8)
    old.put("a", b"taken back", "text/plain", 9)
    assert new.get("a") == b"taken back"


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_outlets_in_one_root_have_fences_of_their_own(tmp_path: Path, kind: str) -> None:
    """The feeds of a site share a folder; one's high number must not stop another."""
    one = open_backend(kind, root_or_url=tmp_path / kind, fence_name="demo/feed:all")
    two = open_backend(kind, root_or_url=tmp_path / kind, fence_name="demo/feed:world")
    one.put("all", b"1", "text/plain", 100)
    two.put("world", b"2", "text/plain", 1)
    assert one.get("world") == b"2"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("pd"), st.sampled_from(["a", "b/c", "b/d"]), st.integers(1, 5), st.binary(max_size=9)), max_size=12)
)
def test_local_and_memory_do_the_same(tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, str, int, bytes]]) -> None:
    """Any history of puts and deletes under any fences leaves the same documents."""
    folder = tmp_path_factory.mktemp("same")
    pair = [open_backend(kind, root_or_url=folder / kind, fence_name="o") for kind in ("local", "memory")]
    for backend in pair:
        backend.put("first", b"", "text/plain", 1)
        backend.put("b/first", b"", "text/plain", 1)
    for act, path, fence, body in acts:
        outcomes = []
        for backend in pair:
            try:
                backend.put(path, body, "text/plain", fence) if act == "p" else backend.delete(path, fence)
                outcomes.append("done")
            except FenceLost:
                outcomes.append("late")
        assert outcomes[0] == outcomes[1]
    assert [pair[0].get(p) for p in ("a", "b/c", "b/d")] == [pair[1].get(p) for p in ("a", "b/c", "b/d")]
