"""Markup that runs something, by combination: what carries it, what starts it, how its address is spelled, how the tag is broken.

`dangers` is the judge: it knows what may remain, not how it was cleaned, and reads with two parsers that are not ours.
"""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from lxml import html

from pipeline.kit import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAGS = """script img svg math iframe object embed form input button body link meta style base video audio source details marquee a area template
noscript xmp plaintext textarea title select option table td p div b h1 frameset frame applet param portal dialog keygen isindex animate set use
foreignObject image custom-element slot bgsound layer ilayer blink center""".split()
_STARTS = (
    "onerror={}", "onload={}", "onclick={}", "onfocus={} autofocus", "onmouseover={}", "ontoggle={} open", "onanimationstart={}", "onbegin={}",
    "onpointerrawupdate={}", "ONERROR={}", "onError\t=\n{}", "style=background:url({})", "style=-moz-binding:url({})", "style=width:expression({})",
    "srcdoc=<script>{}</script>", "formaction={}", "action={}", "xlink:href={}", "background={}", "poster={}", "data={}", "srcset={}", "ping={}",
    "src={}", "href={}", "cite={}", "longdesc={}", "dynsrc={}", "lowsrc={}", "codebase={}", "manifest={}", "content=0;url={}", "values={}", "to={}",
    "id=x name=getElementById {}", "is=x-y {}", "class=x target=_blank href={}", "\0onclick={}", "on\0click={}", "\u200bonclick={}", "/onclick={}",
)  # fmt: skip
_SCHEMES = (
    "javascript:alert(1)", "vbscript:msgbox(1)", "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=", "data:image/svg+xml,<svg/onload=alert(1)>",
    "blob:https://e/1", "file:///etc/passwd", "filesystem:https://e/x", "view-source:x", "jar:https://e!/x", "livescript:x", "mhtml:x", "feed:javascript:alert(1)",
    "mocha:x", "ms-its:x", "intent://x#Intent;end", "about:blank", "ws://127.0.0.1/", "ftp://e/", "gopher://e/", "tel:1", "sms:1", "x-apple:1",
)  # fmt: skip


def _spellings(url: str) -> Iterator[str]:
    """Ways to write an address that some browser, at some time, read as the same."""
    scheme, _, rest = url.partition(":")
    yield url
    yield f"{scheme.upper()}:{rest}"
    yield "".join(c.upper() if n % 2 else c for n, c in enumerate(scheme)) + ":" + rest
    yield from (
        f"{blank}{url}" for blank in (" ", "\t", "\n", "\r", "\x01", "\x0b", "\x0c", "\x1f", "\u00a0", "\ufeff", "\u200b", "\u2028")
    )
    yield from (
        f"{scheme[:4]}{char}{scheme[4:]}:{rest}"
        for char in ("\t", "\n", "\r", "\0", "\u00ad", "\u200d", "/**/", "&Tab;", "&NewLine;", "&#9;", "&#x0A;")
    )
    yield from (f"{scheme}{colon}{rest}" for colon in (" :", "&colon;", "&#58;", "&#x3A;", "&#58", "%3A", "\uff1a", ":\n", ":/", "://"))
    yield "".join(f"&#{ord(c)};" for c in url)
    yield "".join(f"&#x{ord(c):x}" for c in url)
    yield "".join(f"&#{ord(c):07}" for c in url)
    yield "".join(f"%{ord(c):02x}" for c in scheme) + ":" + rest
    yield "".join(chr(ord(c) + 0xFEE0) for c in scheme) + ":" + rest
    yield url.replace("a", "\\u0061")


_FORMS = (
    "<{tag} {attribute}>x</{tag}>", "<{tag} {attribute}", "<{TAG} {attribute}>", "<{tag}/{attribute}/>", "<{tag}\n{attribute}\n>", "<<{tag} {attribute}>>",
    "<{tag} x='{attribute}'>", '<{tag} x="`>" {attribute}>', "<{tag}\0 {attribute}>", "<p title='</p><{tag} {attribute}>'>", "<!--><{tag} {attribute}>-->",
    "<![CDATA[<{tag} {attribute}>]]>", "<svg><{tag} {attribute}></svg>", "<math><mtext><{tag} {attribute}>", "<table><{tag} {attribute}>", "<b><{tag} {attribute}></b>",
    "<noscript><p title='</noscript><{tag} {attribute}>'>", "<textarea></textarea><{tag} {attribute}>", "<title><{tag} {attribute}></title>",
    "&lt;{tag} {attribute}&gt;", "\\u003c{tag} {attribute}\\u003e", "<{tag} {attribute}\u2028>", "<scr<script>ipt><{tag} {attribute}>", "<?x <{tag} {attribute}>", "</{tag} {attribute}>",
    "<style><!--</style><{tag} {attribute}>-->", "<xmp><{tag} {attribute}></xmp>", "<iframe><{tag} {attribute}></iframe>", "<select><{tag} {attribute}>", "<template><{tag} {attribute}>",
)  # fmt: skip


def made() -> Iterator[str]:
    """Every carrier with every start, every scheme in every spelling, and every form in turn: some three thousand."""
    forms, urls = itertools.cycle(_FORMS), itertools.cycle(_SCHEMES)
    for tag, start in itertools.product(_TAGS, _STARTS):
        value = f"'{next(urls)}'" if len(tag) % 2 else next(urls).replace(" ", "")
        yield next(forms).format(tag=tag, TAG=tag.upper(), attribute=start.format(value))
    quotes = itertools.cycle(("'{}'", '"{}"', "{}"))
    places = itertools.cycle(
        (("a", "href"), ("img", "src"), ("q", "cite"), ("blockquote", "cite"), ("area", "href"), ("ins", "cite"), ("video", "poster"))
    )
    for scheme in _SCHEMES:
        for url in _spellings(scheme):
            tag, name = next(places)
            yield f"<{tag} {name}={next(quotes).format(url)}>x"


_SAFE_NAMES = frozenset(
    "lang dir href hreflang rel title cite span datetime src alt width height value start reversed type colspan rowspan scope loading".split()
)
OUR_TAGS = clean.TAGS | {"figure", "figcaption", "video"}
OUR_NAMES = _SAFE_NAMES | {"class", "controls", "preload", "poster", "type", "role", "aria-label"}
"""Of what feeds put around a body: photographs, films, captions."""

_ADDRESSES = frozenset({"href", "src", "cite", "poster"})
_UNSEEN = re.compile("[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")


class _Tags(HTMLParser):
    """What the standard library's parser sees."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.other: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_comment(self, data: str) -> None:
        self.other.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.other.append(f"declaration {decl}")

    def handle_pi(self, data: str) -> None:
        self.other.append(f"instruction {data}")


def dangers(markup: str, tags: frozenset[str] = clean.TAGS, names: frozenset[str] = _SAFE_NAMES) -> list[str]:
    """Why this must not stand in a document: by each of two parsers, every element, attribute and address that may not."""
    parser = _Tags(markup)
    found = list(parser.other)
    tree = html.fragment_fromstring(markup or "x", create_parent="div")
    found += [f"no element: {e}" for e in tree.iter() if not isinstance(e.tag, str)]
    seen: list[tuple[str, list[tuple[str, str | None]]]] = [
        (str(e.tag), [(str(k), str(v)) for k, v in e.attrib.items()]) for e in tree.iterdescendants() if isinstance(e.tag, str)
    ]
    for tag, attributes in [*seen, *parser.found]:
        if tag not in tags:
            found.append(f"element {tag}")
        for name, value in attributes:
            if name not in names or name.startswith("on"):
                found.append(f"attribute {name} of {tag}")
            if name in _ADDRESSES and not is_web(value or "", mail=name == "href"):
                found.append(f"address {value} in {name} of {tag}")
    return found


def is_web(url: str, *, mail: bool = False) -> bool:
    """Whether a browser, which overlooks control characters, goes to the web with it (or to the mail program)."""
    scheme = _UNSEEN.sub("", url).partition(":")[0].lower()
    return scheme in {"http", "https"} or (mail and scheme == "mailto")
