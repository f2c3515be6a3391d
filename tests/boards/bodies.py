"""Bodies of webhooks that somebody's program could read otherwise than we do, made by our own rules from one good event.

Each comes with what must happen: REFUSED at the door with 400, TAKEN (what it says is then decided by the schema), EITHER.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.boards.board import CORPORA
from tests.boards.desk import event
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED, TAKEN, EITHER = "refused", "taken", "either"
Body = tuple[bytes, str]

GOOD = json.dumps(event()).encode()
FULL = article(
    updated_at="2026-11-23T07:30:00Z",
    version=3,
    summary="s",
    dateline="d",
    sign_off="ab/cd/ef",
    authors=[{"name": "A", "url": "https://www.example.org/a"}],
    tags=["t"],
    images=[{"url": "https://www.example.org/i.jpg", "role": "lead", "caption": "c", "credit": "c", "alt": "a", "width": 1, "height": 1}],
    videos=[{"url": "https://www.example.org/v.mp4", "media_type": "video/mp4", "duration_seconds": 1.5, "caption": "c", "credit": "c"}],
    embargo_until="2026-11-23T07:59:00Z",
    correction={"note": "n", "at": "2026-11-23T07:30:00Z"},
    rights="r",
    geo={"country": "RU", "name": "n", "latitude": 1, "longitude": 2},
    priority=3,
    extra={"x": {"y": [1]}},
)
"""An article with every field there is."""


def suite() -> Iterator[Body]:
    """The conformance suite, each file as the body and as a value inside a good event."""
    expected = {"y": TAKEN, "n": REFUSED, "i": EITHER}
    before, after = json.dumps(event(article(extra={"x": "HERE"}))).encode().split(b'"HERE"')
    for path in sorted((CORPORA / "json").glob("*.json")):
        raw = path.read_bytes()
        kind = REFUSED if "duplicated_key" in path.name or "null_in_key_dup" in path.name else expected[path.name[0]]
        yield raw, kind
        yield before + raw + after, EITHER if kind == REFUSED else kind


def encodings() -> Iterator[Body]:
    """Anything but UTF-8 without a mark, of an event that is not plain ASCII."""
    text = json.dumps(event(article(headline="Ein stiller H\u00e4fen \U0001f6a2 \u6e2f")), ensure_ascii=False)
    utf8 = text.encode()
    yield utf8, TAKEN
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig"):
        yield text.encode(name), REFUSED
    for name in ("latin-1", "cp1252", "cp037", "cp500", "mac-roman", "shift-jis", "gb18030", "utf-7", "koi8-r"):
        yield text.encode(name, "replace"), EITHER if name in {"utf-7", "koi8-r"} else REFUSED
    yield from (
        (mark + utf8, REFUSED) for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0", b"\x1f\x8b", b"\xe2\x80\x8b", b"\xc2\xa0")
    )
    for bad in (b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff", b"\x80", b"\xc3", b"\xe2\x82"):  # fmt: skip
        yield GOOD.replace(b"quiet", bad), REFUSED
        yield GOOD.replace(b"headline", bad), REFUSED


def damage() -> Iterator[Body]:
    """Cut off after every byte, and with one byte changed at every place."""
    yield from ((GOOD[:end], REFUSED) for end in range(len(GOOD)))
    for place in range(len(GOOD)):
        for byte in (b'\0"\\', b"\x1f{]", b"\xff,:")[place % 3]:
            yield GOOD[:place] + bytes([byte]) + GOOD[place + 1 :], EITHER
    yield from ((GOOD + tail, REFUSED) for tail in (b"x", b"{}", b"\0", GOOD, b"]", b"//", b"\xef\xbb\xbf", b"\xe2\x80\xa8"))
    yield from ((around[0] + GOOD + around[1], TAKEN) for around in ((b" \t\r\n", b"\n"), (b"\r\n", b" " * 1000)))


def doubles() -> Iterator[Body]:
    """Every member of every object a second time, equal or not, plain or spelled with an escape."""
    text = json.dumps(event(FULL))
    for key, value in _members(event(FULL)):
        plain = f"{json.dumps(key)}: {json.dumps(value)}"
        escaped = f'"\\u{ord(key[0]):04x}{key[1:]}": null'
        yield text.replace(plain, f"{plain}, {plain}", 1).encode(), REFUSED
        yield text.replace(plain, f"{escaped}, {plain}", 1).encode(), REFUSED


def numbers() -> Iterator[Body]:
    """Numbers that are none, or that not every program holds."""
    text = json.dumps(event(article(version=7)))
    for number in (
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "1e400",
        "-1e999",
        "9" * 400,
        "-" + "9" * 20,
        "9223372036854775808",
        "0." + "1" * 2000,
    ):
        yield text.replace("7}", f"{number}}}").encode(), REFUSED
    for number in (
        "01",
        "+1",
        ".5",
        "5.",
        "0x10",
        "1_000",
        "1,0",
        "--1",
        "1e",
        "1e+",
        "\u0661",
        "\uff17",
        "0b1",
        "1.e1",
        "-",
        "infinity",
        "1L",
    ):
        yield text.replace("7}", f"{number}}}").encode(), REFUSED
    for number in ("-0", "-0.0", "7.0", "7e0", "0.7e1", "1e-400", "9223372036854775807", "9007199254740993", "1e308", "-1", "1e2", "9.5"):
        yield text.replace("7}", f"{number}}}").encode(), TAKEN


def shapes() -> Iterator[Body]:
    """Deep, wide, long, empty, and not an object at all."""
    for depth in (62, 100, 1_000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            yield json.dumps(event(article(extra={"x": "HERE"}))).replace('"HERE"', nested).encode(), REFUSED
    yield json.dumps(event(article(extra={"x": "HERE"}))).replace('"HERE"', "[" * 50 + "]" * 50).encode(), TAKEN
    tops: list[Any] = [None, True, 0, 1.5, "", "x", [], {}, [event()], {"data": {}}, {"": 1}]
    yield from ((json.dumps(value).encode(), TAKEN) for value in tops)
    yield json.dumps(event(article(tags=["t"] * 100_000))).encode(), TAKEN
    yield json.dumps(event(article(extra={str(n): n for n in range(50_000)}))).encode(), TAKEN
    yield json.dumps(event(article(headline="h" * 900_000))).encode(), TAKEN
    yield json.dumps(event({"k" * 900_000: 1})).encode(), TAKEN
    yield json.dumps(event({f"k{n}": 1 for n in range(50_000)})).encode(), TAKEN
    yield json.dumps(event(article(images=[{"url": "u"}] * 20_000))).encode(), TAKEN
    yield json.dumps([0] * 300_000).encode(), TAKEN


_LONELY = ("\\ud800", "\\udfff", "\\ud83d x", "\\udc00\\ud800", "\\uD83D\\u0041")
_CHARACTERS = (
    "\\u0000",
    "\\u0001",
    "\\u001f",
    "\\u007f",
    "\\u0085",
    "\\u2028",
    "\\ufeff",
    "\\ufffe",
    "\\uffff",
    "\\udbff\\udfff",
    "\\u202e",
)
_STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    "",
    " ",
    "x",
    "\u200b",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    {"": []},
)


def texts() -> Iterator[Body]:
    """In every text of an article, and in the name of every member: half of a pair, and characters that databases or XML cannot hold."""
    for path, value in _texts(FULL):
        for piece in (*_LONELY, *_CHARACTERS):
            made = json.dumps(event(_replaced(FULL, path, f"HERE{value}"))).replace("HERE", piece)
            yield made.encode(), REFUSED if piece in _LONELY else TAKEN
    for key, _ in _members(event(FULL)):
        for piece in ("\\ud800", "\\u0000", "\\u202e", "~/"):
            made = json.dumps(event(FULL)).replace(f'"{key}":', f'"{key}{piece}":', 1)
            yield made.encode(), REFUSED if piece in _LONELY else TAKEN


def kinds() -> Iterator[Body]:
    """At every place of a whole event a value of every other kind, and nothing at all."""
    whole = event(FULL)
    for path, _ in _places(whole):
        yield from ((json.dumps(_replaced(whole, path, value)).encode(), TAKEN) for value in _STRANGE)
        yield json.dumps(_replaced(whole, path, _NOTHING)).encode(), TAKEN


_NOTHING = object()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if path:
        yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _places(item, (*path, key))


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    yield from ((path[-1], item) for path, item in _places(value) if isinstance(path[-1], str))


def _texts(value: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    yield from ((path, item) for path, item in _places(value) if isinstance(item, str))


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = _replaced(value[path[0]], path[1:], by)
    if made[path[0]] is _NOTHING:
        del made[path[0]]
    return made
