"""Text and HTML made fit to print, at one boundary: what passes here can stand in XML, HTML and JSON everywhere.

Sanitising happens once, when a revision is made; every document afterwards trusts the result. So the result is a
fixed point: cleaning it again changes nothing, whatever came in.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape, unescape
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import nh3
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Callable

_PLANES = "".join(f"{chr(plane)}-{chr(plane + 0xFFFD)}" for plane in range(0x10000, 0x110000, 0x10000))
_UNFIT = re.compile(f"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd{_PLANES}]")
"""What XML 1.0 has no place for (section 2.2, production Char), and what it has one for and asks nobody to use (the note there): the
other control characters, and the noncharacters."""

_WINDOWS = {chr(byte): bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0)}
"""What stands where U+0080 to U+009F were written: nobody means these, many pasted windows-1252. HTML reads `&#146;` so (WHATWG HTML,
numeric character reference end state)."""

_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")
_BLANKS = re.compile("[ \t]+")
_ONE_LINE = re.compile("[ \t\n]+")
_EMPTY_LINES = re.compile("\n{3,}")

# Without bdo, which can turn any text round: the W3C feed validator calls it a security risk in a feed. A direction is bdi's, or `dir`'s.
_KEPT = """
    a abbr b bdi blockquote br caption cite code col colgroup dd del dfn div dl dt em figcaption figure h2 h3 h4 h5 h6 hr i img
    ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub sup table tbody td tfoot th thead time tr u ul var wbr
"""
TAGS = frozenset(_KEPT.split())
# What lies inside these is not prose: code, fallbacks of players, forms, and the two foreign namespaces mutation attacks live in.
_NOT_PROSE = """
    applet audio button canvas embed frameset head iframe math noembed noframes noscript object plaintext script select style svg
    template textarea title video xmp
"""
_SWALLOWED = frozenset(_NOT_PROSE.split())
_ATTRIBUTES = {
    "*": {"lang", "dir"},
    "a": {"href", "hreflang", "rel", "title"},
    "abbr": {"title"},
    "blockquote": {"cite"},
    "col": {"span"},
    "colgroup": {"span"},
    "del": {"cite", "datetime"},
    "dfn": {"title"},
    "img": {"src", "alt", "width", "height", "title"},
    "ins": {"cite", "datetime"},
    "li": {"value"},
    "ol": {"start", "reversed", "type"},
    "q": {"cite"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "time": {"datetime"},
}
_LINK_SCHEMES = frozenset({"http", "https", "mailto"})
_NUMBER = re.compile(r"-?[0-9]{1,5}")
_REL = frozenset({"nofollow", "sponsored", "ugc"})  # what a newsroom owes search engines; no target, so no noopener
_URL_BLANKS = re.compile(r"[\t\n\r]")  # removed by browsers (WHATWG URL 4.4), so they would hide a scheme
_USUAL_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._~%/-]*)?")
_TITLE_TAG = re.compile(r"<(/?)h1(?=[\s/>])", re.IGNORECASE)
_BOX_TAG = re.compile(
    r"<(/?)(?:address|article|aside|center|details|fieldset|footer|header|main|nav|section|summary)(?=[\s/>])", re.IGNORECASE
)
_PRE = re.compile(r"(<pre(?:\s[a-z]+=\"[^\"]*\")*>)\n+")  # the parser drops one newline here, each time
_IMG = re.compile(r"<img((?:\s[a-z]+=\"[^\"]*\")*)>")
_OVERLAY = re.compile("(?<=[<>])\u0338")  # would compose with the bracket of a tag under NFC
_PASSES = 6

_MARKS = 30
_MARKS_PERHAPS = re.compile(rf"[^\x00-\u02ff]{{{_MARKS + 1},}}")  # no combining mark is below U+0300; words of most scripts are shorter
_JOINER = "\u034f"  # COMBINING GRAPHEME JOINER: is nothing to see, and no mark is moved across it

_FEW_TAGS = 10_000  # with all of them nested, nh3 takes 0.15 s; the time grows with the square
_FEW_REFERENCES = 50_000  # all in one text they take nh3 25 ms; here too the time grows with the square
_DEEP = 100  # far above what an editor nests
_TAG_START = re.compile(r"<[a-zA-Z]")
_TOKEN = re.compile(  # every alternative can end at the end of the text, so that the search stays linear
    r"<!--.*?(?:-->|\Z)|<(script|style|textarea|title|xmp|iframe|noembed|noframes|noscript)\b.*?(?:</\1\b[^>]*+(?:>|\Z)|\Z)"
    r"|<(/?)([a-zA-Z][^\s/>]*)(?:[^\"'>]|\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z))*+(?:>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_NEVER_DEEP = frozenset("br col dd dt embed hr img input li link meta option p param rp rt source tbody td tfoot th thead tr wbr".split())  # noqa: SIM905
_WALLS = frozenset("applet button marquee object select table template".split())  # noqa: SIM905

_LINES = frozenset("br caption dd dt li tr".split())  # noqa: SIM905
_BLOCKS = frozenset("blockquote div dl figcaption figure h1 h2 h3 h4 h5 h6 hr ol p pre table ul".split())  # noqa: SIM905


def text(value: str) -> str:
    """Plain text of several lines: fit to print, NFC, line feeds, no blanks at the edges, at most one empty line."""
    lines = _LINE_ENDS.sub("\n", _plain(value)).split("\n")
    return _EMPTY_LINES.sub("\n\n", "\n".join(_BLANKS.sub(" ", line).strip() for line in lines)).strip()


def line(value: str) -> str:
    """Plain text of one line: fit to print, NFC, every run of blanks and line ends one space, none at the edges.

    A no-break space stays what it is: French and others set one before a colon.
    """
    return _ONE_LINE.sub(" ", _LINE_ENDS.sub("\n", _plain(value))).strip()


def html(value: str, base_url: str) -> str:
    """An HTML fragment with nothing executable left, and every link absolute against `base_url`.

    Kept are the tags in `TAGS`; h1 becomes h2 (the headline is the page's h1), sectioning boxes become div, other
    tags go and their text stays. Links are http, https or mailto, pictures http or https, neither with credentials.
    Running it on its own result changes nothing. A fragment that no editor wrote, nested 100 deep
    in more than 10,000 tags or with 50,000 ampersands, is reduced to paragraphs.
    """
    if _is_too_much(value):
        return _reduced(value)
    clean = value
    for _ in range(_PASSES + 1):
        last, clean = clean, _pass(clean, base_url)
        if clean == last:  # what a pass leaves alone, every further pass leaves alone: mostly the first or the second
            return _reduced(clean) if _is_too_much(clean) else clean  # a bare < has become a reference
    return _paragraphs(html_to_text(clean))


def _is_too_much(markup: str) -> bool:
    return markup.count("&") > _FEW_REFERENCES or (len(_TAG_START.findall(markup)) > _FEW_TAGS and _is_deep(markup))


def _reduced(markup: str) -> str:
    return _paragraphs(unescape(_TOKEN.sub("\n", markup)))


def html_to_text(html: str) -> str:
    """The text of sanitised HTML: blocks apart by an empty line, lines and list items by a line end; no markup."""
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, huge_tree=True)
    source = f"<div>{_fit(html)}</div>".encode()
    pieces: list[str] = []
    for event, element in etree.iterwalk(etree.fromstring(source, parser), events=("start", "end")):
        _write(pieces, event, str(element.tag), (element.text if event == "start" else element.tail) or "")
    return text("".join(pieces))


def _write(pieces: list[str], event: str, tag: str, words: str) -> None:
    if tag in _BLOCKS:
        pieces.append("\n\n")
    elif event == "start":
        pieces.append("\n" if tag in _LINES else " " if tag in {"td", "th"} else "")
    if not (event == "start" and tag in {"script", "style"}):
        pieces.append(words if event == "start" and tag == "pre" else _ONE_LINE.sub(" ", words))


def _plain(value: str) -> str:
    return _composed(_fit(value))


def _fit(value: str) -> str:
    """Without what is unfit to print; what was windows-1252 is the character that it was."""
    return _UNFIT.sub(lambda found: _WINDOWS.get(found[0], ""), value)


def _composed(value: str) -> str:
    """NFC, and stream-safe before and after it: composing takes one run of marks apart into up to three times as many."""
    return _stream_safe(unicodedata.normalize("NFC", _stream_safe(value)))


def _stream_safe(value: str) -> str:
    """At most 30 combining marks in a row, then U+034F (UAX #15 section 13): putting them in order takes the square of their number."""
    return _MARKS_PERHAPS.sub(_parted, value)


def _parted(run: re.Match[str]) -> str:
    made, marks = [], 0
    for char in run[0]:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > _MARKS:
            made.append(_JOINER)
            marks = 1
        made.append(char)
    return "".join(made)


def _pass(value: str, base_url: str) -> str:
    """Sanitise once. Character references become characters on the way, so the unfit ones are removed on both sides."""
    boxed = _BOX_TAG.sub(r"<\1div", _TITLE_TAG.sub(r"<\1h2", _legal(value)))
    made = nh3.clean(
        boxed,
        tags=set(TAGS),
        clean_content_tags=set(_SWALLOWED),
        attributes=_ATTRIBUTES,
        attribute_filter=lambda _tag, name, found: _attribute(name, found, base_url),
        url_schemes=set(_LINK_SCHEMES),
        link_rel=None,
    )
    return _IMG.sub(_with_source, _PRE.sub(r"\1", _legal(made.replace("&nbsp;", "\xa0")))).strip()


def _legal(markup: str) -> str:
    """Fit to print, line feeds, NFC; a tag's own bracket is kept from composing with what follows."""
    markup = _stream_safe(markup)
    if markup.replace("\n", "").isprintable() and "\u0338" not in markup and unicodedata.is_normalized("NFC", markup):
        return markup  # nearly every text: nothing printable is unfit, and these checks cost a tenth
    parts = _OVERLAY.split(_LINE_ENDS.sub("\n", _fit(markup)))
    return "\u0338".join(_composed(part) for part in parts)


def _with_source(img: re.Match[str]) -> str:
    return img[0] if re.search(r'\ssrc="', re.sub(r'="[^"]*"', '="', img[1])) else ""


def _attribute(name: str, value: str, base_url: str) -> str | None:
    """The value an attribute may have here, or None to drop it."""
    if name in {"href", "src", "cite"}:
        return _url(value, base_url, _LINK_SCHEMES if name == "href" else _LINK_SCHEMES - {"mailto"})
    if name == "rel":
        return " ".join(word for word in value.lower().split() if word in _REL) or None
    allowed = _VALUES.get(name)
    return value if allowed is None or allowed(value) else None


_VALUES: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("width", "height", "colspan", "rowspan", "span", "start", "value"), _NUMBER.fullmatch),
    "dir": frozenset({"ltr", "rtl", "auto"}).__contains__,
    "lang": re.compile(r"[A-Za-z0-9-]{1,35}").fullmatch,
    "hreflang": re.compile(r"[A-Za-z0-9-]{1,35}").fullmatch,
    "type": frozenset("1aAiI").__contains__,
    "scope": frozenset({"row", "col", "rowgroup", "colgroup"}).__contains__,
}


def _url(value: str, base_url: str, schemes: frozenset[str]) -> str | None:
    if _USUAL_URL.fullmatch(value):
        return value  # as what follows would answer, at a tenth of the cost
    try:
        url = urljoin(base_url, _URL_BLANKS.sub("", value).strip(" "))
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in schemes or (parts.scheme != "mailto" and (not host or "@" in parts.netloc or "\\" in parts.netloc)):
        return None
    return url.replace(" ", "%20")


def _is_deep(markup: str) -> bool:
    """Whether open elements would pile up beyond `_DEEP`, by the rules of the HTML parser that matter for that."""
    stack: list[str] = []
    for token in _TOKEN.finditer(markup):
        closing, name = token[2], (token[3] or "").lower()
        if not name or name in _NEVER_DEEP:
            continue
        if not closing:
            stack.append(name)
        else:
            _close(stack, name)
        if len(stack) > _DEEP:
            return True
    return False


def _close(stack: list[str], name: str) -> None:
    for position in range(len(stack) - 1, -1, -1):
        if stack[position] == name:
            del stack[position:]
            return
        if stack[position] in _WALLS:
            return


def _paragraphs(words: str) -> str:
    return "".join(f"<p>{escape(block, quote=False)}</p>" for block in text(words).split("\n") if block)
