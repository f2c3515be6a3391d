"""Two programs that people read feeds with subscribe to a running instance: a new article, a corrected one, a withdrawn one.

What a reader does with an entry that a feed does not show any more is its own business, and told as it is.
"""

from __future__ import annotations

import itertools
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import feedparser
import pytest

from tests.conftest import article
from tests.readers import library, newsboat
from tests.support.running import running_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from tests.support.running import Running

    Subscribe = Callable[[str], "newsboat.Newsboat | library.Library"]

__all__ = ["running_sqlite"]
_stories = itertools.count(1)
no_newsboat = pytest.mark.skipif(bool(newsboat.MISSING), reason=newsboat.MISSING)


@pytest.fixture(
    params=[
        *(pytest.param(("newsboat", extension), marks=no_newsboat, id=f"newsboat-{extension}") for extension in newsboat.KNOWS),
        *(pytest.param(("library", extension), id=f"reader-{extension}") for extension in library.KNOWS),
    ]
)
def subscriber(
    request: pytest.FixtureRequest, tmp_path: Path, running_sqlite: Running
) -> Iterator[tuple[newsboat.Newsboat | library.Library, str]]:
    """Each reader with each format it knows, and the address it is subscribed to."""
    name, extension = request.param
    url = f"http://127.0.0.1:{running_sqlite.context.settings.server.port}/demo/feeds/all.{extension}"
    if name == "newsboat":
        yield newsboat.Newsboat(tmp_path, url), url
        return
    made = library.Library(tmp_path, url)
    yield made, url
    made.close()


def send(room: Running, kind: str, **data: Any) -> None:
    """Publish, and wait until every outlet has it."""
    room.send(kind, data)
    room.settle()


def test_a_reader_follows_an_article_through_its_life(
    subscriber: tuple[newsboat.Newsboat | library.Library, str], running_sqlite: Running
) -> None:
    """It comes once, a correction replaces it in place, and who subscribes after its withdrawal never sees it."""
    reader, url = subscriber
    room = running_sqlite
    first, second = (f"read-{next(_stories)}" for _ in range(2))
    guid = f"tag:example.org,2026-01-01:demo/{first}"

    def shown(guid: str) -> list[tuple[str, str]]:
        return [(title, text) for found, title, text in reader.shows() if found == guid]

    dates: list[datetime] = []

    def asks() -> None:
        # Newsboat passes over what is dated within the same second as what it has; its people do not ask twice in one.
        room.until(lambda: not dates or date_of(room, url) > dates[-1])
        reader.update()
        dates.append(date_of(room, url))

    send(room, "published", **article(id=first, url=f"https://www.example.org/news/{first}.html", headline="A quiet harbour"))
    asks()
    ((title, text),) = shown(guid)
    assert (title, "The harbour was quiet." in text) == ("A quiet harbour", True)

    send(room, "published", **article(id=second, url=f"https://www.example.org/news/{second}.html", headline="A second boat"))
    asks()
    assert [title for title, _ in shown(guid.replace(first, second))] == ["A second boat"]
    assert len(shown(guid)) == 1

    changed = article(
        id=first,
        url=f"https://www.example.org/news/{first}.html",
        headline="A loud harbour",
        body_html="<p>The harbour was loud.</p>",
        updated_at="2026-11-23T07:40:00Z",
        correction={"note": "We had said quiet.", "at": "2026-11-23T07:40:00Z"},
    )
    send(room, "corrected", **changed)
    asks()
    ((title, text),) = shown(guid)
    assert (title, "The harbour was loud." in text, "We had said quiet." in text) == ("A loud harbour", True, True)

    before = reader.shows()
    reader.update()
    assert reader.shows() == before

    send(room, "withdrawn", id=first)
    assert guid not in ids_in(room, url)
    assert guid.replace(first, second) in ids_in(room, url)
    asks()
    assert bool(shown(guid)) is reader.keeps_what_a_feed_drops
    assert len(shown(guid.replace(first, second))) == 1


def date_of(room: Running, url: str) -> datetime:
    """When the feed says that it was changed."""
    return parsedate_to_datetime(room.get(url).headers["last-modified"])


def ids_in(room: Running, url: str) -> list[str]:
    """What the feed shows now."""
    answer = room.get(url)
    if url.endswith(".json"):
        return [item["id"] for item in answer.json()["items"]]
    return [entry.id for entry in feedparser.parse(answer.body).entries]
