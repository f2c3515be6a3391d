"""Addresses and paths that lead elsewhere than they seem to, made by rule."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "www.example.org"
_SCHEMES = (
    "javascript",
    "data",
    "file",
    "ftp",
    "HTTPS",
    "Http",
    "vbscript",
    "blob",
    "ws",
    "gopher",
    "mailto",
    "tel",
    "HTTPX",
    "htt ps",
    "http s",
    "",
    "https:https",
    "ht\ttp",
    "\u04bbttp",
    "https\u200b",
)
_AUTHORITIES = (
    "", "@", "user@{h}", "user:secret@{h}", "{h}@evil.example", "{h}:x@evil.example", "{h}%40evil.example", "evil.example#@{h}", "evil.example?@{h}", "evil.example\\@{h}",
    "{h}\\@evil.example", "{h}:99999", "{h}:-1", "{h}:x", "{h}: 80", "{h}:80:80", "{h}.", "{h}..", ".{h}", "www..example.org", "www.example.org.evil.example",
    "[::1", "[::1]", "[::1]x", "[{h}]", "[v1.x]", "127.0.0.1", "0x7f000001", "www%2eexample.org", "www.example.org%00.evil", "www.example.org%0d%0a",
    "www.ex\u0430mple.org", "www\u3002example\u3002org", "www.example\u2024org", "ｗｗｗ.example.org", "www.example.org\u2100", "xn--exmple-4nf.org", "-", "_", "a b", "{h}\t", "{h}\n", "{h}\r\n",
    "{h}\0", "{h}\u2028", "{h}\u00ad", "{h}\u202e", "{h}\ufeff", "{h}|x", "{h}^", "{h}`", "{h}'", '{h}"', "{h}<", "{h}{{", "{h}%", "{h}%zz", "{h};x",
)  # fmt: skip
_ENDS = (
    "\r\nX-Injected: 1", "\nx", "\0", "\t", " ", "a b", "\\..\\x", "<script>", '">', "`", "{x}", "|", "^", "\u2028", "\u202e", "\u00e9", "\ud7ff", "%", "%zz", "%0", "#a#b", "[x]", "\ufffe",
    "\x7f", "\x85", "\u00a0", "\u3000",
)  # fmt: skip
_SOUND = (
    "/", "", "/a", "/a?b=c&d=e", "/a#b", "/%0d%0aX-Injected:%201", "/%00", "/..%2f..%2fetc%2fpasswd", "/../../etc/passwd", "/./a//b/", "//evil.example/", "/@evil.example",
    "/a%27%22%3E%3Cscript%3E", "/" + "a" * 1900, "/%E2%80%AE", "/?", "/#", "/a;b=c", "/a:b", "/'", "/(a)", "/a*b", "/~a", "/a!$&()*+,;=", "/con.txt", "/.", "/..",
)  # fmt: skip


def unsound() -> Iterator[str]:
    """No address of the web, or one that two programs read differently."""
    yield from (f"{scheme}:{slashes}{HOST}/a" for scheme in _SCHEMES for slashes in ("", "//"))
    yield from (f"https://{authority.replace('{h}', HOST)}/a" for authority in _AUTHORITIES)
    yield from (f"https://{HOST}/{end}" for end in _ENDS)
    yield from (f"{before}https://{HOST}/" for before in (" ", "\n", "\t", "\x01", "\ufeff", "\u200b", "url(", "<", "'"))
    yield from (
        "",
        "/",
        "//",
        f"//{HOST}/a",
        "https",
        "https:",
        "https:/",
        "https://",
        "https:///a",
        f"https:/{HOST}/a",
        f"https:\\\\{HOST}\\a",
        "?",
        "#",
        "a",
        f"https://{HOST}/" + "a" * 2000,
    )


def sound() -> Iterator[str]:
    """Addresses of the right host that look bad and are not: printed as they came, and taken for nothing else."""
    yield from (f"{scheme}://{HOST}{end}" for scheme in ("https", "http") for end in _SOUND)


_STEPS = (
    "..", ".", "%2e%2e", "%2E.", "..%2f", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e", "%252e%252e%252f", "..%c0%af", "%c0%ae%c0%ae", "..%00", "..;", "...", "....//", "..%ef%bc%8f", "%ef%bc%8e%ef%bc%8e",
    "%uff0e%uff0e", "..%0d%0a", "~", "~root",
)  # fmt: skip
TARGETS = ("secret", "pressrun.toml", "data/ledger.sqlite", "etc/passwd", "canary.rss", "canary.jpg", "canary/index.html")


def paths() -> Iterator[str]:
    """What may stand in the place of one segment of a path, as a client might send it: some four hundred."""
    for step, depth, target in itertools.product(_STEPS, (1, 2, 6), TARGETS):
        yield "/".join([step] * depth + [target])
    for target in TARGETS:
        yield from (
            f"/{target}",
            f"//{target}",
            f"%2f{target}",
            f"%2f%2f{target}",
            f"C:%5c{target}",
            f"file:%2f%2f%2f{target}",
            f"./{target}",
            f"a/../{target}",
            f"{target}%00",
            f"{target}%00.rss",
        )
        yield from (
            f"{target}.",
            f"{target}%20",
            f"{target}::$DATA",
            f"{target}~1",
            f"{target}/",
            f"{target}%2f",
            f".{target}",
            target.upper(),
            f"all.rss/../{target}",
            f"all.rss%2f..%2f{target}",
        )
    yield from (
        ".fence-demo_feed_all",
        ".tmp-1-a",
        ".gone",
        "%00",
        "%ff",
        "%ed%a0%80",
        "%0d%0aX-Injected:1",
        "%0aX-Injected:1",
        "%e2%80%ae",
        "a" * 300,
        "a/" * 600,
        "%2f" * 300,
        "%",
        "%zz",
        "*",
        "?",
        "#",
        ":",
        "|",
    )
    yield from (
        "all.rss%0d%0aX-Injected:1",
        "all.rss?x",
        "all.rss;x",
        "all.rss%20",
        "all.rss.",
        "all..rss",
        "ALL.RSS",
        "all.rss.gz",
        "all.rss.br",
        "all.",
        ".rss",
        "all.rss%2f",
        "..rss",
        "all%2erss%00",
    )
