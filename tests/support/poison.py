"""Poison for real workers: texts that kill, hang or exhaust whoever touches them, in the workers of one room only.

It is planted around what validates and what renders, and each touch is written down.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.planted import planted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CODE = """
POISON = json.loads((HERE / "poison.json").read_text())


def kills():
    os.kill(os.getpid(), signal.SIGKILL)


def hangs():
    time.sleep(600)


def hangs_hard():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    time.sleep(600)


def exhausts():
    kept = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**30, kept[1]))
    try:
        bytearray(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, kept)


def touch(where, text):
    for mark, (place, how) in POISON.items():
        if place == where and mark in text and any("craft@" in word for word in sys.argv):
            with open(HERE / "touched", "a") as file:
                file.write(mark + "\\n")
            globals()[how]()


def in_validate(module):
    decide = module.decide

    def wrapped(source, site, event, **options):
        touch("validate", bytes(event.body).decode("utf-8", "replace"))
        return decide(source, site, event, **options)

    module.decide = wrapped


def in_building(module):
    render = module.entry_of

    def wrapped(revision, link):
        touch("feeds", revision.headline)
        return render(revision, link)

    module.entry_of = wrapped


PATCHES = {"pipeline.validate": in_validate, "pipeline.building": in_building}
"""


class Poison:
    """What is poisonous in the processes started within, and how often each was touched."""

    def __init__(self, folder: Path) -> None:
        """The folder of the code."""
        self._folder = folder

    def touches(self) -> Counter[str]:
        """Mark → how often a worker came to it."""
        path = self._folder / "touched"
        return Counter(path.read_text().split()) if path.exists() else Counter()


@contextmanager
def poisoned(folder: Path, marks: Mapping[str, tuple[str, str]]) -> Iterator[Poison]:
    """Processes started within meet these marks: mark → (`validate` or `feeds`, what it does there)."""
    folder.mkdir()
    (folder / "poison.json").write_text(json.dumps(marks))
    with planted(folder, _CODE):
        yield Poison(folder)
