"""Subscribers' secrets lie sealed in the ledger, under a key that can be exchanged; what cannot be read is told to nobody."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from pipeline.kit import metrics
from pipeline.ledger import tables as t

if TYPE_CHECKING:
    from tests.hub.conftest import HubRoom

SECRET = "a subscriber's own secret"


def key() -> str:
    """A new one."""
    return base64.b64encode(os.urandom(32)).decode()


def exchange(room: HubRoom, *keys: str) -> None:
    """As a start with other keys in the configuration."""
    settings = room.newsroom.context.settings
    room.newsroom.context.settings = replace(settings, hub=replace(settings.hub, keys=keys))
    room.newsroom.context.__dict__.pop("sealer", None)


def test_no_secret_lies_in_the_ledger_in_clear(room: HubRoom) -> None:
    """Neither before the verification nor after it; the key is its user's alone."""
    made = room.reader.subscribe(room.found(), secret=SECRET)
    for _ in range(2):
        with room.newsroom.context.ledger.read() as tx:
            row = tx.first(select(t.subscriptions))
        assert SECRET not in str(row)
        assert bool(row.secret) is (row.state == "active")
        room.settle()
    file = room.newsroom.context.settings.data / "hub.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    room.publish(id="a-2")
    assert len(made.heard) == 1


def test_a_key_is_exchanged_while_subscriptions_last(room: HubRoom) -> None:
    """The new one seals, the one before still reads; without it the subscriber hears nothing, and renews."""
    old, new = key(), key()
    exchange(room, old)
    found = room.found()
    made = room.reader.subscribe(found, secret=SECRET)
    room.settle()
    exchange(room, new, old)
    room.publish(id="a-2")
    assert len(made.heard) == 1
    exchange(room, new)
    alerts = metrics.alerts.labels("secret unreadable")._value.get()
    room.publish(id="a-3")
    assert len(made.told) == 1
    assert metrics.alerts.labels("secret unreadable")._value.get() > alerts
    assert "its secret cannot be read" in room.rows()[0].answer
    room.reader.request(found, made, "subscribe")
    room.settle()
    room.later(10)
    assert len(made.heard) == 2
