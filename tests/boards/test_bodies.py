"""Board: what a webhook may hold. Refused at the door, or stored and then applied or rejected in words; on each kind of database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.boards import bodies
from tests.boards.board import CORPORA, none_of
from tests.boards.bodies import EITHER, REFUSED, TAKEN, Body
from tests.boards.desk import desk_of, end_fault, refusal_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Newsroom

BOARDS: dict[str, tuple[Callable[[], Iterator[Body]], int]] = {
    "conformance suite": (bodies.suite, 300),
    "encodings": (bodies.encodings, 40),
    "damage": (bodies.damage, 1000),
    "doubles": (bodies.doubles, 60),
    "numbers": (bodies.numbers, 35),
    "shapes": (bodies.shapes, 20),
    "texts": (bodies.texts, 300),
    "kinds": (bodies.kinds, 900),
}
STATUS = {REFUSED: {400}, TAKEN: {202}, EITHER: {202, 400}}


PLACES = [("memory", board) for board in BOARDS if board != "texts"] + [("postgres", "texts"), ("postgres", "shapes")]
"""What a database might not hold goes to each kind of it."""


@pytest.mark.parametrize(("newsroom", "board"), PLACES, indirect=["newsroom"])
def test_whatever_the_body_is_it_ends_in_words(newsroom: Newsroom, board: str) -> None:
    """Nothing is raised, nothing is lost, nothing is left waiting; what is refused is not stored."""
    if board == "conformance suite" and not CORPORA.exists():
        pytest.skip("JSONTestSuite is not here (PRESSRUN_TEST_DATA)")
    make, least = BOARDS[board]
    sent, taken = list(make()), []
    failed: list[object] = []
    with desk_of(newsroom) as desk:
        for body, expected in sent:
            answer = desk.post(body)
            if answer.status_code not in STATUS[expected]:
                failed.append((body[:300], expected, answer.status_code, answer.text[:200]))
            elif answer.status_code == 202:
                taken.append((body, answer.json()["event_id"]))
            elif fault := refusal_fault(answer):
                failed.append((body[:300], fault))
        assert desk.stored() == len(taken)
        newsroom.drain()
        failed += [(body[:300], fault) for body, event_id in taken if (fault := end_fault(desk.seen(event_id)))]
    none_of(sent, failed, least=least)
