"""One site, one source and one moment for the tests of the rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.model.settings import Site, Source
from pipeline.rules import schema


@pytest.fixture(scope="session")
def site() -> Site:
    """A site without outlets, whose photographs need a credit."""
    return Site(
        name="demo",
        title="The Test Courier",
        home_url="https://www.example.org/",
        language="en",
        publisher="The Test Courier",
        tag_host="example.org",
        tag_date="2026-01-01",
    )


@pytest.fixture(scope="session")
def source() -> Source:
    """A source that leaves the hosts of its URLs to the site."""
    return Source(name="newsroom", site="demo", id_space="newsroom")


@pytest.fixture(scope="session")
def received_at() -> datetime:
    """When the event arrived: an hour after the small article was published."""
    return datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def schemas_are_read() -> None:
    """Before the first example of a property, which would else take longer than the others and be called flaky."""
    schema.problems("event.v1.json", {})
    schema.problems("article.v1.json", {})
    schema.problems("share.v1.json", {})
