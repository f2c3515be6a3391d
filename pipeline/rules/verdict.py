"""What jsonschema finds wrong with a value, told in sentences with a JSON Pointer each.

The registry holds only what ships with the project, so no `$ref` can make it fetch anything. The format checker is
built by hand, because jsonschema passes a format it has no checker for in silence.
"""

from __future__ import annotations

import difflib
import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource

from pipeline.kit import secrecy
from pipeline.model.errors import ConfigError
from pipeline.model.event import Problem
from pipeline.rules.contracts import FORMATS, MOST_PROBLEMS, documents, expression, inlined, pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


_SHOWN = 60


@cache
def validator(name: str) -> Any:
    """The validator of a schema, by its file's name. Raises KeyError, ConfigError, jsonschema.SchemaError."""
    missing = [f for f in FORMATS if f not in FormatChecker.checkers]
    if missing:
        message = f"no checker is installed for the formats {', '.join(missing)}: reinstall with the locked requirements"
        raise ConfigError(message)
    registry: Registry[Any] = Registry().with_resources(
        (str(document["$id"]), Resource.from_contents(document)) for document in documents().values()
    )
    Draft202012Validator.check_schema(documents()[name])
    return Validator(inlined(documents()[name], name), registry=registry.crawl(), format_checker=FormatChecker(tuple(FORMATS)))


def _pattern(validator: Any, pattern: str, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str) and len(instance) > schema.get("maxLength", len(instance)):
        return  # its length is a problem already, and some patterns take long over a megabyte
    if validator.is_type(instance, "string") and not expression(pattern).search(str(instance)):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _items(validator: Any, items: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, list) and len(instance) > schema.get("maxItems", len(instance)):
        return  # its length is a problem already, and a megabyte of small items takes longer than a worker is given
    yield from Draft202012Validator.VALIDATORS["items"](validator, items, instance, schema)


def _minimum(validator: Any, least: Any, instance: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, float) and math.isnan(instance):  # TOML has it, and it is neither less nor more than any limit
        yield ValidationError(f"{instance} is no number")
    yield from Draft202012Validator.VALIDATORS["minimum"](validator, least, instance, schema)


Validator = extend(Draft202012Validator, {"pattern": _pattern, "items": _items, "minimum": _minimum})  # type: ignore[no-untyped-call]


def problems(name: str, value: object, prefix: str = "") -> tuple[Problem, ...]:
    """As `schema.problems`: everything wrong, at most 100, in the body's order."""
    found_in = validator(name).iter_errors(value)
    errors: Iterable[ValidationError] = sorted(found_in, key=lambda e: [(isinstance(p, str), p) for p in e.absolute_path])
    found = dict.fromkeys(p for error in errors for p in _told(error, prefix))
    return tuple(found)[:MOST_PROBLEMS]


def _told(error: ValidationError, prefix: str) -> list[Problem]:
    where = prefix + pointer(error.absolute_path)
    rule: Any = error.validator_value
    subschema: Any = error.schema
    instance: Any = error.instance
    if "propertyNames" in error.absolute_schema_path:
        where += pointer([error.instance])
    if error.validator == "required":
        lacking = [name for name in rule if name not in instance]
        return [Problem(f"{where}/{name}", "This field is required.") for name in lacking]
    if error.validator == "dependentRequired":
        beside = [(name, given) for given, names in rule.items() if given in instance for name in names if name not in instance]
        return [Problem(f"{where}/{name}", f"This field is required beside {given}.") for name, given in beside]
    if error.validator == "additionalProperties":
        known = sorted(subschema.get("properties", {}))
        unknown = sorted(str(name) for name in instance if name not in subschema.get("properties", {}))
        return [Problem(f"{where}{pointer([name])}", _unknown(name, known)) for name in unknown[:MOST_PROBLEMS]]
    if error.validator in {"if", "then", "else"} and error.context:
        return [p for inner in error.context for p in _told(inner, prefix)]
    return [Problem(where, _sentence(error))]


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean “{near[0]}”?" if near else f" Known here: {', '.join(known)}." if known else ""
    return f"{_short(name)} is not a known field.{hint}"


_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "array": "a list",
    "boolean": "true or false",
    "null": "null",
}


def _sentence(error: ValidationError) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a keyword
    limit: Any = error.validator_value
    found: Any = error.instance
    where: Any = error.schema
    match error.validator:
        case "type":
            return f"Expected {_type_name(limit)}, found {_found(found)}."
        case "enum":
            return f"Expected one of {', '.join(map(str, limit))}; found {_shown(found, where)}."
        case "const":
            return f"Expected {limit}."
        case "maxLength":
            return f"At most {limit} characters; this has {len(found)}."
        case "minLength":
            return "This must not be empty." if limit == 1 else f"At least {limit} characters."
        case "maxItems" | "maxProperties":
            return f"At most {limit} items; this has {len(found)}."
        case "minItems" | "minProperties":
            return f"At least {limit} item{'s' if limit > 1 else ''}."
        case "minimum" | "exclusiveMinimum":
            return f"At least {limit}; found {found}."
        case "maximum" | "exclusiveMaximum":
            return f"At most {limit}; found {found}."
        case "format":
            return _FORMAT_SENTENCES[str(limit)] + f"; found {_shown(found, where)}."
        case "pattern":
            described = PATTERNS.get(str(limit)) or where.get("description", "")
            if str(limit) == "\\S":
                return "This must not be empty or blank."
            return f"{_shown(found, where)} is not in the form expected here{': ' + described.rstrip('.') if described else f' ({limit})'}."
        case _:
            return "What stands here is not as expected." if where.get("writeOnly") else str(error.message)[:300]


PATTERNS = {
    "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$": "env:NAME or file:PATH, never the secret itself",
    "^(https?://[^/@\\s]+(/.*)?/)?$": "an http or https URL that ends with a slash",
    "^(?![\\s\\S]*\\s)https?://[^/?#@\\s]+(?![^/?#])": "an address that begins with http:// or https://, without a user name",
    "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$": "a BCP 47 language tag such as en or pt-BR",
    "^[^/]*[^/\\s][^/]*$": "one level of the breadcrumb, without a slash",
    "^[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*$": "a media type in small letters such as image/jpeg",
    "^\\S+$": "a date and time without white space",
}
_FORMAT_SENTENCES = {
    "date-time": "Expected a date and time with offset such as 2026-11-23T08:00:00Z (RFC 3339)",
    "uri": "Expected an absolute URL (RFC 3986)",
}


def _type_name(limit: object) -> str:
    names = limit if isinstance(limit, list) else [limit]
    return " or ".join(_TYPES.get(str(name), str(name)) for name in names)


def _found(value: object) -> str:
    for kind, name in (
        (bool, "true or false"),
        (str, "text"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "an object"),
    ):
        if isinstance(value, kind):
            return name
    return "null"


def _shown(value: object, where: Mapping[str, Any]) -> str:
    """The value as a sentence has it; a secret's place only."""
    return "What stands here" if where.get("writeOnly") else _short(value)


def _short(value: object) -> str:
    shown = secrecy.shown(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    return f"“{shown[:_SHOWN]}…”" if len(shown) > _SHOWN else f"“{shown}”"
