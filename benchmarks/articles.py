"""Articles to publish: the same number always makes the same article.

About 6 kB of body, three photographs, two authors and tags: what a desk sends, because small bodies would flatter every
measure that copies, cleans or compresses text.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

SITE = "bench"
HOME = "https://www.example.org/"
SECTIONS = (("News", "World"), ("News", "Russia"), ("Culture", "Books"), ("Science", "Space"))
FEEDS_OF = (("all", "world"), ("all", "world"), ("all", "culture"), ("all", "science"))
"""The feeds of `stack.CONFIG` that take an article of the section at the same place in SECTIONS."""

TEXTS = 200
"""Different bodies; articles differ beyond that by id, URL, headline and dates. Making each anew would be most of a run."""

_BODY_CHARACTERS = 6_000
_SUBHEAD_EVERY = 4
_WORDS = """harbour council bridge winter library river budget minister market village engine report museum school railway forest
coast festival election court hospital station theatre orchestra satellite glacier comet archive translation novel gallery border
treaty committee ferry lighthouse timetable weather harvest factory union wage ticket reader writer captain engineer teacher nurse
gardener mayor judge painter the a its their one several many few last next early late quiet open new old broad narrow northern
southern returned opened closed rebuilt counted measured promised delayed agreed refused announced expected described carried
found kept moved sold bought joined followed between after before during without within across beyond under near toward""".split()  # noqa: SIM905 - a hundred quotation marks would hide the words
_PEOPLE = ("Katya Tarn", "Mikhail Vey", "Ada Holm", "Jonas Reiter", "Leila Haddad", "Tomas Prado", "Ines Castel", "Noor Aziz")
_AGENCIES = ("Meridian Photos", "Northlight Agency", "Oleg Sarn / Meridian Photos")


def article(number: int, published_at: datetime, prefix: str = "b") -> dict[str, Any]:
    """The native article of that number, as `schemas/article.v1.json` wants it. `published_at` is aware."""
    text = texts(number % TEXTS)
    folder = "/".join(part.lower() for part in SECTIONS[section_of(number)])
    stamp = published_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {
        **text,
        "id": cms_id(number, prefix),
        "url": f"{HOME}{folder}/{prefix}-{number}-{text['headline'].lower().replace(' ', '-')}",
        "headline": f"{text['headline']} ({number})",
        "published_at": stamp,
        "updated_at": stamp,
        "section": list(SECTIONS[section_of(number)]),
        "images": [
            {**image, "url": f"https://images.example.org/{prefix}/{number}/{place}.jpg"} for place, image in enumerate(text["images"])
        ],
    }


def event(number: int, published_at: datetime, prefix: str = "b") -> dict[str, Any]:
    """The webhook that publishes it."""
    stated = article(number, published_at, prefix)
    return {"type": "article.published", "timestamp": stated["published_at"], "data": stated}


def cms_id(number: int, prefix: str = "b") -> str:
    """The CMS's id of an article; another prefix is another article."""
    return f"{prefix}-{number}"


def section_of(number: int) -> int:
    """Its place in SECTIONS."""
    return number % len(SECTIONS)


def minutes_before(now: datetime, number: int, of: int, minutes: float) -> datetime:
    """The instant of article `number` where `of` of them are spread evenly over the minutes before `now`, the last one newest."""
    return now - timedelta(minutes=minutes) * ((of - number) / of)


@cache
def texts(number: int) -> dict[str, Any]:
    """The parts of an article that do not say which one it is; the same object each time: copy before changing."""
    random = Random(number)
    first, second = random.sample(_PEOPLE, 2)
    return {
        "headline": " ".join(random.choices(_WORDS, k=6)).capitalize(),
        "summary": _sentences(random, 2),
        "body_html": _body(random),
        "language": "en",
        "dateline": random.choice(_WORDS).upper(),
        "sign_off": "KT/MV/LS",
        "authors": [{"name": first, "url": f"{HOME}authors/{first.split()[0].lower()}"}, {"name": second}],
        "tags": random.sample(_WORDS[:40], 4),
        "images": [_image(random, role) for role in ("lead", "inline", "inline")],
    }


def _sentences(random: Random, count: int) -> str:
    return " ".join(" ".join(random.choices(_WORDS, k=random.randint(8, 18))).capitalize() + "." for _ in range(count))


def _body(random: Random) -> str:
    """Paragraphs, a sub-heading every fourth, a link, emphasis and a quotation, as an editor's HTML has them."""
    parts: list[str] = []
    while sum(map(len, parts)) < _BODY_CHARACTERS:
        if parts and len(parts) % _SUBHEAD_EVERY == 0:
            parts.append(f"<h2>{' '.join(random.choices(_WORDS, k=5)).capitalize()}</h2>")
        tail = f' <a href="{HOME}topics/{random.choice(_WORDS)}">{_sentences(random, 1)}</a> <strong>{random.randint(2, 9000)}</strong>.'
        parts.append(f"<p>{_sentences(random, 3)}{tail}</p>")
    return "\n".join([*parts, f"<blockquote><p>“{_sentences(random, 1)}”</p></blockquote>"])


def _image(random: Random, role: str) -> dict[str, Any]:
    return {
        "role": role,
        "caption": _sentences(random, 1),
        "credit": random.choice(_AGENCIES),
        "alt": _sentences(random, 1),
        "width": 1600,
        "height": 1067,
        "media_type": "image/jpeg",
        "size_bytes": random.randint(90_000, 600_000),
    }
