"""The sample events are what a newsroom may send, and show each thing an article can have."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

if TYPE_CHECKING:
    from pipeline.model.article import Article

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILES = sorted((SCHEMAS / "examples").glob("*.json"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """The event schema with its neighbours, formats checked."""
    schemas = [json.loads(path.read_text("utf-8")) for path in SCHEMAS.glob("*.v1.json")]
    registry: Registry[Any] = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])
    (event,) = (schema for schema in schemas if schema["title"] == "Event")
    return Draft202012Validator(event, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _events() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_is_a_valid_event(validator: Draft202012Validator, path: Path) -> None:
    """With every date and address in its format."""
    assert [error.message for error in validator.iter_errors(json.loads(path.read_text("utf-8")))] == []


def test_samples_are_in_the_order_of_time() -> None:
    """By file name, all in the past of the first release."""
    times = [datetime.fromisoformat(event["timestamp"]) for event in _events()]
    assert times == sorted(set(times))
    assert all((time.year, time.month) == (2026, 11) and time.day < 20 for time in times)


def test_samples_live_at_documentation_hosts() -> None:
    """Articles at www.example.org, photographs at images.example.org (RFC 2606)."""
    for event in _events():
        if "url" in event["data"]:
            assert urlsplit(event["data"]["url"]).hostname == "www.example.org"
        assert {urlsplit(image["url"]).hostname for image in event["data"].get("images", ())} <= {"images.example.org"}


def test_corrections_and_withdrawals_follow_what_they_are_about() -> None:
    """The same id, a later change."""
    events = _events()
    for before, after, kind in ((4, 5, "article.corrected"), (6, 7, "article.withdrawn")):
        assert events[before]["data"]["id"] == events[after]["data"]["id"]
        assert events[after]["type"] == kind
        assert events[before]["data"]["updated_at"] < events[after]["data"]["updated_at"]
    ids = {event["data"]["id"] for event in events}
    assert len(ids) == len(events) - 2


def test_the_first_sample_has_the_whole_anatomy(samples: dict[str, Article]) -> None:
    """Breadcrumb, three credited photographs, a sub-heading half way, and three pairs of letters."""
    article = samples["01-anatomy"]
    assert article.section == ("News", "Russia")
    assert [image.role for image in article.images] == ["lead", "inline", "inline"]
    assert all(image.caption and image.credit and image.alt for image in article.images)
    assert article.body_html.count("<h2>") == 1
    assert re.fullmatch(r"[A-Z]{2}/[A-Z]{2}/[A-Z]{2}", article.sign_off)
    assert all((article.authors, article.tags, article.summary, article.dateline, article.rights))


def test_every_sample_is_a_story_of_several_paragraphs(samples: dict[str, Article]) -> None:
    """Four to eight of them, kept whole by validation."""
    for article in samples.values():
        assert 4 <= article.body_html.count("<p>") <= 8


def test_the_readme_names_every_sample() -> None:
    """No more and no fewer."""
    readme = (SCHEMAS / "examples" / "README.md").read_text("utf-8")
    assert re.findall(r"^\| `([^`]+\.json)`", readme, re.MULTILINE) == [path.name for path in FILES]
