"""An entry that is kept for every outlet, told as each outlet shows it."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.model.entry import Rendered, Seen

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_an_entry_is_seen_where_its_outlet_leads_readers() -> None:
    """A link that is told is the outlet's own; an identity needs none."""
    by_link = Rendered((b"<loc>", b"</loc>"), Seen(None, None, NOON, "https://any.invalid/"), "https://news.example/a", 11)
    assert by_link.at(b"https://uk.example/a") == b"<loc>https://uk.example/a</loc>"
    assert by_link.seen_at("https://uk.example/a") == Seen(None, None, NOON, "https://uk.example/a")
    by_identity = Rendered((b"",), Seen("tag:a", NOON), "https://news.example/a", 0)
    assert by_identity.seen_at("https://uk.example/a") == Seen("tag:a", NOON)
