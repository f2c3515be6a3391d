"""Entries made from golden stories, and the third-party data that lies beside the checkout."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.article import Article
from pipeline.model.entry import Entry
from pipeline.model.settings import Network, Site
from pipeline.rules.article import from_native

GOLDEN = Path(__file__).parents[1] / "golden"

Golden = Callable[[str], Article]
MakeEntry = Callable[..., Entry]


@pytest.fixture(scope="session")
def site() -> Site:
    """A newsroom of the golden stories."""
    return Site("demo", "The Example News", "https://news.example/", "en", "Example Publishing", "news.example", "2026-01-01")


@pytest.fixture(scope="session")
def configured() -> Mapping[str, Network]:
    """Every network with an account of its own: no placeholder is left."""
    options = {
        "facebook": (("page_id", "102030405060708"),),
        "linkedin": (("organization", "1357924"),),
        "telegram": (("chat_id", "@examplenews"),),
        "mastodon": (("instance", "social.example"), ("visibility", "unlisted")),
        "bluesky": (("did", "did:plc:abcdefghijklmnopqrstuvwx"),),
    }
    names = ("x", "facebook", "linkedin", "telegram", "mastodon", "bluesky", "whatsapp", "email")
    return {name: Network(name, account="example_news" if name == "x" else "", options=options.get(name, ())) for name in names}


@pytest.fixture(scope="session")
def golden() -> Golden:
    """`golden(case)`: the article of `tests/golden/<case>.article.json`."""
    return lambda case: from_native(json.loads((GOLDEN / f"{case}.article.json").read_text("utf-8"))["article"])


@pytest.fixture(scope="session")
def make_entry(golden: Golden) -> MakeEntry:
    """`make_entry(article=the golden story, **changes)`: its entry at the canonical page."""

    def make(article: Article | None = None, **changes: object) -> Entry:
        made = replace(article or golden("anatomy"), **changes)  # type: ignore[arg-type]
        return Entry(
            identity=f"tag:news.example,2026-01-01:cms/{made.id}",
            short_id="abcdefghij",
            revision=made.version or 1,
            link=made.url,
            article=made,
            modified_at=made.updated_at or made.published_at,
        )

    return make


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Where third-party test data lies; skips where it is not at hand."""
    folder = Path(os.environ.get("PRESSRUN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the third-party test data is not at hand (PRESSRUN_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def naughty(data_folder: Path) -> tuple[str, ...]:
    """The big list of naughty strings; skips where it is not at hand."""
    path = data_folder / "corpora" / "naughty-strings.json"
    if not path.is_file():
        pytest.skip("naughty-strings.json is not at hand (PRESSRUN_TEST_DATA)")
    return tuple(json.loads(path.read_text("utf-8")))
