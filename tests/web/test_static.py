"""The pictures of the samples over HTTP: each one, nothing else, and kept by who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from pipeline.rules import schema
from pipeline.web.app import make_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Newsroom

PICTURES = sorted((schema.folder() / "examples" / "images").glob("*.jpg"))


@pytest.fixture
def visitor(small_newsroom: Newsroom) -> Iterator[TestClient]:
    """A client of the app."""
    with TestClient(make_app(small_newsroom.context, lambda _n: None), follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_every_picture_is_served_as_it_is(visitor: TestClient, picture: Path) -> None:
    """As a JPEG that no browser takes for anything else, for a week."""
    answer = visitor.get(f"/static/examples/{picture.name}")
    assert answer.status_code == 200
    assert answer.content == picture.read_bytes()
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "public, max-age=604800"


def test_who_has_a_picture_is_told_so(visitor: TestClient) -> None:
    """By its tag, and by its date."""
    address = f"/static/examples/{PICTURES[0].name}"
    known = visitor.get(address).headers
    for asked in ({"if-none-match": known["etag"]}, {"if-modified-since": known["last-modified"]}):
        answer = visitor.get(address, headers=asked)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["cache-control"] == known["cache-control"]


@pytest.mark.parametrize(
    "name", ["nobody.jpg", "README.md", "01-anatomy.json", "..%2F01-anatomy.json", "..%2F..%2Fevent.v1.json", "%2Fetc%2Fpasswd", ""]
)
def test_nothing_else_is_served(visitor: TestClient, name: str) -> None:
    """Neither what is not there, nor what lies beside the folder."""
    assert visitor.get(f"/static/examples/{name}").status_code == 404


def test_a_picture_is_only_read(visitor: TestClient) -> None:
    """HEAD answers without the bytes; nothing can be put there."""
    address = f"/static/examples/{PICTURES[0].name}"
    answer = visitor.head(address)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == PICTURES[0].stat().st_size
    assert visitor.put(address, content=b"x").status_code == 405
