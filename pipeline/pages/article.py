"""The article page: everything the newsroom stated, for people and for machines, at a mirror."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from pipeline.model.article import Image, Video
from pipeline.pages import body as bodies
from pipeline.pages import metadata
from pipeline.pages.render import fragment, is_web, page, zone_of
from pipeline.pages.words import date_line, words_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Site
    from pipeline.pages.body import Body
    from pipeline.pages.frame import PageFrame, ShareLink
    from pipeline.pages.words import Words

Figure = Image | Video


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant for `<time>`: the machine's form in the newsroom's offset, and the reader's."""

    iso: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A block of the body, then the figures that follow it."""

    html: Markup
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """How an article is laid out.

    lead     the figure at its head, or None
    pieces   the body with the other figures between its paragraphs
    credits  credits of photographs the body itself shows without naming them
    """

    lead: Figure | None
    pieces: tuple[Piece, ...]
    credits: tuple[str, ...]


def stamp(moment: datetime, zone: ZoneInfo, words: Words) -> Stamp:
    """The instant on the newsroom's wall clock, to the second and to the minute."""
    return Stamp(moment.astimezone(zone).isoformat(timespec="seconds"), date_line(moment, zone, words))


@dataclass(frozen=True, slots=True)
class Told:
    """What a page says of its article, the same at every mirror with that canonical address: worth keeping between them.

    head  what machines read of it: authors, cards, JSON-LD
    main  the article itself and its share block
    """

    language: str
    headline: str
    description: str
    canonical: str
    rights: str
    head: Markup
    main: Markup


def article_page(entry: Entry, frame: PageFrame, shares: Sequence[ShareLink]) -> bytes:
    """The page of one live revision, as UTF-8 HTML: what it tells, in a mirror's shell. Same arguments, same bytes.

    Who prints many keeps what they tell (`tell`) and the shells (`shell`): one for all mirrors, the other for all articles.
    """
    told = tell(entry, frame.site, frame.canonical(entry.article.url, entry.link), shares)
    return shell(frame, form_of(told)).around(told)


@dataclass(frozen=True, slots=True)
class Form:
    """What of an article decides the shape of the page around it, not only its words."""

    language: str
    described: bool
    linked: bool
    owned: bool


def form_of(told: Told) -> Form:
    """The form an article's page has: its language, and whether description, canonical link and rights stand in it."""
    return Form(told.language, bool(told.description), is_web(told.canonical), bool(told.rights))


@dataclass(frozen=True, slots=True)
class Shell:
    """A mirror's page of one form, cut where an article's own words stand: the pieces between, and which word follows each."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]

    def around(self, told: Told) -> bytes:
        """The page, as UTF-8."""
        words = [str(escape(getattr(told, name))) for name in self.names]
        return "".join(chain.from_iterable(zip(self.pieces, [*words, ""], strict=True))).encode()


def shell(frame: PageFrame, form: Form) -> Shell:
    """The page of a form at one mirror, rendered once with marks where the words of its article belong.

    Canonical and robots by `frame.seo`: a page kept out of search names no canonical address of another host, because
    the two contradict each other.
    """
    canonical = f"https://{_mark('canonical')}" if form.linked else _mark("canonical")
    marked = Told(
        language=form.language,
        headline=_mark("headline"),
        description=_mark("description") if form.described else "",
        canonical=canonical,
        rights=_mark("rights") if form.owned else "",
        head=Markup(_mark("head")),  # noqa: S704, a mark of ours
        main=Markup(_mark("main")),  # noqa: S704, the same
    )
    cut = _MARK.split(page("article.html.j2", frame, form.language, told=marked).decode())
    return Shell(tuple(cut[::2]), tuple(cut[1::2]))


def _mark(name: str) -> str:
    """A text nobody writes, which escaping leaves alone: no page holds a NUL."""
    return f"\0{name}\0"


_MARK = re.compile("(?:https://)?\0([a-z]+)\0")


def tell(entry: Entry, site: Site, canonical: str, shares: Sequence[ShareLink]) -> Told:
    """Everything of the page that no mirror changes.

    `body_html` must be sanitised, as `Article` says; every other text is escaped here, and no address
    but http and https is linked or loaded.
    """
    article = entry.article
    words, zone = words_for(article.language), zone_of(site.timezone)
    body = bodies.read(article.body_html)
    description = metadata.clipped(article.summary or body.text, metadata.DESCRIPTION_MAX)
    published, updated = stamp(article.published_at, zone, words), stamp(entry.modified_at, zone, words)
    head = fragment(
        "told_head.html.j2",
        article=article,
        cards=metadata.cards(entry, site, canonical, description),
        structured=_structured(entry, site, canonical, description, body.words),
    )
    main = fragment(
        "told_main.html.j2",
        article=article,
        words=words,
        story=lay_out(article, body),
        published=published,
        updated=updated if entry.modified_at > article.published_at and updated.text != published.text else None,
        corrected=stamp(article.correction.at, zone, words) if article.correction else None,
        shares=tuple(shares),
    )
    return Told(article.language, article.headline, description, canonical, article.rights, head, main)


def _structured(entry: Entry, site: Site, canonical: str, description: str, words: int) -> tuple[Markup, ...]:
    made = [metadata.news_article(entry, site, canonical, description, words)]
    if entry.article.section:
        made.append(metadata.breadcrumb(entry.article))
    return tuple(metadata.json_ld(value) for value in made)


def lay_out(article: Article, body: Body) -> Story:
    """Put the figures in their places: one at the head, those the body shows already nowhere, the rest between paragraphs."""
    films = [film for film in article.videos if is_web(film.url) and film.url not in body.shows]
    lead = _lead(article, body, films)
    shown = {film.thumbnail_url: "" for film in films} | dict(body.shows)
    apart = {image.url: image for image in article.images if is_web(image.url) and image.url not in shown}
    figures = _alternating([f for f in films if f is not lead], [i for i in apart.values() if lead is None or i.url != lead.url])
    unnamed = [i.credit for i in article.images if i.url in shown and i.credit and i.credit not in shown[i.url]]
    return Story(lead, _pieces(body, figures), tuple(dict.fromkeys(unnamed)))


def _lead(article: Article, body: Body, films: Sequence[Video]) -> Figure | None:
    """The film whose poster is the lead photograph, else that photograph, else the first film; None where the body shows it."""
    photograph = article.lead_image
    if photograph is None or not is_web(photograph.url):
        return films[0] if films else None
    film = next((f for f in films if f.thumbnail_url == photograph.url), None)
    return film or (None if photograph.url in body.shows else photograph)


def _alternating(films: Sequence[Video], photographs: Sequence[Image]) -> tuple[Figure, ...]:
    paired = [figure for pair in zip(films, photographs, strict=False) for figure in pair]
    shorter = min(len(films), len(photographs))
    return (*paired, *films[shorter:], *photographs[shorter:])


def _pieces(body: Body, figures: tuple[Figure, ...]) -> tuple[Piece, ...]:
    after: dict[int, list[Figure]] = {}
    for at, figure in zip(bodies.places(body.blocks, len(figures)), figures, strict=True):
        after.setdefault(at, []).append(figure)
    blocks = enumerate(body.blocks)
    first = [Piece(Markup(), tuple(after[-1]))] if -1 in after else []
    return (*first, *(Piece(Markup(block.html), tuple(after.get(at, ()))) for at, block in blocks))  # noqa: S704, sanitised at validation
