"""Board: ids. What looks alike, or is the same after one decoding too many, is two articles; nothing else is an id at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from pipeline.cli.start import first_token
from pipeline.rules import schema
from tests.boards.board import none_of
from tests.boards.desk import asked, desk_of, event
from tests.boards.outlets import WIDE, everywhere
from tests.boards.strings import LOOK_ALIKES
from tests.boards.urls import paths
from tests.conftest import Newsroom, article

if TYPE_CHECKING:
    from collections.abc import Callable

IDS = [
    "a", "A", "a ", "a.", "a/", "a/b", "a%2Fb", "a%2fb", "a%252Fb", "a+b", "a b", "a%20b", "a&b", "a&amp;b", "a;b", "a,b", "a:b", "a=b", "a?b", "a#b", "a@b", "a!b", "a'b", 'a"b', "a<b", "a>b",
    "a\\b", "a|b", "a^b", "a`b", "a{b}", "a~b", "a_b", "a-b", "a.b", "a.json", "a.json.json", ".json", "1", "01", "1.0", "1e0", "0x1", "+1", "-1", "%31", "null", "None", "true", "NaN", "undefined",
    "[object Object]", ".", "..", "...", "../x", "./x", "//", "/", "\\", "%", "%%", "%2", "%zz", "%00", "%0d%0aX:1", "index.html", "robots.txt", "feeds", "con", "nul", "__proto__", "constructor",
    "newsroom/a", "demo", "'; DROP TABLE articles; --", "${7*7}", "{{7*7}}", "l", "I", "O", "0", "rn", "m", "vv", "w",
    "x" * 199, "x" * 200, "%" * 200, "/" * 200, "x" * 199 + "y", "xn--exmple-4nf", "a" * 10, "aaaaaaaaaa/", "2" * 10,
]  # fmt: skip
NO_IDS = [
    "",
    " ",
    " a",
    "\ta",
    "a\n",
    "a\r\nX: 1",
    "a\0",
    "\x7f",
    "a\x80",
    "\u00e9",
    "x" * 201,
    "a\u200b",
    "\u202ea",
    "\uff41",
    "\ufeffa",
    "a\u00a0b",
    "\U0001f6a2",
    "a\u0301",
    1,
    None,
    [],
    {},
    True,
]
NO_IDS += [other for _, other in LOOK_ALIKES if not other.isascii()]


@pytest.mark.parametrize("newsroom", ["memory", "postgres"], indirect=True)
def test_every_id_is_an_article_of_its_own(newsroom: Newsroom) -> None:
    """Equal ids only are equal: in the feeds, at the mirror, in the shares, and in the answers of the API."""
    room, failed = newsroom, list[object]()
    ids = [one for one in dict.fromkeys((*IDS, *(p for p in paths() if len(p) <= 200 and p.strip() == p))) if one.strip() == one][:260]
    with desk_of(room) as desk:
        token = {"authorization": f"Bearer {first_token(room.context)}"}
        for number, one in enumerate(ids):
            desk.post(json.dumps(event(article(id=one, headline=f"Story {number}"))).encode())
        room.drain()
        articles = asked(room, [f"/api/v1/articles/{quote(one, safe='')}" for one in ids], token)
        payloads = asked(room, [f"/demo/shares/{quote(one, safe='')}.json" for one in ids], {})
        for number, (one, told, shares) in enumerate(zip(ids, articles, payloads, strict=True)):
            said = [(a["id"], a["headline"]) for a in told.json().get("articles", ())]
            if one not in {".", ".."} and said != [(one, f"Story {number}")]:
                failed.append((one, "api", said or told.status_code))
            if one not in {".", ".."} and (shares.status_code != 200 or shares.json()["id"] != one):
                failed.append((one, "shares", shares.status_code))
            elif shares.status_code == 200:
                failed += [(one, s["network"], p) for s in shares.json()["shares"] for p in schema.problems("share.v1.json", s)]
        status = [room.status(one) for one in ids]
    pages = {o.url for s in status for o in s.outlets if o.outlet == "demo/mirror:one"}
    assert len(pages) == len(ids)
    assert all(s.settled for s in status)
    none_of(ids, failed, least=200)


def test_what_is_no_id_is_refused_at_its_place(make_newsroom: Callable[..., Newsroom]) -> None:
    """Printable ASCII and nothing beside it, so no two that differ only in what nobody sees."""
    room = make_newsroom(WIDE)
    with desk_of(room) as desk:
        sent = [(one, desk.post(json.dumps(event(article(id=one) | {"id": one})).encode()).json()["event_id"]) for one in NO_IDS]
        room.drain()
        gone = [(one, desk.post(json.dumps(event({"id": one}, type="article.withdrawn")).encode()).json()["event_id"]) for one in NO_IDS]
        room.drain()
        failed = [(one, e) for one, e in (*sent, *gone) if "/data/id" not in {p["pointer"] for p in desk.seen(e)["problems"]}]
    none_of(NO_IDS, failed, least=30)


def test_ids_that_decode_to_each_other_stay_apart_in_feeds(make_newsroom: Callable[..., Newsroom]) -> None:
    """Each guid once, in every format, and the same in all."""
    room = make_newsroom(WIDE)
    ids = [one for one in IDS if one.strip() == one]
    with desk_of(room) as desk:
        for one in ids:
            desk.post(json.dumps(event(article(id=one))).encode())
        room.drain()
        found = everywhere(room, desk.client, ["a"])
    assert len(found.json) == len(found.rss) == len(found.atom) == len(set(ids))
    assert set(found.json) == {quote(one, safe="") for one in ids}
