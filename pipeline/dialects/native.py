"""The native dialect: the payload is already `schemas/event.v1.json`."""

from __future__ import annotations


def read(payload: object) -> object:
    """The native event itself."""
    return payload


DIALECT = read
