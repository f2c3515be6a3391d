"""A revision: one immutable state of an article, as the makers of documents are handed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.model.article import Article


@dataclass(frozen=True, slots=True)
class Revision:
    """`id` is the ledger's row, `number` counts within the article; `article` is None for a withdrawal."""

    id: int
    article_id: int
    number: int
    headline: str
    article: Article | None
    reason: str
    modified_at: datetime
    live_at: datetime
    identity: str
    short_id: str
