"""Who is nudged after a plan, in which order, and in how many messages."""

from __future__ import annotations

from pipeline import planning
from pipeline.model.run import Nudge, Step


def test_feeds_come_first_and_networks_share_one_nudge() -> None:
    """A mirror may keep its run waiting, so none shares; composing waits for nobody."""
    keys = ["demo/network:x", "demo/mirror:two", "demo/feed:world", "demo/network:email", "demo/feed:all", "demo/mirror:one"]
    assert planning.nudges(keys) == (
        Nudge(Step.FEEDS, ("demo/feed:all",)),
        Nudge(Step.FEEDS, ("demo/feed:world",)),
        Nudge(Step.MIRRORS, ("demo/mirror:one",)),
        Nudge(Step.MIRRORS, ("demo/mirror:two",)),
        Nudge(Step.SOCIAL, ("demo/network:email", "demo/network:x")),
    )
    assert planning.nudges([]) == ()
