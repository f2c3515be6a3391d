"""What the offline verbs share: a file through dialect, schema, house rules and cleaning, without a ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import settings as settings_file
from pipeline.cli.sending import event_from
from pipeline.kit.clock import SystemClock, rfc3339
from pipeline.ledger.events import Claimed
from pipeline.model.errors import ConfigError
from pipeline.validate import decide

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model.settings import Settings, Site, Source
    from pipeline.validate import Decision


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
    body = json.dumps(event_from(file, rfc3339(now)), ensure_ascii=False).encode() if _is_bare(file) else file.read_bytes()
    event = Claimed(id=1, event_id="ev_offline", body=body, received_at=now, strikes=0)
    return decide(where.source, where.site, event, depth=where.settings.limits.json_depth)


def _is_bare(file: Path) -> bool:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "data" not in content and "type" not in content
