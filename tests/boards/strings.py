"""Texts that broke other people's programs, made by rule: XML's own syntax, control characters, directions, look-alikes, line ends.

`as_line` and `as_text` say what a text must have become in every document. They follow the sentences of `pipeline.kit.clean`
and docs/webhooks.md, not its code.
"""

from __future__ import annotations

import itertools
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 9}">' for n in range(1, 5))
XML = (
    f"<?xml version='1.0'?><!DOCTYPE l [<!ENTITY l0 'lol'>{_ENTITIES}]><l>&l4;</l>",
    "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>", "<!DOCTYPE x [<!ENTITY % e SYSTEM 'http://127.0.0.1/'> %e;]>", "&xxe;", "&lol9;", "%e;",
    "]]>", "]]]]><![CDATA[>", "<![CDATA[<b>]]>", "<!--", "-->", "--", "<!-- -- -->", "<?php echo 1 ?>", "<?xml-stylesheet href='x'?>",
    "&", "&amp;", "&amp;amp;", "&lt;b&gt;", "&#0;", "&#x0;", "&#1;", "&#xD800;", "&#xFFFF;", "&#1114112;", "&#99999999999;", "&nbsp;", "&#38;#60;",
    "<", ">", "\"'", "</title>", "</item></channel></rss>", "</entry></feed>", "</content>", "xmlns='x'", "xml:base='http://e/'", "{http://www.w3.org/2005/Atom}id",
    "<xi:include href='file:///etc/passwd' parse='text'/>", "a:b:c", "\\", "\\\\", "\\u0000", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "{% raw %}", "%s%n%x", "$(id)", "`id`",
    "'; DROP TABLE articles; --", '" OR 1=1 --', "=1+1", "@SUM(1)", "+1", "-1", "../../etc/passwd", "CON", "NUL.txt", "\ufffd",
)  # fmt: skip
_CONTROLS = [chr(n) for n in (*range(32), *range(0x7F, 0xA0))]
_SILENT = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2064\u206a\u206f\u3164\ufe00\ufe0f\ufeff\uffa0"
)
_SILENT += "\ufff9\ufffa\ufffb\U000e0001\U000e0041\U000e007f\U0001d173"
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_NON_CHARACTERS = "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff\U000f0000\ue000"
_BLANKS = "\u00a0\u1680\u2000\u2003\u2007\u2009\u202f\u205f\u3000\u2028\u2029\x85\x0b\x0c"
LOOK_ALIKES = (
    ("admin", "\u0430dmin"), ("paypal", "\u0440\u0430\u0443\u0440\u0430l"), ("Oslo", "\u039fslo"), ("apple", "\u0430\u0440\u0440l\u0435"), ("file", "\ufb01le"),
    ("Strasse", "Stra\u00dfe"), ("istanbul", "\u0130stanbul"), ("K", "\u212a"), ("A\u030a", "\u212b"), ("ohm", "\u2126hm"), ("caf\u00e9", "cafe\u0301"), ("1", "\u0661"),
    ("abc", "\uff41\uff42\uff43"), ("abc", "\U0001d41a\U0001d41b\U0001d41c"), ("rn", "m"), ("l", "I"), ("a", "a\u200b"), ("a", "\u202ea"), ("a b", "a\u00a0b"), ("-", "\u2010"),
)  # fmt: skip
"""Pairs that a reader may take for each other. They are told apart, or, where Unicode says that they are the same (NFC), are the same."""


def made() -> Iterator[str]:
    """Some three hundred texts."""
    yield from XML
    yield from (f"a{control}b" for control in _CONTROLS)
    yield from (f"a{char}b" for char in _SILENT + _TURNING + _NON_CHARACTERS + _BLANKS)
    yield from (f"{char}word{char}" for char in _SILENT + _TURNING + _BLANKS)
    yield from itertools.chain.from_iterable(LOOK_ALIKES)
    yield from (one + two for one, two in itertools.product("\r\n\u2028\x85\t ", repeat=2))
    yield from (f"x{marks}y" for marks in ("\u0301" * 70, "\u0316\u0301" * 35, "\u0344" * 20, "\u0338<", "<\u0338", "\u20dd", "\u0488"))
    yield from (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1e9\U0001f1ea",
        "\U0001f44d\U0001f3fd",
        "\u0627\u0644\u0633\u0644\u0627\u0645",
        "\ufdfa",
        "\u0e33",
    )
    yield from (
        "\u1100\u1161\u11a8",
        "\u0958",
        "\ufb1d",
        "\U0001d15e",
        "\u1e9b\u0323",
        "\ud7a3",
        "\uac00\u11a8",
        "\u3099",
        "\u0061\u0315\u0300\u05ae\u0062",
    )
    yield from ("x" * 80, "\u6f22" * 79, "\U0001f6a2" * 40, "a" + " " * 60 + "b", "\n" * 70 + "x")


def as_line(text: str) -> str:
    """One line: fit to print, NFC, each run of blanks and line ends one space, none at the edges."""
    for end in ("\r\n", "\r", "\u2028", "\u2029"):
        text = text.replace(end, "\n")
    return " ".join(piece for piece in _composed(text).replace("\t", " ").replace("\n", " ").split(" ") if piece).strip()


def as_text(text: str) -> str:
    """Several lines, each like `as_line`, at most one of them empty in a row."""
    for end in ("\r\n", "\r", "\u2028", "\u2029"):
        text = text.replace(end, "\n")
    lines = [" ".join(p for p in line.replace("\t", " ").split(" ") if p).strip() for line in _composed(text).split("\n")]
    kept = [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
    return "\n".join(kept).strip()


def _composed(text: str) -> str:
    """Without what XML 1.0 has no place for (2.2) and what is never text, windows-1252 as meant, composed, marks in rows of thirty."""
    legal = [c.encode("latin-1").decode("cp1252", "ignore") if "\x80" <= c <= "\x9f" else c for c in text if not _is_never_text(c)]
    return _in_rows(unicodedata.normalize("NFC", _in_rows("".join(legal))))


def _is_never_text(char: str) -> bool:
    """A control character, a surrogate or a noncharacter; of U+0080 to U+009F it is not known yet."""
    if unicodedata.category(char) in {"Cc", "Cs"}:
        return char not in "\t\n\r" and not "\x80" <= char <= "\x9f"
    return "\ufdd0" <= char <= "\ufdef" or ord(char) & 0xFFFE == 0xFFFE


def _in_rows(text: str) -> str:
    made, marks = "", 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > 30:
            made, marks = made + "\u034f", 1
        made += char
    return made
