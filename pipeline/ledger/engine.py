"""Transactions on the ledger: short ones, with a deadline, on either database.

A write transaction holds only statements whose parameters are ready. On SQLite it begins with BEGIN IMMEDIATE,
tried again every millisecond until its own deadline: SQLite's busy handler sleeps ever longer and starves
whoever is unlucky, this wait is fair and counted.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool, StaticPool

from pipeline.kit import clock as clocks
from pipeline.kit import metrics
from pipeline.ledger.types import json_text
from pipeline.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import CursorResult
    from sqlalchemy.sql import Executable

STEP_SECONDS = 5.0
ACCEPT_SECONDS = 1.0
_WAIT, _LONGER_WAIT = 0.001, 0.004
_TURN = 0.25  # seconds; a transaction aims for 0.005
_IDLE = 5.0  # seconds a session of PostgreSQL may hold a transaction and say nothing: as long as a lease
_SOON = 4  # so often a step asks again at once; later it leaves the lock, and the processor, to others


@dataclass(frozen=True, slots=True)
class Tx:
    """One open transaction: a connection and the instant it began by the ledger's clock."""

    connection: Connection
    now: datetime

    def run(self, statement: Executable, rows: Mapping[str, object] | Iterable[Mapping[str, object]] | None = None) -> CursorResult[Any]:
        """Execute once, or once per row where `rows` is a list (an empty one does nothing)."""
        if rows is None or hasattr(rows, "keys"):
            return self.connection.execute(statement, rows)  # type: ignore[arg-type]
        return self.connection.execute(statement, list(rows))

    def each(self, statement: Executable, rows: Iterable[Mapping[str, object]]) -> None:
        """Execute once per row; nothing for no rows."""
        if listed := list(rows):
            self.connection.execute(statement, listed)

    def all(self, statement: Executable, values: Mapping[str, object] | None = None) -> list[Any]:
        """Every row; its columns are attributes."""
        return list(self.connection.execute(statement, values).all())

    def first(self, statement: Executable, values: Mapping[str, object] | None = None) -> Any:
        """The first row, or None."""
        return self.connection.execute(statement, values).first()

    def value(self, statement: Executable, values: Mapping[str, object] | None = None) -> Any:
        """The first column of the first row, or None."""
        return self.connection.execute(statement, values).scalar()

    @property
    def postgres(self) -> bool:
        """Whether this is PostgreSQL."""
        return self.connection.dialect.name == "postgresql"


class Ledger:
    """The door to the database. Engines are made lazily, per process, never carried over a fork.

    url          SQLAlchemy URL, e.g. `sqlite:////path/ledger.sqlite`, `sqlite://` (memory), `postgresql+psycopg://…`
    own_clock    True: take the time from `clock` on PostgreSQL too (tests with a set clock)
    """

    def __init__(self, url: str, clock: clocks.Clock | None = None, *, random: Random | None = None, own_clock: bool = False) -> None:
        """Nothing is opened yet."""
        self.url = url
        self.clock = clock or clocks.SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter, not a secret
        self._own_clock = own_clock or url.startswith("sqlite")
        self._engines: dict[tuple[int, str], Engine] = {}
        self._making = threading.Lock()
        self._memory = threading.RLock() if url in {"sqlite://", "sqlite:///:memory:"} else None
        self._turns: dict[int, threading.Lock] = {}
        self._version: tuple[int, sqlite3.Cursor | None] = (0, None)
        self._asking = threading.Lock()

    @property
    def sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self.url.startswith("sqlite")

    @contextmanager
    def write(self, *, deadline: float = STEP_SECONDS, durable: bool = False, shown: bool = False) -> Iterator[Tx]:
        """A write transaction: committed at the end, rolled back on any error.

        durable  the commit has reached the disk when this returns (accept, posting)
        shown    readers will see what it says (revisions): a PostgreSQL that is killed must not forget it, or they would see the
                 text before it again for a moment. SQLite's log outlives every process as it is
        Raises Unavailable when the database does not let us begin within `deadline` seconds.
        """
        began = self.clock.monotonic()
        role = "durable" if durable else "write"
        with self._alone(), self._turn(deadline, durable=durable), self._connection(role, deadline) as connection:
            self._begin(connection, began, deadline, patient=not durable)
            if not (self.sqlite or durable or shown):
                connection.execute(text("SET LOCAL synchronous_commit = off"))
            with _finishing(connection):
                yield Tx(connection, self._now(connection))

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A read transaction: one consistent view, never waiting for a writer."""
        with self._alone(), self._connection("read", STEP_SECONDS) as connection:
            # One view for all its statements: PostgreSQL gives each statement its own unless told otherwise.
            connection.exec_driver_sql("BEGIN" if self.sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            with _finishing(connection):
                yield Tx(connection, self._now(connection))

    @contextmanager
    def glance(self) -> Iterator[Tx]:
        """For one statement, which has one view by itself: no transaction around it, and no clock but the process's.

        On PostgreSQL that is two journeys to the server where `read` takes six.
        """
        with self._alone(), self._connection("read", 0) as connection:
            yield Tx(connection, self.clock.now())

    def now(self) -> datetime:
        """The ledger's clock, the only one for leases, due times, embargoes and arrival."""
        if self._own_clock:
            return self.clock.now()
        with self.read() as tx:
            return tx.now

    def version(self) -> int | None:
        """A number that is another one after every commit from elsewhere; None where the database cannot tell for next to nothing.

        SQLite's `PRAGMA data_version`, two microseconds, of a connection that is used for nothing else: only of one connection
        its numbers can be compared. A commit that has returned is always seen. None on PostgreSQL, for a database in memory,
        and where SQLite does not answer at once.
        """
        if not self.sqlite or self._memory:
            return None
        with self._asking:
            try:
                found: tuple[int] = self._asked().execute("PRAGMA data_version").fetchone()
            except (sqlite3.Error, DBAPIError):
                return None
            return found[0]

    def _asked(self) -> sqlite3.Cursor:
        """The cursor of this process's own connection, opened when first asked for."""
        pid, cursor = self._version
        if cursor is None or pid != os.getpid():
            lent = self._engine("read").raw_connection()
            made: Any = lent.cursor()
            lent.detach()  # the pool never gets it back
            made.execute("PRAGMA busy_timeout=0")
            self._version, cursor = (os.getpid(), made), made
        return cursor

    def close(self) -> None:
        """Let go of every connection of this process."""
        with self._asking:
            pid, cursor = self._version
            if cursor is not None and pid == os.getpid():
                cursor.connection.close()
            self._version = (0, None)
        with self._making:
            for key in [k for k in self._engines if k[0] == os.getpid()]:
                self._engines.pop(key).dispose()

    def _alone(self) -> AbstractContextManager[object]:
        return self._memory or nullcontext()

    @contextmanager
    def _turn(self, deadline: float, *, durable: bool) -> Iterator[None]:
        """One writer of a process asks SQLite for its lock, the others wait for that one: asking costs processor time.

        `accept` asks by itself, so that no step of its process comes first. A turn saves time and protects nothing: who does not
        get it soon goes without, and makes a new one, because a time limit may have ended its holder between taking and keeping it.
        """
        if durable or self._memory or not self.sqlite:
            yield
            return
        with self._making:
            turn = self._turns.setdefault(os.getpid(), threading.Lock())
        mine = turn.acquire(timeout=min(deadline, _TURN))
        try:
            yield
        finally:
            if mine:
                turn.release()
            elif self._turns.get(os.getpid()) is turn:
                self._turns[os.getpid()] = threading.Lock()

    def _now(self, connection: Connection) -> datetime:
        if self._own_clock:
            return self.clock.now()
        now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now

    @contextmanager
    def _connection(self, role: str, deadline: float) -> Iterator[Connection]:
        try:
            connection = self._engine(role).connect()
        except (DBAPIError, TimeoutError) as error:
            raise Unavailable(_sentence(error)) from error
        with connection:
            if not self.sqlite and deadline:
                # A statement that waits longer than its caller does only holds locks for nobody.
                try:
                    connection.exec_driver_sql(f"SET lock_timeout = {int(deadline * 1000)}")
                except DBAPIError as error:
                    raise Unavailable(_sentence(error)) from error
            try:
                yield connection
            except DBAPIError as error:
                # Also at BEGIN: a connection that was good a moment ago may be gone with its server.
                if _is_gone(error):
                    raise Unavailable(_sentence(error)) from error
                raise

    def _engine(self, role: str) -> Engine:
        role = "only" if self._memory else role if self.sqlite else "any"
        key = (os.getpid(), role)
        with self._making:
            if key not in self._engines:
                self._engines[key] = self._sqlite_engine(role) if self.sqlite else self._postgres_engine()
            return self._engines[key]

    def _sqlite_engine(self, role: str) -> Engine:
        arguments = {"check_same_thread": False, "timeout": 0}
        if role == "only":
            engine = create_engine(
                self.url,
                poolclass=StaticPool,
                connect_args=arguments,
                isolation_level="AUTOCOMMIT",
                json_serializer=json_text,
                hide_parameters=True,
            )
        else:
            engine = create_engine(
                self.url,
                poolclass=QueuePool,
                pool_size=16,
                max_overflow=48,
                pool_timeout=STEP_SECONDS,
                connect_args=arguments,
                isolation_level="AUTOCOMMIT",
                json_serializer=json_text,
                hide_parameters=True,
            )
        event.listen(engine, "connect", lambda raw, _record: _prepare_sqlite(raw, role))
        return engine

    def _postgres_engine(self) -> Engine:
        return create_engine(
            self.url,
            pool_size=8,
            max_overflow=24,
            pool_timeout=STEP_SECONDS,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
            json_serializer=json_text,
            hide_parameters=True,  # articles before their time, among other things; an error's words go to a log
            # A host that vanishes is noticed in seconds, not when the kernel gives up after a quarter of an hour.
            connect_args={
                "connect_timeout": 3,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 5000,
                "options": "-c client_connection_check_interval=1000 -c statement_timeout=10000"
                f" -c idle_in_transaction_session_timeout={int(_IDLE * 1000)}",
            },
        )

    def _begin(self, connection: Connection, began: float, deadline: float, *, patient: bool) -> None:
        if not self.sqlite:
            connection.exec_driver_sql("BEGIN")
            return
        for asked in itertools.count():
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if not _is_locked(error):
                    raise Unavailable(_sentence(error)) from error
                waited = self.clock.monotonic() - began
                if waited > deadline:
                    metrics.begin_wait.observe(waited)
                    raise Unavailable(_locked(waited)) from error
                self.clock.sleep((_LONGER_WAIT if patient and asked > _SOON else _WAIT) * (0.5 + self._random.random()))
            else:
                metrics.begin_wait.observe(self.clock.monotonic() - began)
                return


@contextmanager
def _finishing(connection: Connection) -> Iterator[None]:
    """COMMIT, or ROLLBACK on any error; the driver is in autocommit, so both are said in words."""
    try:
        yield
    except BaseException as error:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK")
        if isinstance(error, DBAPIError) and (_is_gone(error) or _is_locked(error)):
            raise Unavailable(_sentence(error)) from error
        raise
    try:
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise Unavailable(_sentence(error)) from error


def _is_gone(error: DBAPIError) -> bool:
    """Whether the server went, or is going (PostgreSQL's classes 08 and 57P; the driver may not have noticed yet)."""
    return error.connection_invalidated or (getattr(error.orig, "sqlstate", None) or "").startswith(("08", "57P"))


def _is_locked(error: DBAPIError) -> bool:
    words = str(error.orig)
    return "locked" in words or "busy" in words or getattr(error.orig, "sqlstate", "") in {"55P03", "40P01", "40001"}


def _locked(seconds: float) -> str:
    return f"the ledger was locked by another writer for {seconds:.1f} s"


def _sentence(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return f"the ledger's database does not answer: {str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__}"


def _prepare_sqlite(raw: Any, role: str) -> None:
    raw.isolation_level = None
    synchronous = "FULL" if role == "durable" else "NORMAL"
    pragmas = [f"synchronous={synchronous}", "foreign_keys=ON", "cache_size=-8000"]
    pragmas += ["busy_timeout=2000", "query_only=ON"] if role == "read" else ["busy_timeout=0"]
    cursor = raw.cursor()
    # Changing the journal needs the lock for a moment; only then is SQLite's own waiting wanted.
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.execute("PRAGMA journal_mode=WAL")
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
