"""How the networks count a text: X's weights, grapheme clusters, UTF-16 units and UTF-8 bytes.

X's rules are those of twitter-text, configuration v3 (https://github.com/twitter/twitter-text, config/v3.json). Its
reading of links is followed rule by rule, because a link it does not recognise is counted letter by letter.

Every match is `concurrent=False`: the regex module would let go of the interpreter for each of them, and waiting to have
it back costs a busy process more than the match.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import regex

from pipeline.networks import tlds

if TYPE_CHECKING:
    from collections.abc import Iterator

X_LINK = 23  # v3.json transformedURLLength: what t.co makes of every link, however long
X_EMOJI = 2  # v3.json emojiParsingEnabled: a whole emoji sequence weighs defaultWeight / scale
X_LONGEST_LINK = 4096  # twitter-text: a longer one is no link
MASTODON_LINK = 23  # /api/v2/instance configuration.statuses.characters_reserved_per_url

_DIRECTIONAL = r"\u202A-\u202E\u061C\u200E\u200F\u2066-\u2069"
_INVALID = r"\uFFFE\uFEFF\uFFFF"
_SPACES = r"\t-\r \x85\xA0\u1680\u180E\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"
_ACCENTED = (
    r"\xC0-\xD6\xD8-\xF6\xF8-\u024F\u0253\u0254\u0256\u0257\u0259\u025B\u0263\u0268\u026F\u0272\u0289\u028B\u02BB\u0300-\u036F\u1E00-\u1EFF"
)

_IN_LABEL = rf"[^!'#%&()*+,\\\-./:;<=>?@\[\]^_{{|}}~${_SPACES}{_INVALID}{_DIRECTIONAL}]"
# The bounds keep a hostile text from costing seconds: RFC 1035 2.3.4 gives a label 63 octets, and nobody nests more than ten.
_NAME = rf"{_IN_LABEL}(?:-*+{_IN_LABEL}){{0,62}}+\."
_SUBDOMAIN = rf"{_IN_LABEL}(?:[_-]*+{_IN_LABEL}){{0,62}}+\."
_TOP = r"(?:\L<tlds>(?![0-9a-z@+-])|xn--[-0-9a-z]+)"
_DOMAIN = rf"(?:{_SUBDOMAIN}){{0,10}}{_NAME}{_TOP}"

_IN_PATH = rf"[a-z\u0400-\u04FF0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&{_ACCENTED}]"
_PARENS = rf"\((?:{_IN_PATH}+|{_IN_PATH}*\({_IN_PATH}+\){_IN_PATH}*)\)"
_PATH_END = rf"[+\-a-z\u0400-\u04FF0-9=_#/{_ACCENTED}]"
_PATH = rf"(?:{_IN_PATH}*(?:{_PARENS}{_IN_PATH}*)*{_PATH_END}|{_PARENS}|@{_IN_PATH}+/)"
_QUERY = r"\?[a-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*[a-z0-9\-_&=#/]"

_TLDS = sorted(tlds.KNOWN)
_LINK = regex.compile(
    rf"(?P<before>[^a-z0-9@＠$#＃{_INVALID}]|^)(?P<link>(?P<scheme>https?://)?(?P<domain>{_DOMAIN})(?::[0-9]+)?(?P<path>/(?:{_PATH})*)?(?:{_QUERY})?)",
    regex.IGNORECASE,
    tlds=_TLDS,
)
_RUN = regex.compile(rf"[^{_SPACES}]+")
_ASCII_DOMAIN = regex.compile(rf"(?:[\-a-z0-9{_ACCENTED}]+\.)+{_TOP}", regex.IGNORECASE, tlds=_TLDS)
_SHORTENED = regex.compile(rf"https?://t\.co/(?P<slug>[a-z0-9]+)(?:{_QUERY})?", regex.IGNORECASE)
_LONGEST_SLUG = 40  # twitter-text: a t.co link with a longer one is no link

_DOUBLE = regex.compile(r"[^\u0000-\u10FF\u2000-\u200D\u2010-\u201F\u2032-\u2037]")  # v3.json ranges: these weigh 100, all else 200
# Sequences only: an emoji of one code point weighs 2 by the ranges alone. Four elements are the most Unicode recommends
# (UTS #51, emoji-zwj-sequences.txt); of what runs longer the rest is counted by itself.
_EMOJI_ELEMENT = r"(?:\p{Emoji_Modifier_Base}[\U0001F3FB-\U0001F3FF]|\p{Extended_Pictographic}\uFE0F?)"
_EMOJI = regex.compile(
    r"[\U0001F1E6-\U0001F1FF]{2}"
    r"|[0-9#*]\uFE0F?\u20E3"
    r"|\U0001F3F4[\U000E0020-\U000E007E]+\U000E007F"
    r"|(?![\xA9\xAE](?!\uFE0F))" + _EMOJI_ELEMENT + rf"(?:\u200D{_EMOJI_ELEMENT}){{0,3}}",
)
_MENTION = regex.compile(r"(?<![\w/=@])(@\w+(?:[\w.-]*\w)?)@[\w.-]*\w", regex.IGNORECASE)
_GRAPHEME = regex.compile(r"\X")


def graphemes(text: str) -> list[str]:
    """The extended grapheme clusters (UAX #29) of a text, in order; joined they are the text."""
    return _GRAPHEME.findall(text, concurrent=False)


def grapheme_count(text: str) -> int:
    """How many extended grapheme clusters (UAX #29): what Bluesky and Mastodon count."""
    if text.isascii():  # of all ASCII only CR and LF join
        return len(text) - text.count("\r\n")
    return len(graphemes(text))


def utf16_units(text: str) -> int:
    """UTF-16 code units: what Telegram's offsets, JavaScript and Java count. Never less than code points."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def utf8_bytes(text: str) -> int:
    """Bytes in UTF-8. Raises UnicodeEncodeError for a lone surrogate, which no cleaned text has."""
    return len(text.encode())


@lru_cache(maxsize=64)  # a text that fits is counted once more for the record
def x_weight(text: str) -> int:
    """What X counts of its 280: NFC, each link 23, each emoji sequence 2, other code points 1 or 2 (v3.json ranges)."""
    normal = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    total, done = 0, 0
    for start, end in links(normal):
        total += _plain_weight(normal[done:start]) + X_LINK
        done = end
    return total + _plain_weight(normal[done:])


@lru_cache(maxsize=64)
def mastodon_length(text: str) -> int:
    """What Mastodon counts of its limit: graphemes, each link with a scheme 23, @user@domain only as @user.

    The links are read by X's rules for paths, which end a link sooner than Mastodon's own: never too low a count.
    https://docs.joinmastodon.org/user/posting/#text
    """
    total, done = 0, 0
    for start, end in links(text, bare=False):
        total += grapheme_count(_MENTION.sub(r"\1", text[done:start], concurrent=False)) + MASTODON_LINK
        done = end
    return total + grapheme_count(_MENTION.sub(r"\1", text[done:], concurrent=False))


def links(text: str, *, bare: bool = True) -> list[tuple[int, int]]:
    """Where twitter-text sees links: (start, end) in code points, in order. `bare`: those without a scheme as well."""
    found: list[tuple[int, int]] = []
    for match in _candidates(text, "." if bare else "://"):
        if not _is_link(match):
            continue
        if match["scheme"]:
            found += _with_scheme(match)
        elif bare and match["before"] not in {"-", "_", ".", "/"}:
            found += _without_scheme(match)
    return found


def _candidates(text: str, mark: str) -> Iterator[regex.Match[str]]:
    """No link holds a space, so only runs without one that have the mark are worth the search; one character before each is context."""
    for run in _RUN.finditer(text, concurrent=False):
        # A full stop that ends a sentence begins no domain's last label.
        if mark in run[0][:-1]:
            yield from _LINK.finditer(text, max(0, run.start() - 1), run.end(), concurrent=False)


def _is_link(match: regex.Match[str]) -> bool:
    """Whether its domain has a punycode form (labels of at most 63), and the whole is not too long."""
    try:
        host = match["domain"].encode("idna")
    except UnicodeError:
        return False
    scheme = "" if match["scheme"] else "https://"
    return len(scheme) + len(match["link"]) - len(match["domain"]) + len(host) <= X_LONGEST_LINK


def _with_scheme(match: regex.Match[str]) -> list[tuple[int, int]]:
    start, end = match.span("link")
    short = _SHORTENED.match(match["link"], concurrent=False)
    if short is None:
        return [(start, end)]
    return [(start, start + short.end())] if len(short["slug"]) <= _LONGEST_SLUG else []


def _without_scheme(match: regex.Match[str]) -> list[tuple[int, int]]:
    """Only domains in Latin letters count without a scheme; a path belongs to the last of them."""
    start = match.start("domain")
    found = [(start + part.start(), start + part.end()) for part in _ASCII_DOMAIN.finditer(match["domain"], concurrent=False)]
    if found and match["path"]:
        found[-1] = (found[-1][0], match.end("link"))
    return found


def _plain_weight(text: str) -> int:
    if text.isascii():  # no emoji sequence is, and every letter of it weighs one
        return len(text)
    rest, emoji = _EMOJI.subn("", text, concurrent=False)
    return X_EMOJI * emoji + len(rest) + len(_DOUBLE.findall(rest, concurrent=False))
