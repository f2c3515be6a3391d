"""What stands at a mirror is torn, half way or cannot be written: readers and rows are not misled, and it is made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from pipeline import mirrors, recovery
from pipeline.backends.local import LocalBackend
from pipeline.ledger import documents
from pipeline.model.errors import Transient
from pipeline.web.app import make_app
from tests.conftest import Newsroom, article
from tests.support.mirrors import KEY, has_work, outlet, settle_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.model.document import Document


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While the list holds anything, no file can be written in a mirror."""
    real: Callable[..., None] = LocalBackend.put
    full: list[bool] = []

    def put(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if full and "mirrors" in str(self._root):
            message = "No space left on device"
            raise Transient(message)
        real(self, path, body, media_type, fence)

    monkeypatch.setattr(LocalBackend, "put", put)
    return full


def test_feeds_of_a_mirror_with_nothing_else_due_are_not_forgotten(small_newsroom: Newsroom, full_disk: list[bool]) -> None:
    """A torn feed is found, the disk is full for one run: it is made again by itself, and the circuit knew of the failure."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    small_newsroom.clock.move(10)
    feed = small_newsroom.context.settings.data / "mirrors/demo/one/feeds/all.rss"
    whole = feed.read_bytes()
    feed.write_bytes(b"torn")
    assert [drift.path for drift in recovery.verify(small_newsroom.context, KEY)[1]] == ["feeds/all.rss"]
    full_disk.append(True)
    small_newsroom.drain()
    assert outlet(small_newsroom.context).circuit_failures == 1
    assert outlet(small_newsroom.context).next_edge_at is not None
    full_disk.clear()
    settle_for(small_newsroom, seconds=3, times=2)
    assert feed.read_bytes() == whole
    after = outlet(small_newsroom.context)
    assert (after.circuit_failures, after.next_edge_at) == (0, None)


def test_a_full_disk_with_nothing_due_is_tried_ever_more_seldom(small_newsroom: Newsroom, full_disk: list[bool]) -> None:
    """No run follows at once on a failed one: time brings the next."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    with small_newsroom.context.ledger.write() as tx:
        documents.distrust(tx, KEY, {"feeds/all.rss": None})
    full_disk.append(True)
    run = mirrors.run(small_newsroom.context, [KEY])
    assert run.nudges == ()
    assert not has_work(small_newsroom.context, KEY)


@pytest.fixture
def visitor(small_newsroom: Newsroom) -> TestClient:
    """A reader of the local mirror; nothing runs but what a test asks for."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    small_newsroom.clock.move(10)
    return TestClient(make_app(small_newsroom.context, lambda _n: None), follow_redirects=False)


def files_of(room: Newsroom) -> tuple[Path, str]:
    """(file of the article's page, its address)."""
    page = next((room.context.settings.data / "mirrors/demo/one").glob("quiet*/index.html"))
    return page, f"/mirrors/demo/one/{page.parent.name}/"


@pytest.mark.parametrize("torn", [b"", b"<!doctype", None], ids=["empty", "cut", "missing"])
@pytest.mark.parametrize("place", ["page", "index.html", "feeds/all.atom"])
def test_a_torn_document_is_not_served_and_made_again(
    visitor: TestClient, small_newsroom: Newsroom, torn: bytes | None, place: str
) -> None:
    """After power loss a file may be empty: 503 at once and until it is whole, then the same bytes as before."""
    page, address = files_of(small_newsroom)
    root = small_newsroom.context.settings.data / "mirrors/demo/one"
    file, address = (page, address) if place == "page" else (root / place, f"/mirrors/demo/one/{place}")
    whole = visitor.get(address)
    assert whole.status_code == 200
    if torn is None:
        file.unlink()
    else:
        file.write_bytes(torn)
    answer = visitor.get(address)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert visitor.get(address).status_code == (503 if torn is not None else 404)
    small_newsroom.drain()
    again = visitor.get(address)
    assert (again.status_code, again.content, again.headers["etag"]) == (200, whole.content, whole.headers["etag"])


def test_torn_twins_are_packed_anew_after_a_start(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """Nothing compares their bytes, so none of them is trusted after a start."""
    feed = small_newsroom.context.settings.origin / "demo/feeds/all.json"
    small_newsroom.drain()
    whole = {suffix: feed.with_name(feed.name + suffix).read_bytes() for suffix in (".gz", ".br")}
    for suffix in whole:
        feed.with_name(feed.name + suffix).write_bytes(b"")
    assert recovery.check_feeds(small_newsroom.context) == ()
    answer = visitor.get("/demo/feeds/all.json", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    small_newsroom.clock.move(3)
    small_newsroom.drain()
    assert {suffix: feed.with_name(feed.name + suffix).read_bytes() for suffix in whole} == whole
    assert visitor.get("/demo/feeds/all.json", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_a_page_under_way_has_no_validator(visitor: TestClient, small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice that is put and not settled is 410, a new text 200; neither bears the tag of what stood there before."""
    _, address = files_of(small_newsroom)
    old = visitor.get(address)
    real, seen = mirrors._settle, []

    def settle(*arguments: Any) -> int:
        seen.append(visitor.get(address, headers={"If-None-Match": old.headers["etag"]}))
        return real(*arguments)

    monkeypatch.setattr(mirrors, "_settle", settle)
    small_newsroom.send("updated", article(headline="Corrected", updated_at="2026-11-23T07:30:00Z"))
    small_newsroom.drain()
    small_newsroom.clock.move(10)
    small_newsroom.send("withdrawn", {"id": "a-1", "reason": "It was wrong"})
    small_newsroom.drain()
    corrected, withdrawn = seen
    assert corrected.status_code == 200
    assert "Corrected" in corrected.text
    assert withdrawn.status_code == 410
    for answer in seen:
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-cache"
    assert visitor.get(address).status_code == 410


def test_a_page_named_and_not_yet_put_is_still_the_old_one(
    visitor: TestClient, small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the put its bytes are those of the row, and so is its tag."""
    _, address = files_of(small_newsroom)
    old = visitor.get(address)
    real, seen = mirrors._place, []

    def place(press: Any, document: Document, kept: Any) -> None:
        if "quiet" in document.path:
            seen.append(visitor.get(address))
        real(press, document, kept)

    monkeypatch.setattr(mirrors, "_place", place)
    small_newsroom.send("updated", article(headline="Corrected", updated_at="2026-11-23T07:30:00Z"))
    small_newsroom.drain()
    assert [(answer.status_code, answer.content, answer.headers["etag"]) for answer in seen] == [(200, old.content, old.headers["etag"])]
