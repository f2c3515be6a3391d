"""Craft of `feeds`, and of mirrors' feeds: one file a format, pure functions entry → bytes.

A module here that defines `FORMAT` is found by the registry; adding a format is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.formats.contract import Expectation, Fault, Format, NoPlace, check
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FORMATS", "READERS", "Expectation", "Fault", "Format", "NoPlace", "Seen", "check"]

READERS = ("rss", "atom", "json", "html")
"""The formats of every feed that is not told otherwise; a reader that takes the first a page names gets the one everybody reads."""


def _found() -> Iterator[Format]:
    for info in pkgutil.iter_modules(__path__):
        made = getattr(importlib.import_module(f"{__name__}.{info.name}"), "FORMAT", None)
        if made is not None:
            yield made


def _place(made: Format) -> tuple[int, str]:
    return (READERS.index(made.name) if made.name in READERS else len(READERS), made.name)


FORMATS: Mapping[str, Format] = MappingProxyType({made.name: made for made in sorted(_found(), key=_place)})
"""Every format by its name: what readers take, then any other by the alphabet."""
