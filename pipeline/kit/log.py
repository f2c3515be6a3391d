"""Logs as JSON lines on standard error: one event name a line, ids bound once at the face."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

from pipeline.kit import secrecy

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_SECRET_KEY = re.compile(r"secret|token|password|authorization|signature|cookie", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"whsec_[A-Za-z0-9+/=]+|(?<=://)[^/@\s:]*:[^/@\s]+(?=@)|(?<=Bearer )\S+")


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        event[key] = "***" if _SECRET_KEY.search(key) else _redacted(value)
    return event


def _redacted(value: object) -> object:
    """The same without secrets, also deep in a traceback: an error's words are a library's."""
    if isinstance(value, dict):
        return {key: _redacted(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(inner) for inner in value]
    return _SECRET_TEXT.sub("***", secrecy.without_known(value)) if isinstance(value, str) else value


def configure(level: str = "INFO") -> None:
    """Send every record, ours and the libraries', and Python's warnings to standard error as one JSON object a line.

    Tracebacks carry no local variables: a secret may be among them.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
        _redact,
    ]
    structlog.configure(
        processors=[*shared[:2], *shared[3:], structlog.processors.JSONRenderer(ensure_ascii=False, default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        ),
    )
    logging.captureWarnings(capture=True)
    # Libraries speak only of trouble: a line for each task received would be most of the log.
    logging.basicConfig(handlers=[handler], level=max(logging.getLevelNamesMapping()[level], logging.WARNING), force=True)


def logger(**bound: object) -> FilteringBoundLogger:
    """A logger with these ids bound to every line."""
    made: FilteringBoundLogger = structlog.get_logger(**bound)
    return made
