"""Memory is given back once after work, and nowhere is it an error."""

from __future__ import annotations

import ctypes
import sys
import threading

import pytest

from pipeline.kit import memory


def test_asking_is_harmless_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """True where glibc did it, False elsewhere."""
    assert isinstance(memory.give_back(), bool)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.give_back() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_where_the_library_has_no_such_function_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Musl has none."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert memory.give_back() is False


def test_after_work_it_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often there was work before the rest; and again after the next work."""
    done = threading.Semaphore(0)
    monkeypatch.setattr(memory, "give_back", done.release)
    resting = memory.Resting(rest=0.0)
    for _ in range(2):
        resting.worked()
        assert done.acquire(timeout=20)
        assert not done.acquire(timeout=0.05)
