"""What every outlet must show, told from the newsroom's own order of actions alone: the oracle of the test of order.

It knows nothing of major and minor, revisions, leases or batches: whatever was delivered, how often and in which order,
the article is what the newsroom did to it last among what was delivered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

WORLD, HOME, CULTURE = ("News", "World"), ("News", "Home"), ("Culture",)
SECTIONS = (WORLD, HOME, CULTURE)
SLUGS = ("first-name", "second-name")
WITHDRAWN = "withdrawn"
LEAST = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Text:
    """What a revision says. `mark` occurs in its headline and body and in no other text's."""

    mark: str
    section: tuple[str, ...]
    slug: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Action:
    """Something the newsroom did: its place in the newsroom's order, to which article, when; no text is a withdrawal."""

    number: int
    article: str
    kind: str
    at: datetime
    text: Text | None

    def data(self, published_at: datetime) -> dict[str, Any]:
        """The event's `data`, native dialect."""
        if self.text is None:
            return {"id": self.article}
        note = {"note": "It was put right.", "at": self.at.isoformat()}
        return {
            "id": self.article,
            "url": f"https://www.example.org/news/{self.article}-{self.text.slug}.html",
            "headline": f"The story {self.text.mark}",
            "body_html": f"<p>As told in {self.text.mark}.</p>",
            "language": "en",
            "published_at": published_at.isoformat(),
            "updated_at": self.text.updated_at.isoformat(),
            "section": list(self.text.section),
            **({"correction": note} if self.kind == "corrected" else {}),
        }


@dataclass
class Desk:
    """The newsroom: it makes actions, each later than the one before."""

    prefix: str
    actions: list[Action] = field(default_factory=list)
    _texts: dict[str, Text] = field(default_factory=dict)

    def withdraw(self, article: str, now: datetime) -> Action:
        """Take it back, also one that was never published."""
        return self._add(article, WITHDRAWN, now, None)

    def write(self, article: str, kind: str, now: datetime, section: tuple[str, ...], slug: str, *, same_time: bool) -> Action:
        """A new text. `same_time`: its `updated_at` is the former text's, as in a CMS that counts in minutes."""
        former = self._texts.get(article)
        at = self._later(now)
        updated = former.updated_at if former and same_time else at
        return self._add(article, kind, at, Text(f"{self.prefix}w{len(self.actions)}w", section, slug, updated))

    def repeat(self, article: str, now: datetime) -> Action | None:
        """Publish the last text again as it was, e.g. after a withdrawal; None where there is none."""
        former = self._texts.get(article)
        return self._add(article, "published", now, former) if former else None

    def _later(self, now: datetime) -> datetime:
        return max(now, self.actions[-1].at + LEAST) if self.actions else now

    def _add(self, article: str, kind: str, now: datetime, text: Text | None) -> Action:
        action = Action(len(self.actions), article, kind, self._later(now), text)
        self.actions.append(action)
        if text:
            self._texts[article] = text
        return action


@dataclass(frozen=True, slots=True)
class Shown:
    """The marks that are read at each place: feeds, a mirror that takes only News, and two networks."""

    feed_all: frozenset[str] = frozenset()
    feed_world: frozenset[str] = frozenset()
    mirror: frozenset[str] = frozenset()
    mirror_world: frozenset[str] = frozenset()
    network_all: frozenset[str] = frozenset()
    network_world: frozenset[str] = frozenset()


@dataclass
class Oracle:
    """What was delivered so far, and what follows from it."""

    newest: dict[str, Action] = field(default_factory=dict)

    def deliver(self, action: Action) -> None:
        """The later action is the article's, in whichever order they come."""
        known = self.newest.get(action.article)
        if known is None or action.number > known.number:
            self.newest[action.article] = action

    def live(self) -> dict[str, Text]:
        """Article → its text, for those that are not withdrawn."""
        return {name: action.text for name, action in self.newest.items() if action.text}

    def shown(self, network_world: frozenset[str]) -> Shown:
        """What every outlet must show once everything is settled.

        A network keeps what it once took until that is withdrawn, but in its newest text: so of what is seen at
        `network_world`, all that is live may be there.
        """
        texts = self.live().values()
        everything = frozenset(t.mark for t in texts)
        world = frozenset(t.mark for t in texts if t.section == WORLD)
        news = frozenset(t.mark for t in texts if t.section[0] == "News")
        return Shown(everything, world, news, world & news, everything, world | (network_world & everything))
