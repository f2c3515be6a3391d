"""Work that is done for several at once: who comes first does it for all that have come, and the next ones wait for their turn.

For transactions: while one commits, the others gather, and share the next.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
MOST = 64


class _Waiting(Generic[Item, Outcome]):
    """One item, and what came of it."""

    __slots__ = ("done", "error", "item", "outcome")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.outcome: Outcome | None = None
        self.error: Exception | None = None


class Together(Generic[Item, Outcome]):
    """`work` takes items in the order they came and answers one outcome for each. Safe between threads."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Outcome]], most: int = MOST) -> None:
        """Nobody waits."""
        self._work = work
        self._most = most
        self._waiting: list[_Waiting[Item, Outcome]] = []
        self._listing = threading.Lock()
        self._turn = threading.Lock()

    def do(self, item: Item) -> Outcome:
        """What came of this item; raises what `work` raised for those it was done with."""
        mine: _Waiting[Item, Outcome] = _Waiting(item)
        with self._listing:
            self._waiting.append(mine)
        while not mine.done:
            with self._turn:
                if not mine.done:
                    self._do_some()
        if mine.error is not None:
            raise mine.error
        return cast("Outcome", mine.outcome)

    def _do_some(self) -> None:
        with self._listing:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            for one, outcome in zip(some, self._work([one.item for one in some]), strict=True):
                one.outcome = outcome
        except Exception as error:  # noqa: BLE001 - each of them raises it
            for one in some:
                one.error = error
        finally:
            for one in some:
                one.done = True
