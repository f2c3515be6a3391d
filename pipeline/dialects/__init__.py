"""Craft of `validate`: one file a CMS, each a pure function payload → native event.

A module here that defines `DIALECT` is found by the registry; adding a dialect is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache

Dialect = Callable[[object], object]


@cache
def dialects() -> Mapping[str, Dialect]:
    """Every dialect by the name of its file."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    return {name: importlib.import_module(f"{__name__}.{name}").DIALECT for name in names}
