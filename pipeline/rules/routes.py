"""Which outlets take an article, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.model.settings import Kind, outlet_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.model.article import Article
    from pipeline.model.settings import Feed, IndexNow, Mirror, Network, Rules, Site


@dataclass(frozen=True, slots=True)
class Route:
    """One outlet's answer. `reason` says in a sentence why it does not take the article; empty where it does."""

    outlet: str
    kind: Kind
    takes: bool
    reason: str = ""


def outlets(site: Site) -> Iterator[tuple[Kind, Feed | Mirror | Network | IndexNow]]:
    """Every outlet of a site: feeds first, because they are what is waited for."""
    yield from ((Kind.FEED, feed) for feed in site.feeds)
    yield from ((Kind.MIRROR, mirror) for mirror in site.mirrors)
    yield from ((Kind.NETWORK, network) for network in site.networks)
    yield from ((Kind.INDEXNOW, indexnow) for indexnow in site.indexnow)


def routes(article: Article, site: Site) -> tuple[Route, ...]:
    """One route for every outlet of the site."""
    made = []
    for kind, outlet in outlets(site):
        reason = "The outlet is closed." if outlet.closed else why_not(article, outlet.rules)
        made.append(Route(outlet_key(site.name, kind, outlet.name), kind, not reason, reason))
    return tuple(made)


def why_not(article: Article, rules: Rules) -> str:
    """The first rule the article does not meet, as a sentence; empty when it meets all."""
    if rules.sections and not any(_within(article.section, path, deep=rules.subsections) for path in rules.sections):
        alone = "" if rules.subsections else " alone"
        return f"Its section is {'/'.join(article.section) or 'not given'}; this outlet takes {', '.join(rules.sections)}{alone}."
    if rules.tags and not {t.casefold() for t in rules.tags} & {t.casefold() for t in article.tags}:
        return f"It has none of the tags this outlet takes: {', '.join(rules.tags)}."
    if rules.languages and not any(_speaks(article.language, language) for language in rules.languages):
        return f"Its language is {article.language}; this outlet takes {', '.join(rules.languages)}."
    if rules.authors and not {a.casefold() for a in rules.authors} & {a.name.casefold() for a in article.authors}:
        return f"None of its authors is one this outlet takes: {', '.join(rules.authors)}."
    if rules.films and not article.videos:
        return "It has no film, and this outlet shows nothing else."
    return ""


def _within(section: tuple[str, ...], path: str, *, deep: bool) -> bool:
    wanted = [part.strip().casefold() for part in path.split("/")]
    given = section[: len(wanted)] if deep else section
    return [part.casefold() for part in given] == wanted


def _speaks(language: str, wanted: str) -> bool:
    """Basic filtering of RFC 4647 3.3.1: "en" takes "en-GB"."""
    language, wanted = language.casefold(), wanted.casefold()
    return language == wanted or language.startswith(wanted + "-")
