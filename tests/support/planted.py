"""Code planted in the processes of one room: `sitecustomize.py`, which Python imports at its start, in a folder on their PYTHONPATH.

So real workers meet what no network and no signal can bring about, and the product has no hook for it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BEFORE = """
import errno, importlib.abc, importlib.machinery, json, os, pathlib, resource, signal, sys, time

HERE = pathlib.Path(__file__).parent
"""
_AFTER = """

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            PATCHES[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
"""


@contextmanager
def planted(folder: Path, code: str) -> Iterator[None]:
    """Processes started within run this code first. It defines PATCHES: module → what is called with it once it is imported."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_BEFORE + code + _AFTER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        yield
