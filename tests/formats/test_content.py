"""The composition every format shares: order, escaping, figures, and the summary made from the body."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import lxml.html
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.formats.content import SUMMARY_LENGTH, attachments, contents_html, enclosure, media_type_of, pictures, summary_of
from pipeline.model.article import Image, Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry


def test_the_parts_stand_in_reading_order(full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Correction, lead, dateline, body, other photographs, film, sign-off, rights; each exactly once."""
    html = contents_html(make_entry(0, full_story))
    marks = [
        '<p class="correction">An earlier version gave<br>the wrong pier.</p>',
        "severyanka-quay.jpg",
        '<p class="dateline">SORTAVALA, Russia</p>',
        "<h2>Tickets sold out for the week</h2>",
        "shipyard.jpg",
        "passengers.jpg",
        '<figure class="video"><a href="https://img.example/ladoga/crossing.mp4"><img src="https://img.example/ladoga/crossing.jpg"',
        '<p class="signoff">AB/CD/EF</p>',
        '<p class="rights">',
    ]
    assert [html.count(mark) for mark in marks] == [1] * len(marks)
    assert [html.index(mark) for mark in marks] == sorted(html.index(mark) for mark in marks)


def test_a_figure_has_caption_and_credit(make_entry: Callable[..., Entry]) -> None:
    """The agency's name stands beside the caption, the alternative text on the picture."""
    figure = lxml.html.fragment_fromstring(contents_html(make_entry()), create_parent="div").findall(".//figure")[0]
    caption, credit = figure.find("figcaption"), figure.find("figcaption/span")
    assert caption is not None
    assert credit is not None
    assert caption.text == "The Severyanka leaves the quay at Sortavala on Monday. "
    assert (credit.get("class"), credit.text) == ("credit", "Northern Light Agency")


def test_a_film_without_a_picture_is_a_link_in_words(full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Readers that play nothing still lead to it."""
    film = replace(full_story.videos[0], thumbnail_url="", caption="", credit="")
    assert f'<a href="{film.url}">{film.url}</a></figure>' in contents_html(make_entry(0, replace(full_story, videos=(film,))))


def test_what_the_body_shows_is_not_shown_again(story: Article, make_entry: Callable[..., Entry]) -> None:
    """Recognised by URL, however the body writes it."""
    image = Image("https://img.example/a.jpg?w=1&h=2", role="lead", caption="A quay")
    body = '<p>Text</p><img alt="x" src="https://img.example/a.jpg?w=1&amp;h=2">'
    shown = contents_html(make_entry(0, replace(story, images=(image,), body_html=body)))
    assert shown.count("a.jpg") == 1
    mentioned = body.replace("<img", "<b").replace("src=", "title=")
    assert contents_html(make_entry(0, replace(story, images=(image,), body_html=mentioned))).count("<img") == 1


def test_other_photographs_and_films_in_the_body_are_left_there(full_story: Article, make_entry: Callable[..., Entry]) -> None:
    """Only what the body does not show is added after it."""
    film, inline = full_story.videos[0].url, full_story.images[1].url
    body = f'<p>Text</p><figure><img src="{inline}"></figure><video><source src="{film}"></video>'
    shown = contents_html(make_entry(0, replace(full_story, body_html=body)))
    assert (shown.count(film), shown.count(inline)) == (1, 1)
    assert shown.count(full_story.images[2].url) == 1


def test_a_bare_article_is_its_body(story: Article, make_entry: Callable[..., Entry]) -> None:
    """No empty paragraph stands for what the newsroom did not say."""
    bare = replace(story, images=(), dateline="", sign_off="", rights="")
    assert contents_html(make_entry(0, bare)) == story.body_html


@example(text="<b>&amp;\"'</b><script>")
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_plain_text_stays_text(text: str, story: Article, make_entry: Callable[..., Entry]) -> None:
    """No caption, credit, alternative text, sign-off or note can become markup."""
    image = Image("https://img.example/a.jpg", caption=text, credit=text, alt=text)
    article = replace(story, images=(image,), sign_off=text, rights=text, dateline=text, body_html="<p>b</p>")
    root = lxml.html.fragment_fromstring(contents_html(make_entry(0, article)), create_parent="div")
    assert [node.tag for node in root.iter()] == ["div", "figure", "img", "figcaption", "span", "p", "p", "p", "p"]
    assert [node.text for node in root.iter("p")] == [text, "b", text, text]
    assert [node.get("alt") for node in root.iter("img")] == [text]
    assert [node.text for node in root.iter("span")] == [text]


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ("<h2>Head</h2><p> </p><p>First <b>bold</b>\n &amp; last.</p><p>Second.</p>", "First bold & last."),
        ("Only text<br>in two lines", "Only text in two lines"),
        ('<img src="https://img.example/a.jpg">', "Lake Ladoga ferry returns to service after two winters of repairs"),
    ],
)
def test_a_missing_summary_is_made(story: Article, body: str, summary: str) -> None:
    """The first paragraph that says something, else all text, else the headline."""
    assert summary_of(replace(story, summary="", body_html=body)) == summary


@given(st.text("ab c", min_size=1, max_size=700).filter(str.strip))
def test_a_made_summary_is_bounded_and_ends_at_a_word(story: Article, text: str) -> None:
    """At most 300 characters, the text itself or a beginning of it with an ellipsis."""
    words = " ".join(text.split())
    made = summary_of(replace(story, summary="", body_html=f"<p>{text}</p>"))
    assert len(made) <= SUMMARY_LENGTH
    assert made == words or (made.endswith("…") and words.startswith(made[:-1]))
    if made != words and " " in words[:SUMMARY_LENGTH]:
        assert words[len(made) - 1] == " "


def test_the_lead_comes_first_and_urls_once(story: Article) -> None:
    """Wherever the newsroom put the lead."""
    a, b = Image("https://img.example/a.jpg"), Image("https://img.example/b.jpg", role="lead")
    assert pictures(replace(story, images=(a, b, a))) == (b, a)


def test_films_are_fetched_before_photographs(story: Article) -> None:
    """The first film is what RSS encloses; an article with neither encloses nothing."""
    film = Video("https://img.example/f")
    assert [one.media_type for one in attachments(replace(story, videos=(film,)))] == ["video/mp4", *["image/jpeg"] * 3]
    assert enclosure(replace(story, images=())) is None


@pytest.mark.parametrize(
    ("declared", "url", "kind"),
    [
        ("image/png", "https://img.example/a.jpg", "image/png"),
        ("", "https://img.example/a.WEBP?x=.png", "image/webp"),
        ("", "https://img.example/a", "else"),
        ("", "https://img.example", "else"),
    ],
)
def test_media_types_come_from_the_newsroom_then_the_url(declared: str, url: str, kind: str) -> None:
    """Never from the machine's own tables."""
    assert media_type_of(declared, url, "else") == kind
