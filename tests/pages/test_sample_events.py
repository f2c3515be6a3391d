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


def _pixels(jpeg: bytes) -> tuple[int, int]:
    """Width and height, as the frame header states them (ITU-T T.81, B.2.2)."""
    at = 2
    while jpeg[at + 1] not in {0xC0, 0xC1, 0xC2}:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return int.from_bytes(jpeg[at + 7 : at + 9]), int.from_bytes(jpeg[at + 5 : at + 7])


def test_the_pictures_are_what_the_samples_say_of_them() -> None:
    """The size in pixels and in bytes, and a poster in its film's proportions."""
    for event in _events():
        for image in event["data"].get("images", ()):
            picture = (SCHEMAS / "examples" / "images" / Path(image["url"]).name).read_bytes()
            stated = (image["width"], image["height"], image["size_bytes"], image["media_type"])
            assert (*_pixels(picture), len(picture), "image/jpeg") == stated, image["url"]
        for film in event["data"].get("videos", ()):
            width, height = _pixels((SCHEMAS / "examples" / "images" / Path(film["thumbnail_url"]).name).read_bytes())
            assert width * film["height"] == height * film["width"]


def test_the_pictures_are_those_that_are_named_and_small() -> None:
    """No more and no fewer; they travel in the package, without anything a camera or a program wrote into them."""
    named = set(re.findall(r"https://images\.example\.org/2026/11/([^\"]+)", "".join(path.read_text("utf-8") for path in FILES)))
    pictures = {path.name: path.read_bytes() for path in (SCHEMAS / "examples" / "images").iterdir()}
    assert set(pictures) == named
    assert all(20_000 < len(picture) < 72_000 for picture in pictures.values())
    assert not [name for name, picture in pictures.items() if b"Exif" in picture or b"photoshop" in picture.lower()]


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
