"""Two stories' shares on every network, byte for byte: a change in one is a change readers see."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.networks import NETWORKS, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.model.article import Article
    from pipeline.model.entry import Entry
    from pipeline.model.settings import Network, Site

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("case", ["anatomy", "cyrillic"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_golden_shares_do_not_change(
    case: str,
    name: str,
    site: Site,
    configured: Mapping[str, Network],
    golden: Callable[[str], Article],
    make_entry: Callable[..., Entry],
) -> None:
    """`<case>.share.<network>.json` is what is composed; `--regold` writes the files anew."""
    share = to_json(NETWORKS[name].compose(make_entry(golden(case)), site, configured[name]))
    document = json.dumps(share, ensure_ascii=False, indent=2) + "\n"
    path = GOLDEN / f"{case}.share.{name}.json"
    if os.environ.get("PRESSRUN_REGOLD") == "1":
        path.write_text(document, "utf-8")
    assert document == path.read_text("utf-8")
