"""Board: addresses in an article. What is no address of the web is refused at its place; what is one is printed as it came."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pipeline.pages import page_path
from tests.boards import urls
from tests.boards.board import none_of
from tests.boards.desk import desk_of, end_fault, event
from tests.boards.markup import is_web
from tests.boards.outlets import ATOM, WIDE, everywhere
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Newsroom

PICTURE = {"url": "https://www.example.org/i.jpg", "caption": "c", "credit": "c"}
FILM = {"url": "https://www.example.org/v.mp4", "media_type": "video/mp4"}
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "/data/url": lambda url: {"url": url},
    "/data/authors/0/url": lambda url: {"authors": [{"name": "A", "url": url}]},
    "/data/images/0/url": lambda url: {"images": [{**PICTURE, "url": url}]},
    "/data/videos/0/url": lambda url: {"videos": [{**FILM, "url": url}]},
    "/data/videos/0/thumbnail_url": lambda url: {"videos": [{**FILM, "thumbnail_url": url}]},
}


def test_an_address_that_is_none_is_refused_where_it_stands(make_newsroom: Callable[..., Newsroom]) -> None:
    """In every field that holds one; nothing that another program could read as something else is printed anywhere."""
    room, failed, sent = make_newsroom(WIDE), [], []
    with desk_of(room) as desk:
        for number, url in enumerate(urls.unsound()):
            for place, change in PLACES.items():
                body = json.dumps(event(article(id=f"u{number}{place}", **change(url)))).encode()
                sent.append((place, url, desk.post(body).json()["event_id"]))
        room.drain()
        for place, url, event_id in sent:
            seen = desk.seen(event_id)
            said = {p["pointer"] for p in seen["problems"]}
            if (fault := end_fault(seen)) or (seen["status"] == "rejected" and place not in said):
                failed.append((place, url, fault or said))
            elif seen["status"] == "applied" and (
                place == "/data/url" or "@" in re.split("[?#]", url.partition("://")[2])[0] or not is_web(url) or not url.isascii()
            ):
                failed.append((place, url, "taken"))
    none_of(sent, failed, least=600)


def test_an_address_that_only_looks_bad_is_printed_as_it_came(make_newsroom: Callable[..., Newsroom]) -> None:
    """In all feeds, on the page and in what machines read there; the page's own path is made of letters, digits and an id."""
    room = make_newsroom(WIDE)
    sent = {f"u{number}": url for number, url in enumerate(urls.sound())}
    failed: list[object] = []
    with desk_of(room) as desk:
        for name, url in sent.items():
            picture = {**PICTURE, "url": url, "role": "lead"}
            desk.post(json.dumps(event(article(id=name, url=url, images=[picture], authors=[{"name": "A", "url": url}]))).encode())
        room.drain()
        found = everywhere(room, desk.client, list(sent))
    for name, url in sent.items():
        page = found.pages[name]
        heard = {
            "rss": found.rss[name].findtext("link"),
            "atom": next(
                link.get("href") for link in found.atom[name].iter(f"{{{ATOM}}}link") if link.get("rel", "alternate") == "alternate"
            ),
            "json": found.json[name]["url"],
            "picture": found.json[name]["image"],
            "page": page.xpath("//link[@rel='canonical']/@href")[0],
            "byline": page.xpath('//p[@class="byline"]/a/@href')[0],
            "lead": page.xpath("//figure/img/@src")[0],
            "machines": json.loads(page.xpath('string(//script[@type="application/ld+json"])'))["image"][0]["url"],
        }
        failed += [(url, place, is_) for place, is_ in heard.items() if is_ != url]
        made = page_path(url, "abcdefghij")
        if not made.endswith("abcdefghij/") or made.count("/") != 1 or made.strip("abcdefghijklmnopqrstuvwxyz0123456789-/"):
            failed.append((url, "path", made))
    none_of(sent, failed, least=50)
