"""What the offline verbs share: a file through dialect, schema, house rules and cleaning, without a ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import settings as settings_file
from pipeline.cli.sending import event_from, is_bare
from pipeline.kit import strictjson
from pipeline.kit.clock import SystemClock, rfc3339
from pipeline.ledger.events import Claimed
from pipeline.model.errors import ConfigError
from pipeline.model.event import Problem
from pipeline.validate import Decision, decide

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model.settings import Settings, Site, Source


@dataclass(frozen=True, slots=True)
class Room:
    """The configuration an offline verb works with."""

    settings: Settings
    source: Source
    site: Site


def room(config: Path | None, source: str | None) -> Room:
    """The configured newsroom. Raises ConfigError."""
    path = config or settings_file.find()
    if path is None:
        message = "no pressrun.toml here: `pressrun config example > pressrun.toml` makes one to adapt, `pressrun up` a demo newsroom."
        raise ConfigError(message)
    settings = settings_file.load(path)
    found = settings.source(source) if source else settings.sources[0]
    if found is None:
        message = f"there is no source “{source}”; there is {', '.join(s.name for s in settings.sources)}"
        raise ConfigError(message)
    return Room(settings, found, settings.site(found.site))


def decision(where: Room, file: Path) -> Decision:
    """What `validate` would decide about a file if it came in now."""
    now = SystemClock().now()
    body = file.read_bytes()
    if _is_bare(body, where.settings.limits.json_depth):
        body = json.dumps(event_from(file, rfc3339(now), where.settings), ensure_ascii=False).encode()
    event = Claimed(id=1, event_id="ev_offline", body=body, received_at=now, strikes=0, size=len(body))
    most = where.settings.limits.body_bytes
    if len(body) > most:
        problem = Problem("", f"It is {len(body)} bytes long; a webhook may have {most} (limits.body_bytes).")
        return Decision(event, None, problems=(problem,))
    return decide(where.source, where.site, event, depth=where.settings.limits.json_depth)


def _is_bare(body: bytes, depth: int) -> bool:
    """What cannot be read is not: `decide` says what is wrong with it."""
    try:
        return is_bare(strictjson.loads(body, max_depth=depth))
    except strictjson.BadJson:
        return False
