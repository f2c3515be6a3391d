"""Check values against the project's own schemas: one question, asked first of a quick library and then of a thorough one.

What the quick one (`rules.quick`) finds right needs nothing more; whatever it does not is put before jsonschema
(`rules.verdict`), whose word counts and who says what is wrong. Both read the same schemas (`rules.contracts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.rules import quick
from pipeline.rules.contracts import MOST_PROBLEMS, documents, folder, pointer

if TYPE_CHECKING:
    from pipeline.model.event import Problem

__all__ = ["MOST_PROBLEMS", "documents", "folder", "pointer", "problems"]


def problems(name: str, value: object, prefix: str = "") -> tuple[Problem, ...]:
    """Everything the schema `name` (e.g. `event.v1.json`) finds wrong with `value`; at most 100, in the body's order.

    `prefix` is put before every JSON Pointer.
    """
    if quick.finds_right(name, value):
        return ()
    from pipeline.rules import verdict  # noqa: PLC0415 - 7 MB that a process without a bad event never needs

    return verdict.problems(name, value, prefix)
