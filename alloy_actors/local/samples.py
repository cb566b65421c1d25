"""Values that fit a JSON schema: what the stand-in says where an answer or arguments have a form, and it knows none."""

from __future__ import annotations

from typing import Any

PLAIN = {"integer": 1, "number": 1.5, "boolean": True, "null": None}


def fitting(schema: dict[str, Any], index: int) -> Any:
    """A value that a simple schema accepts.

    Args:
        schema: Of any type; of an object the required members are made.
        index: Strings differ by it from call to call.
    """
    return _sample(schema, index, schema.get("$defs") or {})


def _sample(schema: dict[str, Any], index: int, definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _sample(definitions.get(schema["$ref"].rpartition("/")[2]) or {}, index, definitions)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for variants in (schema.get("anyOf"), schema.get("oneOf")):
        if variants:
            return _sample(variants[0], index, definitions)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        members = schema.get("properties") or {}
        return {
            name: _sample(members.get(name) or {}, index, definitions)
            for name in schema.get("required") or ()
        }
    if kind == "array":
        return [
            _sample(schema.get("items") or {}, index, definitions) for _ in range(schema.get("minItems", 0))
        ]
    if kind == "string":
        return f"sample-{index}"
    return PLAIN.get(kind) if isinstance(kind, str) else None
