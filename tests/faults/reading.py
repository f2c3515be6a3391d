"""Subscribers that poll feeds while everything around them breaks: each read must be well-formed and never older than the last."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Self

from lxml import etree

from tests.support.running import Line

if TYPE_CHECKING:
    from types import TracebackType

MARK = re.compile(r"([a-z]+)w(\d+)w")
_STRICT = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
NOT_MODIFIED, OK = 304, 200
TYPES = {"json": "application/feed+json", "rss": "application/rss+xml", "atom": "application/atom+xml"}


@dataclass
class Reader:
    """One subscriber of one document, in a thread of its own, from `with` to its end."""

    port: int
    path: str
    pause: float = 0.02
    reads: int = 0
    not_modified: int = 0
    unreachable: int = 0
    faults: list[str] = field(default_factory=list)
    _newest: dict[str, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to poll."""
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop polling."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)

    def _poll(self) -> None:
        line, tag, since = Line(self.port), "", ""
        while not self._stop.wait(self.pause):
            headers = {"if-none-match": tag, "if-modified-since": since} if tag else {}
            try:
                answer = line.ask("GET", self.path, None, headers)
            except (OSError, HTTPException):
                self.unreachable += 1
                line.close()
                line = Line(self.port)
                continue
            self.reads += 1
            if answer.status == NOT_MODIFIED:
                self.not_modified += 1
                if answer.body or not tag:
                    self.faults.append(f"{self.path}: a 304 with a body, or unasked")
            elif answer.status == OK:
                tag, since = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
                self._look(answer.body, answer.headers)
            elif answer.status not in {404, 503}:
                self.faults.append(f"{self.path}: answered {answer.status}")
        line.close()

    def _look(self, body: bytes, headers: dict[str, str]) -> None:
        extension = self.path.rpartition(".")[2]
        if not headers.get("content-type", "").startswith(TYPES[extension]):
            self.faults.append(f"{self.path}: of type {headers.get('content-type')}")
        try:
            found = items(extension, body)
        except (ValueError, etree.XMLSyntaxError, KeyError) as error:
            self.faults.append(f"{self.path}: not well-formed: {error}")
            return
        ids = [name for name, _ in found]
        if len(ids) != len(set(ids)):
            self.faults.append(f"{self.path}: an entry twice")
        for name, number in found:
            if number < self._newest.get(name, -1):
                self.faults.append(f"{self.path}: {name} went back from {self._newest[name]} to {number}")
            self._newest[name] = max(number, self._newest.get(name, -1))


def items(extension: str, body: bytes) -> list[tuple[str, int]]:
    """(id, number of its text's mark) of each entry, in the document's order. Raises what its parser raises."""
    if extension == "json":
        return [(item["id"], _number(item["title"])) for item in json.loads(body)["items"]]
    root = etree.fromstring(body, _STRICT)
    if extension == "rss":
        return [(item.findtext("guid") or "", _number(item.findtext("title") or "")) for item in root.iter("item")]
    atom = "{http://www.w3.org/2005/Atom}"
    return [(e.findtext(f"{atom}id") or "", _number(e.findtext(f"{atom}title") or "")) for e in root.iter(f"{atom}entry")]


def _number(title: str) -> int:
    found = MARK.search(title)
    return int(found[2]) if found else -1


def everybody(port: int, site: str, feeds: tuple[str, ...] = ("all", "world"), pause: float = 0.02) -> list[Reader]:
    """A reader for each format of each feed; `pause` seconds from a read to the next."""
    return [Reader(port, f"/{site}/feeds/{feed}.{extension}", pause) for feed in feeds for extension in TYPES]
