"""Routes: which outlets take an article, and a sentence for each of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.settings import Feed, Kind, Mirror, Network, Rules
from pipeline.rules.article import from_native
from pipeline.rules.routes import Route, outlets, routes, why_not
from tests.conftest import article

if TYPE_CHECKING:
    from pipeline.model.settings import Site

steps = st.lists(st.sampled_from(["News", "World", "Russia", "Sport", "Наука"]), min_size=1, max_size=4)


def reason(rules: Rules, **changes: Any) -> str:
    """Why rules do not take the small article with these changes."""
    return why_not(from_native(article(**changes)), rules)


def test_without_rules_everything_is_taken() -> None:
    """Also an article without section and tags."""
    assert reason(Rules(), section=None) == ""


@pytest.mark.parametrize(
    ("sections", "section", "taken"),
    [
        (("News",), ["News"], True),
        (("News",), ["News", "World"], True),
        (("News/World",), ["News", "World", "Asia"], True),
        (("News/World",), ["News"], False),
        (("News/World",), ["World"], False),
        (("World",), ["News", "World"], False),
        (("New",), ["News"], False),
        (("news/WORLD",), ["News", "World"], True),
        (("News / World",), ["News", "World"], True),
        (("Straße",), ["STRASSE"], True),
        (("НАУКА",), ["Наука"], True),
        (("Sport", "News"), ["News"], True),
        (("Sport", "Culture"), ["News"], False),
        (("News",), None, False),
        (("News",), [], False),
    ],
)
def test_a_section_takes_its_sub_sections(sections: tuple[str, ...], section: list[str] | None, *, taken: bool) -> None:
    """From the outermost level, whole names, in any case."""
    assert (reason(Rules(sections=sections), section=section) == "") == taken


@given(steps, steps)
def test_a_section_is_taken_by_every_path_above_it(section: list[str], other: list[str]) -> None:
    """And by no path below it or beside it."""
    for path in (section, other, *(section[:length] for length in range(1, len(section)))):
        assert (reason(Rules(sections=("/".join(path),)), section=section) == "") == (section[: len(path)] == path)


@pytest.mark.parametrize(
    ("tags", "tagged", "taken"),
    [
        (("Rivers",), ["Rivers"], True),
        (("rivers",), ["Towns", "RIVERS"], True),
        (("River",), ["Rivers"], False),
        (("Rivers", "Towns"), ["Towns"], True),
        (("Rivers",), [], False),
        (("Rivers",), None, False),
    ],
)
def test_one_of_the_tags_is_enough(tags: tuple[str, ...], tagged: list[str] | None, *, taken: bool) -> None:
    """Whole tags, in any case."""
    assert (reason(Rules(tags=tags), tags=tagged) == "") == taken


@pytest.mark.parametrize(
    ("languages", "language", "taken"),
    [
        (("en",), "en", True),
        (("en",), "EN-gb", True),
        (("EN",), "en", True),
        (("en",), "eng", False),
        (("en-GB",), "en", False),
        (("en-GB",), "en-GB-oxendict", True),
        (("en-GB",), "en-GBX", False),
        (("de", "fr"), "fr-CA", True),
        (("de", "fr"), "en", False),
        (("zh-Hant",), "zh-Hant-TW", True),
        (("zh-TW",), "zh-Hant-TW", False),
    ],
)
def test_a_language_takes_its_regions(languages: tuple[str, ...], language: str, *, taken: bool) -> None:
    """Basic filtering, RFC 4647 3.3.1: a prefix of whole subtags."""
    assert (reason(Rules(languages=languages), language=language) == "") == taken


RULES = {"sections": ("Sport", "Culture"), "tags": ("Rivers", "Towns"), "languages": ("de", "fr")}


@pytest.mark.parametrize(
    ("names", "changes", "sentence"),
    [
        (["sections"], {}, "Its section is News/World; this outlet takes Sport, Culture."),
        (["sections"], {"section": None}, "Its section is not given; this outlet takes Sport, Culture."),
        (["tags"], {}, "It has none of the tags this outlet takes: Rivers, Towns."),
        (["languages"], {}, "Its language is en; this outlet takes de, fr."),
        (["sections", "tags", "languages"], {}, "Its section is News/World; this outlet takes Sport, Culture."),
        (["sections", "tags", "languages"], {"section": ["Sport"]}, "It has none of the tags this outlet takes: Rivers, Towns."),
        (["sections", "tags", "languages"], {"section": ["Sport"], "tags": ["Towns"]}, "Its language is en; this outlet takes de, fr."),
        (["sections", "tags", "languages"], {"section": ["Sport"], "tags": ["Towns"], "language": "de"}, ""),
    ],
)
def test_the_first_rule_that_is_not_met_is_the_reason(names: list[str], changes: dict[str, Any], sentence: str) -> None:
    """A sentence that says what the article is and what the outlet takes; all three rules must be met."""
    assert reason(replace(Rules(), **dict[str, Any]({name: RULES[name] for name in names})), **changes) == sentence


@pytest.fixture
def wide(site: Site) -> Site:
    """A site with outlets of every kind, some of one name, some closed, some with rules."""
    sport = Rules(sections=("Sport",))
    return replace(
        site,
        feeds=(Feed("all", "All", ""), Feed("sport", "Sport", "", sport), Feed("x", "X", "", closed=True)),
        mirrors=(Mirror("all"), Mirror("sport", rules=sport), Mirror("old", rules=sport, closed=True)),
        networks=(Network("x"), Network("email", Rules(languages=("de",))), Network("telegram", closed=True)),
    )


def test_every_outlet_has_one_route(wide: Site) -> None:
    """Feeds first, then mirrors and networks, each by its key; also where two kinds share a name."""
    made = routes(from_native(article()), wide)
    assert [route.outlet for route in made] == [
        *("demo/feed:all", "demo/feed:sport", "demo/feed:x"),
        *("demo/mirror:all", "demo/mirror:sport", "demo/mirror:old"),
        *("demo/network:x", "demo/network:email", "demo/network:telegram"),
    ]
    assert [route.kind for route in made] == [Kind.FEED] * 3 + [Kind.MIRROR] * 3 + [Kind.NETWORK] * 3
    assert [(route.kind, route.outlet.partition(":")[2]) for route in made] == [(kind, outlet.name) for kind, outlet in outlets(wide)]


def test_an_outlet_takes_the_article_or_says_why_not(wide: Site) -> None:
    """Never both, never neither."""
    made = {route.outlet: route for route in routes(from_native(article()), wide)}
    assert [key for key, route in made.items() if route.takes] == ["demo/feed:all", "demo/mirror:all", "demo/network:x"]
    assert made["demo/network:email"] == Route(
        "demo/network:email", Kind.NETWORK, takes=False, reason="Its language is en; this outlet takes de."
    )
    for route in made.values():
        assert route.takes == (route.reason == "")
        assert route.takes or (route.reason[0].isupper() and route.reason.endswith("."))


def test_a_closed_outlet_takes_nothing(wide: Site) -> None:
    """That is the reason given, whatever its rules say."""
    closed = [route for route in routes(from_native(article(section=["Sport"])), wide) if route.reason == "The outlet is closed."]
    assert [route.outlet for route in closed] == ["demo/feed:x", "demo/mirror:old", "demo/network:telegram"]
    assert not any(route.takes for route in closed)


def test_a_site_without_outlets_has_no_routes(site: Site) -> None:
    """And is no error."""
    assert routes(from_native(article()), site) == ()
