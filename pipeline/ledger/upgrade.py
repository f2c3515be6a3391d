"""Bring the database to this version's tables, by Alembic migrations, from any version before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from pipeline.model.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_LOCK = 7_305_411  # any number that is only ours: PostgreSQL's advisory lock while migrating


def upgrade(url: str) -> str:
    """Upgrade to the newest version and answer its name. Two at once wait for each other. Raises Unavailable."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _LOCK})
                connection.commit()
            command.upgrade(_config(connection), "head")
            connection.commit()
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _LOCK})
                connection.commit()
    except DBAPIError as error:
        message = f"the database cannot be upgraded: {str(error.orig).strip().splitlines()[0]}"
        raise Unavailable(message) from error
    finally:
        engine.dispose()
    return newest()


def current(url: str) -> str | None:
    """The version the database is at, or None for an empty one or none at all. Raises Unavailable."""
    if _is_missing(url):
        return None
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        message = f"the database does not answer: {str(error.orig).strip().splitlines()[0]}"
        raise Unavailable(message) from error
    finally:
        engine.dispose()


def newest() -> str:
    """The version this code needs."""
    return str(ScriptDirectory.from_config(_config(None)).get_current_head())


def _is_missing(url: str) -> bool:
    """Whether this is SQLite and its file is not there yet: looking into it would make it."""
    path = _file(url)
    try:
        return path is not None and not path.exists() and not path.parent.is_file()
    except OSError:
        return False


def _file(url: str) -> Path | None:
    name = make_url(url).database if url.startswith("sqlite:///") else None
    return Path(name) if name and not name.startswith((":", "file:")) else None


def _engine(url: str) -> Engine:
    if (path := _file(url)) is not None:
        _make_private(path)
    return create_engine(url)


def _make_private(path: Path) -> None:
    """A new ledger, with its folder, is its user's alone: it holds what is not published yet. SQLite gives its journals the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        message = f"the ledger {path} cannot be used: {error.strerror or error}"
        raise Unavailable(message) from error


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
