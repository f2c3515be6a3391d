"""Craft of `feeds`, and of mirrors' feeds: one file a format, pure functions entry → bytes.

A module here that defines `FORMAT` is found by the registry; adding a format is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.formats.contract import Expectation, Fault, Format, check
from pipeline.model.entry import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FORMATS", "Expectation", "Fault", "Format", "Seen", "check"]

_FIRST = ("rss", "atom", "json")  # a reader that takes the first feed a page names should get the one everybody reads


def _found() -> Iterator[Format]:
    for info in pkgutil.iter_modules(__path__):
        made = getattr(importlib.import_module(f"{__name__}.{info.name}"), "FORMAT", None)
        if made is not None:
            yield made


def _place(made: Format) -> tuple[int, str]:
    return (_FIRST.index(made.name) if made.name in _FIRST else len(_FIRST), made.name)


FORMATS: Mapping[str, Format] = MappingProxyType({made.name: made for made in sorted(_found(), key=_place)})
"""Every format by its name: rss, atom, json, then any other by the alphabet."""
