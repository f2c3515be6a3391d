"""How a test run hands its files out: a name that leads nowhere would put a long file last again, in silence."""

from __future__ import annotations

from tests.conftest import PLACES


def test_every_long_file_is_there() -> None:
    """Each that is named to come first."""
    assert len(PLACES) > 10
    assert [str(path) for path in PLACES if not path.is_file()] == []
