"""What the tests of the HTTP client share."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.peers import Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Servers that end with the test."""
    made: list[Peer] = []

    def make(behave: Callable[[socket.socket], None], family: int = socket.AF_INET) -> Peer:
        made.append(Peer(behave, family))
        return made[-1]

    yield make
    for one in made:
        one.close()
