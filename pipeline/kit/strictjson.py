"""JSON (RFC 8259) read strictly: what two parsers could read differently is refused, and where it stands is said.

The standard library keeps the last of two equal keys, reads NaN, gives lone surrogates through, and recurses as deep
as the sender likes; each of these is somebody's surprise further down. RFC 7493 (I-JSON) asks for the same limits.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

MAX_DEPTH = 64
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_INT_CHARACTERS = 20
_FLOAT_CHARACTERS = 1000  # the exact decimal of a double needs at most 767 digits
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SHOWN_CHARACTERS = 80


class BadJson(Exception):
    """Not JSON as we take it: `detail` is a sentence, `pointer` (RFC 6901) says where, "" being the whole."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        """Carry the sentence and the place."""
        self.detail = detail
        self.pointer = pointer
        super().__init__(f"{pointer}: {detail}" if pointer else detail)


class _Flaw:
    """Stands in the parsed tree where a value cannot; `key` names the member of an object that is meant."""

    def __init__(self, detail: str, key: str | None = None) -> None:
        self.detail = detail
        self.key = key


def loads(body: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """The value that the bytes state: UTF-8 without a byte order mark, unique keys, 64-bit integers, finite floats.

    Raises BadJson for everything else, and for nesting deeper than `max_depth`, which is measured before parsing.
    """
    text = _decode(body)
    _check_depth(body, max_depth)
    flaws: list[_Flaw] = []
    value = _parse(text, flaws)
    if flaws or _SURROGATE_ESCAPE.search(body):
        _report(value)
    return value


def _decode(body: bytes) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        message = "The body begins with a byte order mark; JSON is sent without one (RFC 8259 section 8.1)."
        raise BadJson(message)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"The body is not valid UTF-8: the byte at offset {error.start} cannot stand there."
    raise BadJson(message)


def _check_depth(body: bytes, max_depth: int) -> None:
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            message = f"The body nests arrays and objects more than {max_depth} deep."
            raise BadJson(message)


def _parse(text: str, flaws: list[_Flaw]) -> object:
    def flaw(detail: str, key: str | None = None) -> _Flaw:
        flaws.append(_Flaw(detail, key))
        return flaws[-1]

    def integer(digits: str) -> int | _Flaw:
        value = int(digits) if len(digits) <= _INT_CHARACTERS else _INT_MAX + 1
        return value if _INT_MIN <= value <= _INT_MAX else flaw("This integer does not fit into 64 bits.")

    def real(digits: str) -> float | _Flaw:
        value = float(digits) if len(digits) <= _FLOAT_CHARACTERS else math.inf
        return value if math.isfinite(value) else flaw("This number is too large or too long.")

    def mapping(pairs: list[tuple[str, object]]) -> dict[str, object] | _Flaw:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return flaw("This key stands in its object more than once.", double)

    def constant(name: str) -> _Flaw:
        return flaw(f"{name} is not a JSON number.")

    try:
        return json.loads(text, parse_int=integer, parse_float=real, parse_constant=constant, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        message = f"The body is not JSON: {error.msg} ({where})." if text.strip() else "The body is empty."
    except RecursionError:
        message = "The body nests arrays and objects too deep."
    raise BadJson(message)


def _report(root: object) -> None:
    """Walk the tree for the first flaw or lone surrogate, without recursion. Raises BadJson if there is one."""
    waiting: list[tuple[str, object]] = [("", root)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, _Flaw):
            raise BadJson(value.detail, pointer if value.key is None else _below(pointer, value.key))
        if isinstance(value, str) and _lonely(value):
            _refuse_surrogate("This text", pointer)
        if isinstance(value, dict):
            if any(_lonely(key) for key in value):
                _refuse_surrogate("A key in here", pointer)
            waiting += reversed([(_below(pointer, key), item) for key, item in value.items()])
        elif isinstance(value, list):
            waiting += reversed([(f"{pointer}/{index}", item) for index, item in enumerate(value)])


def _refuse_surrogate(what: str, pointer: str) -> NoReturn:
    message = f"{what} holds half of a surrogate pair (\\ud800 to \\udfff), which is no character."
    raise BadJson(message, pointer)


def _lonely(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _below(pointer: str, key: str) -> str:
    """The pointer of a member; what cannot be shown in it is replaced, for a sender chooses the key."""
    shown = key[:_SHOWN_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
    return f"{pointer}/{shown.replace('~', '~0').replace('/', '~1')}"
