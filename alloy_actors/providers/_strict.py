"""JSON schemas for the strict mode of OpenAI's structured output, which knows a part of JSON Schema.

A schema is narrowed until it is within that part: what fits the narrowed one fits the given one. Objects take no
further members and need all of theirs, defaults go. What cannot be narrowed is refused before anything is sent.

Source: OpenAI guide, Structured Outputs, supported schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSED = (
    "allOf",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxProperties",
    "minProperties",
    "not",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
)
ONLY_WORDS = {"title", "description", "default", "examples", "deprecated"}
DEFINITIONS = ("$defs", "definitions")
TYPES = ("type", "anyOf", "enum", "const")


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as the strict mode takes it.

    Raises:
        InvalidRequestError: It says what the strict mode cannot; the message names the place.
    """
    root = dict(schema)
    definitions: dict[str, Any] = {name: root[name] for name in DEFINITIONS if name in root}
    if "$ref" in root:  # a recursive model is a reference to one of its own definitions
        root = {**_target(root["$ref"], root), **definitions}
    if root.get("type") != "object":
        raise _refusal("answer", "must be an object at its root: put the value into a member of one")
    return _narrowed(root, "answer")


def _narrowed(node: Any, where: str) -> dict[str, Any]:
    if not isinstance(node, dict) or not node:
        raise _refusal(where, "may be anything: say its type")
    if "$ref" in node:
        if more := sorted(set(node) - {"$ref"} - ONLY_WORDS):
            raise _refusal(where, f"has {more[0]!r} beside its $ref")
        return {"$ref": node["$ref"]}
    found = {name: value for name, value in node.items() if name not in {"default", "discriminator"}}
    parts = found.get("allOf")
    if isinstance(parts, list) and len(parts) == 1:
        del found["allOf"]
        return _narrowed({**found, **parts[0]}, where)
    for name in REFUSED:
        if name in found:
            raise _refusal(where, f"uses {name!r}, which it does not know")
    if "oneOf" in found:  # the answer is checked again by whoever asked for it
        found["anyOf"] = found.pop("oneOf")
    if not any(name in found for name in TYPES):
        raise _refusal(where, "has no type")
    for name in DEFINITIONS:
        if name in found:
            found[name] = {key: _narrowed(value, key) for key, value in found[name].items()}
    if "anyOf" in found:
        found["anyOf"] = [_narrowed(value, where) for value in found["anyOf"]]
    kinds = found.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "array" in kinds:
        found["items"] = _narrowed(found.get("items"), f"{where}[]")
    if "object" in kinds:
        _close(found, where)
    return found


def _close(found: dict[str, Any], where: str) -> None:
    members = found.get("properties", {})
    others = found.get("additionalProperties")
    if isinstance(others, dict) or (not members and others is not False):
        raise _refusal(where, "is an object with members of any name: name them, or use a list of pairs")
    found["properties"] = {name: _narrowed(value, f"{where}.{name}") for name, value in members.items()}
    found["required"] = list(members)
    found["additionalProperties"] = False


def _target(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    found: Any = root
    for name in reference.removeprefix("#/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise _refusal("answer", f"refers to {reference!r}, which is not there")
    return found


def _refusal(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"the output schema is not for the strict mode: {where} {what}")
