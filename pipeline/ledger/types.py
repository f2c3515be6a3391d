"""Column types that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer
from sqlalchemy.types import TypeDecorator

from pipeline.kit import clock

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Dialect

# SQLite only numbers rows by itself in a column of exactly this type.
RowId = BigInteger().with_variant(Integer, "sqlite")


class JsonText(str):
    """A value that was made JSON before its transaction began: a text of half a megabyte takes longer than all its statements."""

    __slots__ = ()


def json_text(value: object) -> JsonText:
    """The value as JSON, to be written into a column of JSON as it stands."""
    return value if isinstance(value, JsonText) else JsonText(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class Instant(TypeDecorator["datetime"]):
    """An aware instant, kept as whole microseconds since 1970 UTC: exact, sortable, without a time zone to lose."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Refuses a naive instant with ValueError."""
        return None if value is None else clock.microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware, UTC."""
        return None if value is None else clock.instant(value)
