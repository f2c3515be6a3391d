"""The house rules: each broken alone, and nothing said about what the schema has to say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kit.clock import rfc3339
from pipeline.model.event import Problem
from pipeline.model.settings import Site, Source
from pipeline.rules import house
from pipeline.rules.schema import MOST_PROBLEMS
from tests.conftest import article
from tests.rules import valid_articles

if TYPE_CHECKING:
    from collections.abc import Callable

    Found = Callable[..., tuple[Problem, ...]]

PHOTOGRAPH = {"url": "https://images.example.net/a.jpg", "caption": "A harbour.", "credit": "A. Writer"}
TICK = timedelta(microseconds=1)


@pytest.fixture
def found(site: Site, source: Source, received_at: datetime) -> Found:
    """What the house finds wrong with the small article and these changes."""
    return lambda **changes: house.problems({**article(), **changes}, site, source, received_at)


WHOLE: dict[str, Any] = {
    "updated_at": "2026-11-23T08:10:00Z",
    "embargo_until": "2027-11-24T08:00:00Z",
    "correction": {"note": "A name was wrong.", "at": "2026-11-23T07:00:00Z"},
    "images": [{**PHOTOGRAPH, "role": "lead"}, PHOTOGRAPH],
    "authors": [{"name": "A"}, {"name": "B", "url": "https://people.example.net:8443/b@c"}],
    "videos": [{"url": "https://films.example.net/a.mp4", "thumbnail_url": "https://films.example.net/a.jpg"}],
}


def test_an_article_may_touch_every_limit(found: Found) -> None:
    """Updated ten minutes ahead, held back for a year, corrected when it was published."""
    assert found(**WHOLE) == found(published_at="2027-11-24T08:00:00Z") == ()


NO_DATE = "This is no date of the calendar between the years 1900 and 2200, or it lacks an offset."
PLAIN = "A URL here must have a plain host and port, and no user name or password."


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"published_at": "1899-12-31T23:59:59Z"}, "/data/published_at", NO_DATE),
        ({"published_at": "2026-11-23T07:00:00"}, "/data/published_at", NO_DATE),
        ({"updated_at": "2201-01-01T00:00:00Z"}, "/data/updated_at", NO_DATE),
        ({"embargo_until": "2026-02-30T00:00:00Z"}, "/data/embargo_until", NO_DATE),
        ({"correction": {"note": "N", "at": "0001-01-01T00:00:00+01:00"}}, "/data/correction/at", NO_DATE),
        (
            {"updated_at": "2026-11-23T08:10:00.000001Z"},
            "/data/updated_at",
            "This lies in the future: check the sender's clock, or use embargo_until for a later release.",
        ),
        (
            {"correction": {"note": "N", "at": "2026-11-23T06:59:59Z"}},
            "/data/correction/at",
            "An article cannot be corrected before it was published (published_at).",
        ),
        ({"published_at": "2027-11-24T08:00:00.000001Z"}, "/data/published_at", "This lies more than a year ahead."),
        ({"embargo_until": "2027-11-24T08:00:00.000001Z"}, "/data/embargo_until", "This lies more than a year ahead."),
        (
            {"url": "https://elsewhere.example/a"},
            "/data/url",
            "The canonical page of an article of “demo” is at www.example.org, not at elsewhere.example.",
        ),
        ({"url": "https://desk:secret@www.example.org/a"}, "/data/url", PLAIN),
        ({"url": "https://www.example.org:99999/a"}, "/data/url", PLAIN),
        ({"authors": [{"name": "A"}, {"name": "B", "url": "https://b@h.example/"}]}, "/data/authors/1/url", PLAIN),
        ({"images": [{**PHOTOGRAPH, "url": "https://b@h.example/"}]}, "/data/images/0/url", PLAIN),
        ({"videos": [{"url": "https://b@h.example/"}]}, "/data/videos/0/url", PLAIN),
        ({"videos": [{"url": "https://h.example/", "thumbnail_url": "https://?x"}]}, "/data/videos/0/thumbnail_url", PLAIN),
        (
            {"images": [PHOTOGRAPH, {**PHOTOGRAPH, "role": "lead"}, {**PHOTOGRAPH, "role": "lead"}]},
            "/data/images/2/role",
            "Only one photograph can lead; /data/images/1 already does.",
        ),
        ({"images": [PHOTOGRAPH, {**PHOTOGRAPH, "caption": " \n"}]}, "/data/images/1/caption", "A photograph needs a caption."),
        ({"images": [{**PHOTOGRAPH, "caption": "\0\u2028"}]}, "/data/images/0/caption", "A photograph needs a caption."),
        ({"images": [{"url": PHOTOGRAPH["url"], "credit": "A"}]}, "/data/images/0/caption", "A photograph needs a caption."),
        (
            {"images": [{**PHOTOGRAPH, "credit": ""}]},
            "/data/images/0/credit",
            "A photograph needs a credit: who took it, for which agency.",
        ),
        (
            {"headline": "\u200b\u2060"},
            "/data/headline",
            "Nothing a reader could see is left of this once characters that cannot be printed are removed.",
        ),
        (
            {"authors": [{"name": "\x01"}]},
            "/data/authors/0/name",
            "Nothing a reader could see is left of this once characters that cannot be printed are removed.",
        ),
        (
            {"correction": {"note": "\x01", "at": "2026-11-23T07:30:00Z"}},
            "/data/correction/note",
            "Nothing a reader could see is left of this once characters that cannot be printed are removed.",
        ),
        (
            {"body_html": "<p>&#8203;&nbsp;</p>"},
            "/data/body_html",
            "Nothing a reader could see is left of this once scripts and the like are removed.",
        ),
        (
            {"headline": "\x01\x02"},
            "/data/headline",
            "Nothing a reader could see is left of this once characters that cannot be printed are removed.",
        ),
        (
            {"body_html": "<script>alert(1)</script><p> </p>"},
            "/data/body_html",
            "Nothing a reader could see is left of this once scripts and the like are removed.",
        ),
    ],
)
def test_a_rule_broken_alone_is_the_only_problem(found: Found, changes: dict[str, Any], pointer: str, detail: str) -> None:
    """One problem, at its place, in its words."""
    assert found(**changes) == (Problem(pointer, detail),)


def test_every_broken_rule_is_told_at_once(found: Found) -> None:
    """An editor mends all of it in one go."""
    told = found(
        url="https://b@elsewhere.example/",
        updated_at="2199-01-01T00:00:00Z",
        embargo_until="2199-01-01T00:00:00Z",
        images=[{"url": "https://h.example/"}],
        body_html="<p></p>",
    )
    pointers = ["updated_at", "embargo_until", "url", "url", "images/0/caption", "images/0/credit", "body_html"]
    assert [problem.pointer for problem in told] == [f"/data/{pointer}" for pointer in pointers]
    assert all(problem.detail[0].isupper() and problem.detail.endswith(".") for problem in told)


@given(st.tuples(valid_articles.moments, valid_articles.moments, valid_articles.moments))
def test_what_was_corrected_was_published_before(moments: tuple[datetime, datetime, datetime]) -> None:
    """Instants are compared, whatever their offsets; when an article was last edited does not matter."""
    published, updated, corrected = moments
    dates = {"published_at": published.isoformat(), "updated_at": updated.isoformat()}
    told = house.problems(
        article(**dates, correction={"note": "N", "at": corrected.isoformat()}),
        Site("demo", "", "https://www.example.org/", "en", "", "", ""),
        Source("newsroom", "demo"),
        datetime(2201, 1, 1, tzinfo=UTC),
    )
    assert [problem.pointer for problem in told] == (["/data/correction/at"] if corrected < published else [])


def test_a_scheduled_article_may_have_been_changed_before_its_hour(found: Found, received_at: datetime) -> None:
    """Edited and corrected while it waits; from its hour on a correction lies behind it."""
    early = {"updated_at": "2026-11-20T08:00:00Z", "correction": {"note": "N", "at": "2026-11-20T08:00:00Z"}}
    assert found(published_at=rfc3339(received_at + TICK), **early) == ()
    assert [p.pointer for p in found(published_at=rfc3339(received_at), **early)] == ["/data/correction/at"]


@pytest.mark.parametrize("seconds", [-600, 0, 600])
def test_a_clock_may_be_ten_minutes_wrong(found: Found, received_at: datetime, seconds: int) -> None:
    """And not a microsecond more."""
    when = received_at + timedelta(seconds=seconds)
    assert found(updated_at=rfc3339(when)) == ()
    assert bool(found(updated_at=rfc3339(when + TICK))) == (seconds == 600)


@pytest.mark.parametrize(
    ("hosts", "url", "fits"),
    [
        ((), "https://www.example.org/a", True),
        ((), "http://WWW.Example.ORG/a", True),
        ((), "https://www.example.org:8443/a", False),
        ((), "https://example.org/a", False),
        ((), "https://www.example.org.evil.example/a", False),
        (("m.example.org", "amp.example.org:8443"), "https://m.example.org/a", True),
        (("m.example.org", "amp.example.org:8443"), "https://amp.example.org:8443/a", True),
        (("m.example.org", "amp.example.org:8443"), "https://amp.example.org/a", False),
        (("m.example.org",), "https://www.example.org/a", False),
    ],
)
def test_the_canonical_page_is_at_the_sites_host_or_the_sources(
    hosts: tuple[str, ...], url: str, *, fits: bool, site: Site, source: Source, received_at: datetime
) -> None:
    """Where the source names hosts, only those; a port is part of it."""
    told = house.problems(article(url=url), site, replace(source, url_hosts=hosts), received_at)
    assert [problem.pointer for problem in told] == ([] if fits else ["/data/url"])
    assert all(f"is at {' or '.join(hosts or ('www.example.org',))}, not at " in problem.detail for problem in told)


def test_a_site_may_do_without_captions_and_credits(site: Site, source: Source, received_at: datetime) -> None:
    """`require_image_credit = false`; one photograph leads all the same."""
    lax = replace(site, require_image_credit=False)
    bare = {"url": "https://h.example/", "role": "lead"}
    assert house.problems(article(images=[bare]), lax, source, received_at) == ()
    assert [p.pointer for p in house.problems(article(images=[bare, bare]), lax, source, received_at)] == ["/data/images/1/role"]


@pytest.mark.parametrize(
    ("body", "seen"), [("<p>a</p>", True), ('<img src="https://h/a">', True), ("<p>&amp;</p>", True), ("<p>\xa0</p>", False)]
)
def test_a_reader_sees_a_letter_or_a_picture(body: str, *, seen: bool, site: Site, source: Source, received_at: datetime) -> None:
    """The sanitised body counts, whether the caller hands it over or not."""
    assert (house.problems(article(body_html=body), site, source, received_at) == ()) == seen
    assert (house.problems(article(body_html="<p>raw</p>"), site, source, received_at, body) == ()) == seen


_single = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_nested = st.recursive(_single, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3))


@given(
    st.dictionaries(
        st.sampled_from(["url", "published_at", "updated_at", "correction", "images", "videos", "authors", "headline"]), _single | _nested
    )
)
def test_what_the_schema_refused_is_passed_over(changes: dict[str, Any]) -> None:
    """Values of any type: the house never falls over one, and points only into the event's data."""
    told = house.problems(
        changes, Site("demo", "", "https://h/", "en", "", "", ""), Source("newsroom", "demo"), datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert all(problem.pointer.startswith("/data/") for problem in told)


def test_the_house_too_names_no_more_than_a_hundred_things(site: Site, source: Source, received_at: datetime) -> None:
    """Each stays in the ledger and is answered to whoever asks what became of the event: a megabyte of pictures named 60,000."""
    assert len(house.problems(article(images=[{"url": "u"}] * 20_000), site, source, received_at)) == MOST_PROBLEMS
