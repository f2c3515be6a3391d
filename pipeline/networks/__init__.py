"""Craft of `social`, and of pages' share blocks: one file a network, pure functions entry → share.

A module here that defines `CRAFT` is found by the registry; adding a network is adding a file. The registry is made
when it is first asked for: a process that composes nothing does not pay for the tables that counting needs.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.networks.craft import NetworkCraft, share_link, to_json

    NETWORKS: Mapping[str, NetworkCraft]

__all__ = ["NETWORKS", "NetworkCraft", "names", "share_link", "to_json"]

_TOOLS = frozenset({"composing", "counting", "craft", "tlds"})


def names() -> tuple[str, ...]:
    """The names of all networks, in the alphabet's order, without importing one."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name not in _TOOLS))


@cache
def _registry() -> Mapping[str, NetworkCraft]:
    return MappingProxyType({name: importlib.import_module(f"{__name__}.{name}").CRAFT for name in names()})


def __getattr__(name: str) -> Any:
    """`NETWORKS`: every network by its name; and the tools that stand beside the networks."""
    if name == "NETWORKS":
        return _registry()
    if name in {"NetworkCraft", "share_link", "to_json"}:
        return getattr(importlib.import_module(f"{__name__}.craft"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
