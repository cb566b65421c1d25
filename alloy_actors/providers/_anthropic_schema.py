"""An output schema, put as the API's structured output takes it.

Bounds and patterns that it cannot enforce become a part of the description: the model reads them, and whoever asked
for the output checks it anyway. What cannot be put otherwise is refused.

Source: Anthropic documentation, Structured outputs, JSON schema limitations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Schema = dict[str, Any]

FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
)
KEPT = ("type", "title", "description", "enum", "const", "required")
VARIANTS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
REFUSED = ("patternProperties", "prefixItems", "dependentSchemas", "if", "not")
HANDLED = {
    "$defs",
    "properties",
    "items",
    "additionalProperties",
    "discriminator",
    "$schema",
    *KEPT,
    *VARIANTS,
}


def strict(schema: Mapping[str, Any]) -> Schema:
    """The schema as it is sent.

    Raises:
        InvalidRequestError: It holds what has no place there; the message says where.
    """
    definitions = schema.get("$defs", {})
    sound: set[str] = set()
    for name in definitions:
        _refuse_recursion(name, definitions, (), sound)
    return _put(schema, "$")


def _put(schema: Any, path: str) -> Schema:
    if not isinstance(schema, dict):
        raise _refusal(path, f"{schema!r} says nothing about the value; give it a type")
    for word in REFUSED:
        if word in schema:
            raise _refusal(path, f"{word!r} is not supported")
    put: Schema = {}
    if "$defs" in schema:
        put["$defs"] = {name: _put(inner, f"{path}.$defs.{name}") for name, inner in schema["$defs"].items()}
    if "$ref" in schema:
        if not str(schema["$ref"]).startswith("#/"):
            raise _refusal(path, f"$ref {schema['$ref']!r} points outside of the schema")
        return {**put, "$ref": schema["$ref"]}
    put |= {word: schema[word] for word in KEPT if word in schema}
    for word, sent in VARIANTS.items():
        if word in schema:
            put[sent] = [_put(inner, f"{path}.{word}[{at}]") for at, inner in enumerate(schema[word])]
    types = schema.get("type", ())
    types = {types} if isinstance(types, str) else set(types)
    if not types and not put.keys() & {"anyOf", "allOf", "enum", "const"}:
        raise _refusal(path, "there is no type, so any value would do; name the type")
    if "object" in types:
        put |= _object(schema, path)
    if "array" in types and "items" in schema:
        put["items"] = _put(schema["items"], f"{path}[]")
    put |= {word: value for word, value in schema.items() if _is_enforced(word, value)}
    return _described(
        put, {word: value for word, value in schema.items() if word not in HANDLED | put.keys()}
    )


def _object(schema: Schema, path: str) -> Schema:
    properties = schema.get("properties")
    if not properties:
        raise _refusal(
            path, "an object must name its properties; for free keys use a list of objects with key and value"
        )
    named = {name: _put(inner, f"{path}.{name}") for name, inner in properties.items()}
    return {"properties": named, "additionalProperties": False}


def _is_enforced(word: str, value: Any) -> bool:
    return (word == "format" and value in FORMATS) or (word == "minItems" and value in (0, 1))


def _described(put: Schema, rest: Schema) -> Schema:
    if rest:
        said = ", ".join(f"{word}: {value}" for word, value in rest.items())
        before = put.get("description")
        put["description"] = f"{before}\n({said})" if before else f"({said})"
    return put


def _refuse_recursion(name: str, definitions: Schema, seen: tuple[str, ...], sound: set[str]) -> None:
    """`sound`: those that were looked at already; without it, references that fork and meet would double the work."""
    if name in sound:
        return
    if name in seen:
        raise _refusal(f"$.$defs.{name}", "it holds itself, and recursive schemas are not supported")
    for other in _names(definitions.get(name)):
        _refuse_recursion(other, definitions, (*seen, name), sound)
    sound.add(name)


def _names(schema: Any) -> Iterable[str]:
    """The definitions that this one refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from _names(item)
    elif isinstance(schema, dict):
        for word, value in schema.items():
            if word == "$ref" and isinstance(value, str):
                yield value.removeprefix("#/$defs/")
            else:
                yield from _names(value)


def _refusal(path: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"output schema, {path}: {why}")
