"""Text and HTML made fit to print: nothing illegal, nothing executable, and the same again the second time."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree
from lxml import html as lxml_html

from pipeline.kit import clean

BASE = "https://www.example.org/news/story.html?x=1"
NAUGHTY = (
    Path(os.environ.get("PRESSRUN_TEST_DATA", str(Path(__file__).parents[3] / "shared" / "data"))) / "corpora" / "naughty-strings.json"
)
UNFIT = re.compile(  # XML 1.0 section 2.2: what is no character of it, and, in its note, what nobody should use
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\ufdd0-\ufdef]|["
    + "".join(chr(plane + last) for plane in range(0x10000, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)

_STRANGE = "ae\u0301\u0338 \t\n\r\0\x0b\x7f\x81\x85\ufdd0\U0001ffff\u2028\u00a0\ud800\ufffe<>&;"
_any_text = st.text(st.characters(), max_size=60) | st.text(_STRANGE, max_size=30)
_BITS = r"""
    <p> </p> <div> </div> <b> </b> <i> <a~href=/x> <a~href='javascript:1'> </a> <table> <tr> <td> </td> </table> <li> <ul> </ul>
    <pre> </pre> <img~src=a> <img> <img~alt='a>b"'> <br> <h1> </h1> <script> </script> <style> </style> <svg> </svg> <math> <mtext>
    <template> <object> </object> <select> <option> <noscript> </noscript> <textarea> </textarea> <title> <section> </section> <!--
    --> --!> <![CDATA[ ]]> <caption> <col> <ruby> <rt> <form> <button> <iframe> <font> <q~cite=x> <time~datetime='>
    <blockquote~cite="//h/"> &nbsp; &amp; &lt; &#1; &#x338; &#xd; &#10; &#769; &#129; &#146; &#xFDD0; &#x1FFFE; e < > " ' = / x y
    <p/> </ <? <! <a/b=c> onclick=1 style=x <plaintext> <frameset> <body> <html> </html> <nobr> <marquee>
"""
_ESCAPES = [" ", "\n", "\t", "\0", "\x7f", "\x92", "\ufdef", "\ud800", "\u2028", "\u0301", "\u0338", "\u00a0"]
_bits = st.sampled_from([bit.replace("~", " ") for bit in _BITS.split()] + _ESCAPES)
_markup = st.lists(_bits, max_size=25).map("".join)


@given(_any_text)
def test_text_is_legal_composed_and_settled(value: str) -> None:
    """XML can hold it, it is NFC, no blanks at the edges of a line, at most one empty line; twice is once."""
    made = clean.text(value)
    assert not UNFIT.search(made)
    assert made == unicodedata.normalize("NFC", made)
    assert "\r" not in made
    assert "\n\n\n" not in made
    assert made == "\n".join(line.strip() for line in made.split("\n")).strip()
    assert clean.text(made) == made
    etree.Element("x").text = made


@given(_any_text)
def test_a_line_is_one_line(value: str) -> None:
    """No line end of any kind, no run of spaces; twice is once."""
    made = clean.line(value)
    assert not UNFIT.search(made)
    assert len(made.splitlines()) <= 1 or re.fullmatch(r"[^\n\r\x85\u2028\u2029]*", made)
    assert "  " not in made
    assert made == made.strip()
    assert clean.line(made) == made
    etree.Element("x").text = made


def test_lines_and_texts_by_example() -> None:
    """What an editor would expect."""
    assert clean.line("  A\tquiet \r\n harbour\0 ") == "A quiet harbour"
    assert clean.line("Il dit\u00a0: «\u202fnon\u202f»") == "Il dit\u00a0: «\u202fnon\u202f»"
    assert clean.line("e\u0301") == "\u00e9"
    assert clean.line("\u2028\u00a0\x0b\ufffe") == ""
    assert clean.line("It\x92s \x93so\x94\x85\x81") == "It’s “so”…"
    assert clean.line("\x7fa\ufdd0\ufdef\U0001fffe\U0010ffffb\ufffd\U0001fffd") == "ab\ufffd\U0001fffd"
    assert clean.text(" one  two \r\n\r\n\r\n\r\n three\rfour") == "one two\n\nthree\nfour"


@settings(max_examples=400, deadline=None)
@given(_markup | _any_text)
@example("<table><a href=/x><table></a><b>")
@example("<p><object><p>x</object>")
@example("<pre>\n\n\nx")
@example("<p>\u0338x&#x338;</p>")
@example("e&#769;<b>\u0301")
@example("<a href=/x><b><table><td><a href=/y></b>")
@example("<svg><p><style><img src=x onerror=1>")
@example("a&#13;b&#1;c&nbsp;d")
@example("<img src=x><img><img alt='<img>'><img src=data:x>")
def test_cleaning_twice_is_cleaning_once(value: str) -> None:
    """Whatever came in; and the result is legal, and safe."""
    made = clean.html(value, BASE)
    assert clean.html(made, BASE) == made
    assert not UNFIT.search(made)
    assert_harmless(made)
    clean.html_to_text(made)


_URL_ATTRIBUTES = {"href", "src", "cite"}


def assert_harmless(made: str) -> None:
    """By another parser: only listed tags, no handlers, every URL absolute with a listed scheme and no credentials."""
    for element in lxml_html.fragment_fromstring(made or "x", create_parent="div").iter():
        assert isinstance(element.tag, str)
        assert element.tag in clean.TAGS
        for name, value in element.attrib.items():
            assert not str(name).lower().startswith("on")
            assert name not in {"style", "srcdoc", "id", "class", "target", "srcset", "formaction", "xlink:href"}
            if name in _URL_ATTRIBUTES:
                parts = urlsplit(str(value))
                assert parts.scheme in {"http", "https"} or (name == "href" and parts.scheme == "mailto")
                assert "@" not in parts.netloc
        assert element.tag != "img" or element.get("src")


ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//e/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script/x>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img src='x'onerror=alert(1)>",
    "<IMG SRC=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href=' javascript:alert(1)'>x</a>",
    "<a href='java\nscript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='javascript&colon;alert(1)'>x</a>",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<a href='vbscript:x'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<a href=blob:x>x</a>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<math><mtext></p><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=javascript:alert(1)//>",
    "<link rel=stylesheet href=//e/x.css>",
    "<style>@import '//e/x.css';</style>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<body onload=alert(1)>",
    "<div onmouseover=alert(1)>x</div>",
    "<p/onclick=alert(1)>x</p>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<form action=javascript:alert(1)><input type=submit></form>",
    "<table background=javascript:alert(1)><tr><td>x</table>",
    "<xmp><img src=x onerror=alert(1)></xmp>",
    "<textarea></textarea><img src=x onerror=alert(1)>",
    "<title><img src=x onerror=alert(1)></title>",
    "<template><img src=x onerror=alert(1)></template>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml version=1?><img src=x onerror=alert(1)>",
    "<a href='http://u:p@e/'>x</a>",
    "<a href='https:\\\\e\\@h'>x</a>",
    "<blockquote cite=javascript:alert(1)>x</blockquote>",
    "<q cite='data:,x'>x</q>",
    "<img src=x onerror\0=alert(1)>",
    "<img src=x \0onerror=alert(1)>",
    "<scr\0ipt>alert(1)</scr\0ipt>",
    "<img srcset='x onerror=alert(1)'>",
    "<isindex action=javascript:alert(1)>",
    "<a href=x target=_blank onclick=alert(1) id=y class=z>x</a>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<time datetime='\"><img src=x onerror=alert(1)>'>x</time>",
    "<p title='</p><img src=x onerror=alert(1)>'>",
    "<abbr title='\"><script>alert(1)</script>'>x</abbr>",
    "<h1 onclick=alert(1)>x</h1>",
    "<section onclick=alert(1)>x</section>",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_executable_survives(attack: str) -> None:
    """Alone, inside a paragraph, and after its own output went through again."""
    for value in (attack, f"<p>before {attack} after</p>", f"<table><tr><td>{attack}", attack * 3):
        made = clean.html(value, BASE)
        assert_harmless(made)
        assert not re.search(r"<(?!/?[a-z0-9]+(?:\s[a-z]+=\"[^\"]*\")*>)", made)
        assert clean.html(made, BASE) == made


@pytest.mark.skipif(not NAUGHTY.exists(), reason="the naughty strings are not here (PRESSRUN_TEST_DATA)")
def test_naughty_strings() -> None:
    """Every one of them, as text, as a line and as markup."""
    for value in json.loads(NAUGHTY.read_bytes()):
        assert not UNFIT.search(clean.text(value) + clean.line(value))
        made = clean.html(value, BASE)
        assert_harmless(made)
        assert clean.html(made, BASE) == made


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<p>One &amp; <em>two</em></p>", "<p>One &amp; <em>two</em></p>"),
        ("<h1>Title</h1>text", "<h2>Title</h2>text"),
        ("<article><p>a</p></article><section>b</section>c", "<div><p>a</p></div><div>b</div>c"),
        ("<a href='/about'>x</a>", '<a href="https://www.example.org/about">x</a>'),
        ("<a href='#fn1'>x</a>", '<a href="https://www.example.org/news/story.html?x=1#fn1">x</a>'),
        ("<a href='//cdn.example/x'>x</a>", '<a href="https://cdn.example/x">x</a>'),
        ("<a href='mailto:desk@example.org'>x</a>", '<a href="mailto:desk@example.org">x</a>'),
        ("<a href='x' target=_blank rel='nofollow noopener me'>x</a>", '<a href="https://www.example.org/news/x" rel="nofollow">x</a>'),
        ("<a href='x y'>x</a>", '<a href="https://www.example.org/news/x%20y">x</a>'),
        ("<img src='../a.jpg' alt='A' width=640 height='4em'>", '<img src="https://www.example.org/a.jpg" alt="A" width="640">'),
        ("<img alt='no source'>", ""),
        ("<p lang=ar dir=rtl>نص</p>", '<p lang="ar" dir="rtl">نص</p>'),
        ("<p lang='\"x' dir=up>x</p>", "<p>x</p>"),
        ("<p>a <bdo dir=rtl>txt.<b>exe</b></bdo> <bdi dir=rtl>نص</bdi></p>", '<p>a txt.<b>exe</b> <bdi dir="rtl">نص</bdi></p>'),
        ("<td colspan=2>x</td>", "x"),
        ("<table><tr><td colspan=2 rowspan=x>x", '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table>'),
        ("<time datetime='2026-11-23'>today</time>", '<time datetime="2026-11-23">today</time>'),
        ("a&nbsp;b", "a\u00a0b"),
        ("e&#769;", "\u00e9"),
        ("a&#1;b\0c", "abc"),
        ("It\x92s &#147;so&#x94;&#133;", "It’s “so”…"),
        ("<abbr title='\x93&#127;&#xFDD0;\x94'>a&#129;\U0001fffeb\ufffd</abbr>", '<abbr title="“”">ab\ufffd</abbr>'),
        ("<p>\u0338x</p>", "<p>\u0338x</p>"),
        ("<p>a =\u0338 b</p>", "<p>a \u2260 b</p>"),
        ("<pre>" + "\n" * 20 + "a\n  b</pre>", "<pre>a\n  b</pre>"),
        ("<ruby>漢<rt>かん</rt></ruby>", "<ruby>漢<rt>かん</rt></ruby>"),
        ("<custom-box>kept</custom-box>", "kept"),
        ("<section-x>kept</section-x>", "kept"),
        ("", ""),
    ],
)
def test_html_by_example(value: str, expected: str) -> None:
    """What a newsroom writes comes out as it would expect."""
    assert clean.html(value, BASE) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<b>a</b><i>b</i>", "ab"),
        ("<h2>A</h2>b<ul><li>c</li><li>d</li></ul>e", "A\n\nb\n\nc\nd\n\ne"),
        ("a<br>b", "a\nb"),
        ("<table><tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></tbody></table>", "1 2\n3"),
        ("<p>a &lt;b&gt; &amp;amp; c</p>", "a <b> &amp; c"),
        ("<p>line\nbreak   here</p>", "line break here"),
        ("<p>é 漢 😀</p>", "é 漢 😀"),
        ('<p><img src="https://h/x" alt="not this"></p>', ""),
        ("<script>x</script><style>y</style>z", "z"),
        ("<?xml encoding='ascii'?><!-- c -->t", "t"),
        ("", ""),
    ],
)
def test_html_to_text(value: str, expected: str) -> None:
    """Blocks do not run together, inline markup leaves no trace."""
    assert clean.html_to_text(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "<div>" * 100_000,
        "<div><!--</div>-->" * 12_000,
        "<div><i title='</div>'></i>" * 11_000,
        "<div><table></div></table>" * 11_000,
        "<div " * 100_000,
        "<!--" * 100_000,
        "<a x='" * 50_000,
        "<script" * 60_000,
        "<p><b>" * 50_000,
        "<div></p>" * 9_999,
        "<ul><li>" * 30_000,
        "&" * 500_000,
        "<pre>" + "\n" * 400_000,
        "<blockquote>x</blockquote>" * 15_000,
        "<a " * 11_000 + '"',
    ],
    ids=range(15),
)
@pytest.mark.timeout(60)
def test_half_a_megabyte_of_malice_hangs_nobody(value: str) -> None:
    """The schema lets bodies of 500,000 characters through; what grows with the square would take minutes here."""
    made = clean.html(value[:500_000], BASE)
    clean.html_to_text(made)
    assert_harmless(made[:100_000].rpartition("<")[0])


def test_a_long_table_is_kept() -> None:
    """Many tags are not deep tags: election results stay a table."""
    made = clean.html("<table>" + "<tr><td>Ward</td><td><b>1</b></td></tr>" * 4000 + "</table>", BASE)
    assert made.count("<tr>") == 4000


def test_too_deep_to_be_meant_becomes_paragraphs() -> None:
    """The words stay, and stay clean."""
    made = clean.html("<div>" * 11_000 + "<p>kept &amp; <script>x</script></p>\n" + "second", BASE)
    assert made == "<p>kept &amp;</p><p>second</p>"
    assert clean.html(made, BASE) == made


_MANY_MARKS = ("\u0301\u0316", "\u0344", "\u0316\u0301\u0338", "\u05b0\u0591", "\U0001d165\U0001d16e")


@pytest.mark.parametrize("marks", _MANY_MARKS, ids=ascii)
def test_marks_do_not_pile_up(marks: str) -> None:
    """Thirty in a row and then a joiner (UAX #15): to order half a million keeps a worker busy for minutes. Nothing is lost."""
    for make in (clean.text, clean.line, lambda value: clean.html(f"<p title='{value}'>{value}</p>", BASE)):
        made = make("e" + marks * 20_000)
        runs = "".join("m" if unicodedata.combining(char) else " " for char in made).split()
        assert max(map(len, runs)) <= 30
        assert made.replace("\u034f", "").count(unicodedata.normalize("NFD", marks)[0]) >= 19_999
        assert make(made) == made or make is not clean.text
    assert clean.text("e\u0301\u0316 " * 40) == ("\u00e9\u0316 " * 40).strip()


@pytest.mark.parametrize("value", ["<\u0338" * 60_000, "> " * 60_000, "<b>&</b>" * 60_000], ids=ascii)
def test_what_becomes_too_much_is_reduced_at_once(value: str) -> None:
    """A bare bracket is a reference afterwards; cleaning its own result still changes nothing."""
    made = clean.html(value, BASE)
    assert clean.html(made, BASE) == made
    assert_harmless(made)
