"""What a step is handed: settings, ledger, clock, network, backends, and nothing else from the outside world."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from pipeline import settings as settings_file
from pipeline.backends import open_backend
from pipeline.kit import log
from pipeline.kit.cache import Recent, Weighed
from pipeline.kit.clock import Clock, SystemClock
from pipeline.ledger import Ledger, archives, deliveries, duties, outlets, subscriptions
from pipeline.model.errors import ConfigError, Unavailable
from pipeline.model.settings import Feed, IndexNow, Kind, Mirror, Network, Settings, Site, outlet_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from pipeline.backends import Backend
    from pipeline.kit.crew import Crew
    from pipeline.kit.http import Http
    from pipeline.kit.sealing import Sealer
    from pipeline.ledger.engine import Tx
    from pipeline.model.entry import Rendered
    from pipeline.model.revision import Revision
    from pipeline.model.share import Share
    from pipeline.pages import Form, PageFrame, Shell, Told


@dataclass
class Context:
    """The room a step works in. Everything expensive in it is made when first asked for, in this process."""

    settings: Settings
    ledger: Ledger
    clock: Clock = field(default_factory=SystemClock)
    random: Random = field(default_factory=Random)  # jitter and ids; never secrets
    owner: str = ""
    # Windows at their bounds: four feeds of two hundred entries, 27 kB each in all formats, most in two feeds. Too few, and each
    # build renders again what the build before threw away.
    entries: Weighed[tuple[str, str, str, int], Rendered] = field(default_factory=lambda: Weighed(23_000_000))
    revisions: Weighed[int, Revision] = field(default_factory=lambda: Weighed(3_000_000))
    told: Weighed[tuple[object, ...], Told] = field(default_factory=lambda: Weighed(3_000_000))
    shells: Recent[tuple[str, Form], tuple[PageFrame, Shell]] = field(default_factory=Recent)
    made: Recent[tuple[str, str], tuple[tuple[object, ...], dict[str, str]]] = field(default_factory=Recent)
    shares: Recent[tuple[object, ...], Share] = field(default_factory=lambda: Recent(800))
    _backends: dict[tuple[int, str], Backend] = field(default_factory=dict)
    _making: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def http(self) -> Http:
        """The one outgoing client."""
        from pipeline.kit.http import Http  # noqa: PLC0415 - most processes never ask for it

        return Http(allow=self.settings.server.allow_hosts)

    @cached_property
    def log(self) -> FilteringBoundLogger:
        """A logger."""
        return log.logger()

    @cached_property
    def crew(self) -> Crew:
        """Threads for requests whose answers nobody else waits for (the hub's)."""
        from pipeline.kit.crew import Crew  # noqa: PLC0415 - as above

        return Crew()

    @cached_property
    def sealer(self) -> Sealer:
        """What subscribers' secrets are kept under: the configured keys, or one of the data folder. Raises Unavailable."""
        from pipeline.kit.sealing import Sealer, kept_key  # noqa: PLC0415 - as above

        try:
            return Sealer(self.settings.hub.keys or (kept_key(self.settings.data / "hub.key"),))
        except (OSError, ValueError) as error:
            message = f"the hub's key in {self.settings.data} cannot be used: {type(error).__name__}"
            raise Unavailable(message) from error

    def close(self) -> None:
        """Let go of every connection of this process, to the database and to mirrors."""
        if "crew" in self.__dict__:
            self.crew.close()
        self.ledger.close()
        if "http" in self.__dict__:
            self.http.close()

    def me(self) -> str:
        """The owner of leases taken here: `host:pid:start time:kernel:thread`."""
        return self.owner or f"{process_name()}:{threading.get_ident()}"

    def origin(self, key: str) -> Backend:
        """Where the feed with that outlet key is served from."""
        return self._backend(key, lambda: open_backend("local", root_or_url=self.settings.origin, fence_name=key))

    def mirror_backend(self, key: str, mirror: Mirror) -> Backend:
        """Where the mirror with that outlet key stores its documents."""
        return self._backend(
            key,
            lambda: open_backend(
                mirror.backend,
                root_or_url=mirror.target,
                http=self.http if mirror.backend == "http" else None,
                fence_name=key,
                token_header=mirror.token_header,
                token=mirror.token,
            ),
        )

    def _backend(self, key: str, make: Callable[[], Backend]) -> Backend:
        with self._making:
            mark = (os.getpid(), key)
            if mark not in self._backends:
                self._backends[mark] = make()
            return self._backends[mark]

    def outlet(self, key: str) -> tuple[Site, Kind, str]:
        """(site, kind, name) of an outlet key. Raises KeyError for one that is not configured."""
        site_name, _, rest = key.partition("/")
        kind, _, name = rest.partition(":")
        site = next((s for s in self.settings.sites if s.name == site_name), None)
        groups: dict[str, tuple[Feed | Mirror | Network | IndexNow, ...]] = (
            {"feed": site.feeds, "mirror": site.mirrors, "network": site.networks, "indexnow": site.indexnow} if site else {}
        )
        names = [outlet.name for outlet in groups.get(kind, ())]
        if site is None or name not in names:
            raise KeyError(key)
        return site, Kind(kind), name


ENDED = "ended"
"""A process of which only the entry in the kernel's table is left (states Z and X of `proc_pid_stat(5)`)."""


def process_name() -> str:
    """`host:pid:start time:kernel` of this process: a pid alone is used again after a while, and by every machine and container."""
    return f"{socket.gethostname()}:{os.getpid()}:{start_time(os.getpid())}:{kernel()}"


@cache
def boot() -> str:
    """The name the kernel gave itself when it began (`random(4)`), "" where it is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@cache
def kernel() -> str:
    """What a pid counts within: the running kernel and the namespace of process ids (`pid_namespaces(7)`); "" where neither is told.

    Host names will not do: containers of one image, or two machines set up alike, may have the same.
    """
    try:
        space = os.stat("/proc/self/ns/pid")  # noqa: PTH116 - a kernel's file
    except OSError:
        return ""
    return f"{boot()}/{space.st_dev}-{space.st_ino}" if boot() else ""


def start_time(pid: int) -> str:
    """The kernel's start time of a process in clock ticks, "" where there is no such process, "0" where it is not told.

    One that has ended and that nobody has waited for yet is told apart: ENDED. In a container whose first process waits for
    nobody it stays in the table for ever.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123 - a kernel's file
            fields = stat.read().rpartition(")")[2].split()
            return ENDED if fields[0] in {"Z", "X"} else fields[19]
    except FileNotFoundError:
        return "" if os.path.isdir("/proc/self") else "0"  # noqa: PTH112
    except (OSError, IndexError):
        return "0"


def open_context(path: Path | None = None, clock: Clock | None = None) -> Context:
    """The context of a configuration file, or of the one found from here. Raises ConfigError."""
    where = path or settings_file.find()
    if where is None:
        message = "no pressrun.toml here. `pressrun up` makes one to try; `pressrun config example` prints one to adapt."
        raise ConfigError(message)
    settings = settings_file.load(where)
    return Context(settings, Ledger(settings.database, clock), clock or SystemClock())


def register(context: Context) -> tuple[str, ...]:
    """Tell the ledger the configured sites and outlets; answers the outlets whose configuration changed.

    Raises ConfigError when an identity changed, or an outlet was dropped that still holds articles.
    """
    settings = context.settings
    rows = settings_file.outlet_rows(settings)
    with context.ledger.write() as tx:
        duties.keep_identity(tx, [(s.name, s.tag_host, s.tag_date) for s in settings.sites])
        if held := outlets.orphans(tx, [str(row["key"]) for row in rows]):
            listed = ", ".join(f"{key} ({count} articles)" for key, count in held)
            message = (
                f"these outlets are no longer configured but still hold articles: {listed}. Put them back with closed = true to empty them."
            )
            raise ConfigError(message)
        changed = outlets.ensure(tx, rows)
        for row in rows:
            if row["closed"]:
                deliveries.empty(tx, str(row["key"]))
        for key in changed:
            # Pages and payloads carry addresses and titles of the configuration; a feed's live document is made whole anyway.
            if f"/{Kind.FEED.value}:" in key:
                archives.write_again(tx, key)
            else:
                deliveries.again(tx, key)
        _register_topics(tx, settings)
        return changed


def _register_topics(tx: Tx, settings: Settings) -> None:
    """Tell the ledger the hubs that are told of changes, and end subscriptions to what is no topic any more."""
    own = settings_file.own_topics(settings)
    hubs = {outlet_key(site.name, Kind.FEED, feed.name): site.hubs for site in settings.sites for feed in site.feeds}
    subscriptions.tell_hubs(tx, [(hub, topic) for topic, outlet in own.items() for hub in hubs[outlet] if hub != settings.hub_url])
    for topic in subscriptions.topics(tx):
        if not settings_file.is_topic(settings, topic):
            subscriptions.deny(tx, topic, "This topic is no longer published here.")
