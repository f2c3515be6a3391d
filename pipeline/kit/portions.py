"""Items in portions of a bounded number and weight, so that no transaction grows with what happens to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def portions(items: Iterable[T], most: int, most_bytes: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in their order, at most `most` and `most_bytes` together; one that is larger by itself comes alone."""
    held: list[T] = []
    weight = 0
    for item in items:
        if held and (len(held) >= most or weight + size(item) > most_bytes):
            yield held
            held, weight = [], 0
        held.append(item)
        weight += size(item)
    if held:
        yield held
