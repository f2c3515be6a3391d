"""The golden story's page, byte for byte: a change in it is a change readers see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.pages import PageFrame, ShareLink, article_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry

PAGE = Path(__file__).parents[1] / "golden" / "anatomy.html"


def test_the_golden_story_looks_as_it_did(
    make_entry: Callable[[Article], Entry], frame: PageFrame, shares: tuple[ShareLink, ...], story: Article
) -> None:
    """PRESSRUN_REGOLD=1 writes the page anew."""
    made = article_page(make_entry(story), frame, shares)
    if os.environ.get("PRESSRUN_REGOLD") == "1":
        PAGE.write_bytes(made)
    assert made == PAGE.read_bytes()
