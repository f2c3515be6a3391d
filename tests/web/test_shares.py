"""Share payloads by id: whose they are is never guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from pipeline.ledger import events
from pipeline.web.app import make_app
from tests.conftest import CONFIG, Newsroom, article, open_newsroom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = '[sources.archive]\nsite = "demo"\nsecrets = ["env:PRESSRUN_TEST_SECRET"]\nid_space = "old"\n'


@pytest.fixture(params=["sqlite", "postgres"])
def two_spaces(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Newsroom]:
    """A site with two senders that count their articles apart."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = open_newsroom(tmp_path, url, CONFIG + SECOND)
    yield made
    made.context.close()


def send(room: Newsroom, source: str, headline: str) -> None:
    """An article with the id both have."""
    body = room.body("published", article(headline=headline))
    made = room.event(body)
    with room.context.ledger.write() as tx:
        events.add(tx, [replace(made, event_id=f"{source}-{made.event_id}", source=source)])


def test_an_id_that_two_articles_bear_is_answered_with_both(two_spaces: Newsroom) -> None:
    """300 with an address for each; these addresses are one article's alone."""
    send(two_spaces, "newsroom", "From the newsroom")
    send(two_spaces, "archive", "From the archive")
    two_spaces.drain()
    client = TestClient(make_app(two_spaces.context, lambda _n: None))
    answer = client.get("/demo/shares/a-1.json")
    assert answer.status_code == 300
    choices = answer.json()["choices"]
    assert [choice["article_id"].partition(":")[2].partition(":")[2] for choice in choices] == ["newsroom/a-1", "old/a-1"]
    assert {choice["id"] for choice in choices} == {"a-1"}
    for choice, words in zip(choices, ("newsroom", "archive"), strict=True):
        one = client.get(choice["url"])
        assert one.status_code == 200
        assert one.json()["article_id"] == choice["article_id"]
        assert words in str(one.json()["shares"])


def test_an_id_of_one_article_is_answered_with_its_payloads(two_spaces: Newsroom) -> None:
    """As ever; and what is no id of this site is 404."""
    send(two_spaces, "archive", "From the archive")
    two_spaces.drain()
    client = TestClient(make_app(two_spaces.context, lambda _n: None))
    assert "From the archive" in str(client.get("/demo/shares/a-1.json").json()["shares"])
    assert client.get("/demo/shares/a-2.json").status_code == 404
    assert client.get("/other/shares/a-1.json").status_code == 404
