"""The article page shows a person everything the newsroom stated."""

# What a page says in Russian is in Russian letters.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from lxml.html import HtmlElement

from pipeline.model.article import Article, Author, Image, Video
from pipeline.pages import PageFrame, ShareLink, article_page

if TYPE_CHECKING:
    from pipeline.model.entry import Entry

Render = Callable[[Article], HtmlElement]


@pytest.fixture
def render(
    make_entry: Callable[[Article], Entry],
    frame: PageFrame,
    shares: tuple[ShareLink, ...],
    parse: Callable[[bytes], HtmlElement],
) -> Render:
    """Make the page of an article, parsed."""
    return lambda article: parse(article_page(make_entry(article), frame, shares))


@pytest.fixture
def page(render: Render, full_story: Article) -> HtmlElement:
    """The full story's page."""
    return render(full_story)


def _of_class(page: HtmlElement, name: str) -> list[HtmlElement]:
    return list(page.xpath(f'//*[contains(concat(" ", @class, " "), " {name} ")]'))


def _flat(element: HtmlElement) -> str:
    return " ".join(str(element.text_content()).split())


def _said(page: HtmlElement, name: str) -> str:
    (found,) = _of_class(page, name)
    return _flat(found)


def _figures(page: HtmlElement) -> list[str]:
    return [str(url) for url in page.xpath("//figure/img/@src | //figure/video/@src")]


def test_the_breadcrumb_names_the_sections_outermost_first(page: HtmlElement) -> None:
    """News / Russia, in a navigation landmark of its own."""
    (nav,) = page.xpath("//nav[@aria-label]")
    assert _flat(nav) == "News / Russia"
    assert [_flat(item) for item in nav.xpath(".//li")] == ["News", "/ Russia"]


def test_the_headline_is_the_only_h1(page: HtmlElement, full_story: Article) -> None:
    """One h1, and the title of the window begins with it."""
    assert [_flat(h1) for h1 in page.xpath("//h1")] == [full_story.headline]
    assert page.findtext(".//title") == f"{full_story.headline} – The Example News"


def test_the_opening_says_who_where_and_when(page: HtmlElement, full_story: Article) -> None:
    """Summary, byline with the profile linked, dateline, and both times on the newsroom's clock."""
    assert _said(page, "standfirst") == full_story.summary
    assert _said(page, "byline") == "By Anna Belova and Carl Dahl"
    assert page.xpath('//a[@rel="author"]/@href') == ["https://news.example/staff/anna-belova/"]
    assert _said(page, "dateline") == "SORTAVALA, Russia —"
    assert _said(page, "published") == "Published 23 November 2026, 11:05 UTC+3"
    assert _said(page, "updated") == "Updated 23 November 2026, 12:40 UTC+3"
    times = page.xpath('//*[@class="times"]//time/@datetime')
    assert times == ["2026-11-23T11:05:00+03:00", "2026-11-23T12:40:00+03:00"]


@pytest.mark.parametrize(
    ("names", "said"),
    [(["A"], "By A"), (["A", "B"], "By A and B"), (["A", "B", "C"], "By A, B and C"), (["A", "B", "C", "D"], "By A, B, C and D")],
)
def test_a_byline_reads_as_a_sentence_would(render: Render, story: Article, names: list[str], said: str) -> None:
    """Commas between all names but the last two."""
    assert _said(render(replace(story, authors=tuple(Author(name) for name in names))), "byline") == said


def test_an_article_never_changed_shows_no_second_time(render: Render, story: Article) -> None:
    """Neither at the same instant nor within the same minute."""
    for later in (timedelta(), timedelta(seconds=20)):
        assert not _of_class(render(replace(story, updated_at=story.published_at + later)), "updated")


def test_the_correction_stands_before_the_text(page: HtmlElement, full_story: Article) -> None:
    """With its time, in the opening, as a note."""
    assert full_story.correction is not None
    (note,) = page.xpath('//header[@class="opening"]/*[@role="note"]')
    assert _flat(note) == f"Correction 23 November 2026, 12:05 UTC+3 {full_story.correction.note}"


def test_every_photograph_has_caption_credit_and_words_for_those_who_do_not_see_it(page: HtmlElement, story: Article) -> None:
    """Each photograph once, in a figure."""
    shown = {str(figure.xpath("./img/@src")[0]): figure for figure in page.xpath("//figure[img]")}
    assert len(shown) == len(story.images) == len(page.xpath("//img"))
    for image in story.images:
        figure = shown[image.url]
        assert figure.xpath("./img/@alt") == [image.alt]
        assert _flat(figure.find("figcaption")) == f"{image.caption} Photograph: {image.credit}"


def test_the_lead_photograph_stands_before_the_text_and_the_others_in_it(page: HtmlElement, story: Article) -> None:
    """Lead first; the rest between paragraphs, with text before and after each."""
    lead, *others = (image.url for image in story.images)
    assert page.xpath("//article/figure/img/@src") == [lead]
    inside = page.xpath('//div[@class="text"]/*')
    for figure in (element for element in inside if element.tag == "figure"):
        at = inside.index(figure)
        assert inside[at - 1].tag == "p"
        assert at < len(inside) - 1
    assert page.xpath('//div[@class="text"]//img/@src') == others


def test_the_body_is_there_as_it_was_sanitised(page: HtmlElement, story: Article) -> None:
    """Every paragraph, the sub-heading half way, and the link."""
    paragraphs = page.xpath('//div[@class="text"]/p[not(@class)]')
    assert len(paragraphs) == story.body_html.count("<p>")
    assert [_flat(h2) for h2 in page.xpath('//div[@class="text"]/h2')] == ["Tickets sold out for the week"]
    assert page.xpath('//div[@class="text"]/p//a/@href') == ["https://news.example/timetable?from=Sortavala&to=Valaam"]


def test_a_film_can_be_played(page: HtmlElement) -> None:
    """With controls, poster, caption and credit; nothing is fetched before the reader asks."""
    (film,) = page.xpath("//figure/video")
    assert "controls" in film.attrib
    assert film.get("preload") == "none"
    assert film.get("src") == "https://media.example/crossing.mp4"
    assert film.get("poster") == "https://img.example/crossing.jpg"
    assert film.get("aria-label") == "The first crossing"
    assert _flat(film.getparent().find("figcaption")) == "The first crossing Video: Lakeside Films"


def test_the_close_has_sign_off_and_tags(page: HtmlElement) -> None:
    """The desk's initials, then what it is about."""
    assert _said(page, "sign-off") == "AB/CD/EF"
    assert [_flat(tag) for tag in page.xpath('//div[@class="tags"]//li')] == ["Ferries", "Lake Ladoga"]


def test_the_alternate_addresses_are_named_but_this_one(page: HtmlElement) -> None:
    """Each linked, as a person would type it."""
    (line,) = _of_class(page, "alternates")
    assert _flat(line) == "This site can also be reached at: news.example, uk.news.example, newsonion.example/uk."
    assert line.xpath(".//a/@href") == ["https://news.example/", "https://uk.news.example/", "http://newsonion.example/uk/"]


def test_the_share_block_links_every_network(page: HtmlElement, shares: tuple[ShareLink, ...]) -> None:
    """As plain links, in the given order, named for those who hear them out of context."""
    (block,) = page.xpath('//section[@class="share"]')
    assert _flat(block.find("h2")) == "Share this article"
    links = block.xpath(".//li/a")
    assert [(link.get("href"), _flat(link)) for link in links] == [(share.url, share.title) for share in shares]
    assert links[0].get("aria-label") == "Share this article: X"


def test_the_roku_channel_rights_and_feeds_are_named(page: HtmlElement, story: Article, frame: PageFrame) -> None:
    """At the end of the page; the article's own rights line wins over the site's."""
    assert _said(page, "roku") == "Watch our channel on Roku: channelstore.example/details/example-news."
    assert _said(page, "rights") == story.rights
    assert page.xpath('//p[@class="feeds"]/a/@href') == [feed.url for feed in frame.feeds]


def test_a_reader_can_get_about_without_eyes_or_mouse(page: HtmlElement) -> None:
    """Landmarks, a skip link to the text, the language and its direction."""
    assert [len(page.xpath(f"/html/body/{name}")) for name in ("header", "main", "footer")] == [1, 1, 1]
    skip = page.xpath("/html/body/*[1]")[0]
    assert (skip.tag, skip.get("href")) == ("a", "#main")
    assert page.xpath('//*[@id="main"]')
    assert (page.get("lang"), page.get("dir")) == ("en", "ltr")


def test_what_the_newsroom_left_out_leaves_no_trace(
    make_entry: Callable[[Article], Entry], frame: PageFrame, parse: Callable[[bytes], HtmlElement], story: Article
) -> None:
    """Only the required fields: no empty boxes, no labels without a value."""
    plain = Article(story.id, story.url, story.headline, story.body_html, "en", story.published_at)
    bare = replace(frame, site=replace(frame.site, roku_channel_url="", rights=""), alternates=(frame.base_url,), feeds=())
    page = parse(article_page(make_entry(plain), bare, ()))
    for name in ("standfirst", "byline", "updated", "correction", "dateline", "sign-off", "credits", "tags", "breadcrumb"):
        assert not _of_class(page, name), name
    for name in ("share", "alternates", "roku", "feeds", "rights"):
        assert not _of_class(page, name), name
    assert not page.xpath("//figure")
    assert not [element.tag for element in page.xpath("//body//p | //body//li | //body//h2") if not _flat(element)]


def test_a_photograph_the_body_shows_is_not_shown_twice_but_credited(render: Render, story: Article) -> None:
    """The desk's own placing stands, also for the lead; a credit it left out comes at the end."""
    lead, inline, other = story.images
    own = f'<figure><img src="{inline.url}" alt=""><figcaption>Photo: {inline.credit}</figcaption></figure>'
    body = f'{story.body_html}<figure><img src="{lead.url}"></figure>{own}'
    page = render(replace(story, body_html=body))
    assert sorted(page.xpath("//img/@src")) == sorted([lead.url, inline.url, other.url])
    assert page.xpath("//article/figure") == []
    assert _said(page, "credits") == f"Photographs: {lead.credit}"


def test_a_film_leads_where_no_photograph_does(render: Render, full_story: Article) -> None:
    """Also where the lead photograph is the film's own poster, which is then not shown beside it."""
    (film,) = full_story.videos
    poster = Image(film.thumbnail_url, "lead", credit="Poster Agency")
    for images in ((), (poster, full_story.images[1])):
        page = render(replace(full_story, images=images))
        assert page.xpath("//article/figure/video/@src") == [film.url]
        assert page.xpath("//figure/img/@src") == [image.url for image in images[1:]]
    assert _said(page, "credits") == "Photographs: Poster Agency"


def test_every_figure_stands_somewhere_however_short_the_text(render: Render, story: Article) -> None:
    """Ten photographs and two films, whether the body has one paragraph, loose text, or broken markup."""
    images = tuple(Image(f"https://img.example/{n}.jpg") for n in range(10))
    films = tuple(Video(f"https://media.example/{n}.mp4") for n in range(2))
    for body in ("<p>One.</p>", "Loose text", "<h2>Only a heading</h2>", "<p>A</p><p>B</p><p>C</p>", "<div><p>left open"):
        shown = _figures(render(replace(story, body_html=body, images=images, videos=films)))
        assert sorted(shown) == sorted([*(image.url for image in images), *(film.url for film in films)])


def test_the_page_speaks_the_articles_language(render: Render, samples: dict[str, Article]) -> None:
    """Arabic runs from right to left with Arabic words around it; Russian has Russian months."""
    arabic, russian = render(samples["02-right-to-left"]), render(samples["03-cyrillic"])
    assert (arabic.get("lang"), arabic.get("dir")) == ("ar", "rtl")
    assert _flat(arabic.xpath('//section[@class="share"]/h2')[0]) == "شارك هذا المقال"
    assert (russian.get("lang"), russian.get("dir")) == ("ru", "ltr")
    assert _said(russian, "published") == "Опубликовано 17 ноября 2026, 08:00 UTC+3"
    assert _said(russian, "byline") == "Текст: Полина Верес и Егор Каль"


def test_the_same_arguments_give_the_same_bytes(
    make_entry: Callable[[Article], Entry], frame: PageFrame, shares: tuple[ShareLink, ...], samples: dict[str, Article]
) -> None:
    """For every sample."""
    for article in samples.values():
        assert article_page(make_entry(article), frame, shares) == article_page(make_entry(article), frame, shares)
