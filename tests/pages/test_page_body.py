"""A body is cut between its paragraphs and nowhere else, and figures stand where a reader can bear them."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kit import clean
from pipeline.pages.body import Block, places, read

_INLINE = st.sampled_from(
    ["text", "a &lt; b", "<em>x</em>", '<a href="https://a.example/?b&amp;c">y</a>', "line<br>break", "\n", "«ё»", "日本"]
)
_FLOW = st.lists(_INLINE, max_size=3).map("".join)


def _wrapped(tag: str) -> st.SearchStrategy[str]:
    return _FLOW.map(lambda inside: f"<{tag}>{inside}</{tag}>")


_BLOCK = st.one_of(
    _FLOW,
    *map(_wrapped, ("p", "h2", "blockquote", "ul", "figure", "div")),
    st.just('<hr>\n<p><img src="https://img.example/a.jpg"></p>'),
    st.just("<div><p>nested</p><p>twice</p></div>"),
)
_BODY = st.lists(_BLOCK, max_size=12).map("\n".join)


@given(_BODY)
def test_the_blocks_joined_are_the_body(html: str) -> None:
    """Not a byte is changed, lost or moved."""
    assert "".join(block.html for block in read(html).blocks) == html


@given(st.text())
def test_anything_at_all_is_kept_whole(text: str) -> None:
    """Also what was never HTML."""
    assert "".join(block.html for block in read(text).blocks) == text


@given(_BODY)
def test_a_block_never_ends_inside_an_element(html: str) -> None:
    """Each block has as many end tags as start tags."""
    for block in read(html).blocks:
        assert block.html.count("<p>") == block.html.count("</p>")
        assert block.html.count("<div>") == block.html.count("</div>")
        assert not block.name or block.html.endswith((f"</{block.name}>", f"<{block.name}>"))


def test_tags_that_do_not_match_leave_the_body_in_one_piece() -> None:
    """A cut could open or close something there."""
    for html in ("<p>a</p><div><p>b</p>", "<p>a</p></div><p>b</p>", "<p><em>a</p></em><p>b</p>"):
        assert [block.html for block in read(html).blocks] == [html]


def test_pictures_and_films_of_the_body_are_noticed() -> None:
    """With entities read, candidates of a srcset apart, and links not taken for pictures."""
    body = read(
        '<p><img src="https://i.example/a?x=1&amp;y=2" srcset="https://i.example/b 2x, https://i.example/c 3x"></p>'
        '<video src="https://m.example/d" poster="https://i.example/e"></video><a href="https://i.example/f">f</a>'
    )
    assert set(body.shows) == {"https://i.example/a?x=1&y=2", *(f"https://{h}.example/{n}" for h, n in zip("iimi", "bcde", strict=True))}


def test_a_pictures_caption_is_that_of_its_own_figure() -> None:
    """Not of its neighbour, nor of the text around it."""
    body = read('<figure><img src="a"><figcaption>A</figcaption></figure><p>B <img src="b"></p><figure><img src="c"> C</figure>')
    assert {url: caption.strip() for url, caption in body.shows.items()} == {"a": "A", "b": "", "c": "C"}


def test_words_are_counted_across_tags() -> None:
    """Neighbouring paragraphs do not melt into one word."""
    body = read("<p>One two</p><p>three<br>four &amp; five</p>")
    assert (body.text, body.words) == ("One two three four & five", 6)


@given(_BODY, st.integers(min_value=0, max_value=12))
def test_every_figure_has_a_place_in_order(html: str, count: int) -> None:
    """As many places as figures, ascending, each after a block that is there."""
    blocks = read(html).blocks
    found = places(blocks, count)
    assert len(found) == count
    assert list(found) == sorted(found)
    assert all(-1 <= at < len(blocks) for at in found)


@given(st.lists(st.sampled_from(["p", "h2", "blockquote", "figure", "hr"]), min_size=2, max_size=20), st.integers(min_value=1, max_value=6))
def test_a_figure_never_parts_a_heading_from_its_text(names: list[str], count: int) -> None:
    """Where the body has a place after text, and more to follow, that is where figures stand."""
    blocks = tuple(Block(f"<{name}>x</{name}>", name) for name in names)
    for at in places(blocks, count):
        if set(names[:-1]) & {"p", "blockquote"}:
            assert names[at] in {"p", "blockquote"}
            assert at < len(blocks) - 1


def test_two_photographs_stand_on_either_side_of_a_sub_heading_half_way() -> None:
    """The page it all began with."""
    blocks = read("<p>1</p><p>2</p><p>3</p><h2>half</h2><p>4</p><p>5</p><p>6</p>").blocks
    assert places(blocks, 2) == (1, 4)


class _Oracle(HTMLParser):
    """What a whole parser reads in a body: all of its text, and everything that is loaded."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.loads: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base class's signature
        self.loads += [(value or "").strip() for name, value in attrs if name in ("src", "poster")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


_PIECES = [
    *(
        "<p>",
        "</p>",
        "<P CLASS=x>",
        "<figure>",
        "</figure>",
        "<figcaption>c",
        "<em>",
        "</em>",
        "<br>",
        "<hr/>",
        "<ul><li>",
        "</ul>",
        "<pre>\n",
    ),
    *(
        "<img src=https://i.example/a.jpg alt='a \"b\" > <i>c'>",
        '<img alt="x=&quot;y" src="https://i.example/&amp;amp;?a&b">',
        "<img src=//x/>",
    ),
    *(
        "<a href='https://a.example/?a=1&b=2' title='>'>",
        "</a>",
        "<svg><style>",
        "<!-- > -->",
        "<table><tr><td colspan=2>",
        "<script>x</script>",
    ),
    *(
        "a < b",
        "&lt;p&gt;",
        "&amp;lt;",
        "&nbsp;",
        "\xa0",
        "&#x3c;i>",
        "\u2028",
        "&",
        "<",
        ">",
        '"',
        "'",
        "\n",
        "ё",
        "日本",
        "</",
        "<1>",
        "<ruby>",
    ),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=25).map("".join))
def test_of_what_the_sanitiser_writes_the_same_is_read_as_by_a_whole_parser(markup: str) -> None:
    """However the markup came in: its tags, quotes, brackets and references are the sanitiser's afterwards."""
    html = clean.html(markup, "https://www.example.org/")
    oracle, body = _Oracle(html), read(html)
    assert "".join(body.texts) == "".join(oracle.text)
    assert set(body.shows) == set(oracle.loads)
    assert "".join(block.html for block in body.blocks) == html
