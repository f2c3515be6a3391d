"""Board: markup that would run something, as the body of an article and in every text, down to the feeds and pages it is read in."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from pipeline.kit import clean
from pipeline.pages import body
from tests.boards import markup
from tests.boards.board import naughty, none_of
from tests.boards.desk import desk_of, event
from tests.boards.markup import OUR_NAMES, OUR_TAGS, dangers, is_web
from tests.boards.outlets import WIDE, contents, everywhere
from tests.boards.test_texts import spoken
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lxml.html import HtmlElement

    from tests.conftest import Newsroom

BASE = "https://www.example.org/news/quiet-harbour.html"
ATTACKS = list(dict.fromkeys((*markup.made(), *naughty())))
TOGETHER = 25


def test_the_judge_condemns_what_was_not_cleaned() -> None:
    """Nearly every case is dangerous as it comes; a judge that sees nothing would acquit everything."""
    condemned = sum(bool(dangers(attack)) for attack in markup.made())
    assert condemned > 0.75 * len(list(markup.made()))


def test_nothing_that_runs_survives_cleaning() -> None:
    """By two parsers that are not ours; cleaned again it is the same; and cutting a body at its seams changes no character of it."""
    failed: list[object] = []
    for attack in ATTACKS:
        made = clean.html(f"<p>before {attack} after</p>", BASE)
        failed += [(attack, made, why) for why in dangers(made)[:1]]
        if clean.html(made, BASE) != made:
            failed.append((attack, made, "not the same again"))
        if "".join(block.html for block in body.read(made).blocks) != made:
            failed.append((attack, made, "its seams"))
    none_of(ATTACKS, failed, least=2500)


def faults_of(page: HtmlElement) -> Iterator[str]:
    """Every way in which a page runs, loads or links what it should not."""
    for element in page.iter():
        tag = str(element.tag)
        if not isinstance(element.tag, str) or (tag == "script" and element.get("type") != "application/ld+json"):
            yield tag
        if tag in {"iframe", "object", "embed", "base", "form", "svg", "math", "template"} or (
            tag == "meta" and element.get("http-equiv", "C")[0] != "C"
        ):
            yield f"{tag} {dict(element.attrib)}"
        for name, value in element.attrib.items():
            if str(name).startswith("on") or name in {"style", "srcdoc", "srcset", "formaction"}:
                yield f"{name} of {tag}"
            own = str(value).startswith("#") or (tag == "a" and element.get("rel", "").startswith("nofollow noopener"))
            if name in {"href", "src", "poster"} and not own and not is_web(str(value), mail=True):
                yield f"{name}={value}"


def test_feeds_and_pages_hold_nothing_that_runs(make_newsroom: Callable[..., Newsroom]) -> None:
    """Twenty-five attacks in one body, and each of them in the texts of its own article: what readers are given, whole."""
    room = make_newsroom(WIDE)
    bodies = {f"b{n}": "<p>first</p>" + "".join(f"<p>{a}</p>" for a in ATTACKS[n : n + TOGETHER]) for n in range(0, len(ATTACKS), TOGETHER)}
    texts = {f"t{n}": attack for n, attack in enumerate(islice(ATTACKS, 0, None, 29))}
    failed: list[object] = []
    with desk_of(room) as desk:
        for name, value in bodies.items():
            desk.post(json.dumps(event(article(id=name, body_html=value))).encode())
        for name, value in texts.items():
            desk.post(json.dumps(event(spoken(name, value))).encode())
        room.drain()
        found = everywhere(room, desk.client, [*bodies, *texts])
    assert set(bodies) | set(texts) == set(found.json)
    for name in found.json:
        failed += [(name, kind, why) for kind, value in contents(found, name).items() for why in dangers(value, OUR_TAGS, OUR_NAMES)]
        failed += [(name, "page", why) for why in faults_of(found.pages[name])]
    none_of(found.json, failed, least=150)
