"""References in a JSON schema that was given: where they lead, and that they lead somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_REFERENCES = ("$ref", "$dynamicRef")
_OF_NAMES = {"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"}
_DATA = {"default", "const", "enum", "examples"}
# Schemas of the same value: whoever comes back to one of them by these alone never ends.
_OF_THE_SAME = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")


def check_references(tool: str, schema: dict[str, Any]) -> None:
    """See that each reference leads to a schema in this one, and that none leads back to itself without end.

    Raises:
        ConfigError: One does not; the message says where it is.
    """
    resolver = Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver()

    def look_up(target: str) -> Any:
        return resolver.lookup(target).contents

    ends: set[str] = set()
    for place, target in _references(schema, ()):
        if not target.startswith("#"):
            raise refusal(tool, place, f"{target!r} is elsewhere; put it into '$defs'")
        if _under_id(schema, place):
            raise refusal(tool, place, f"{target!r} stands under an '$id' of its own; take that out")
        try:
            found = look_up(target)
        except Unresolvable:
            raise refusal(tool, place, f"{target!r} is not there") from None
        if not isinstance(found, dict | bool):
            raise refusal(tool, place, f"{target!r} is no schema")
    for place, target in _references(schema, ()):
        if not _ends(target, look_up, ends, ()):
            raise refusal(tool, place, f"{target!r} leads back to itself without end")


def refusal(tool: str, place: Iterable[object], what: str) -> ConfigError:
    """Of a schema, for what is at a place in it."""
    field = "".join(f"[{part!r}]" for part in place)
    return ConfigError(f"tool {tool!r}: input_schema{field} is no JSON Schema that a provider takes: {what}")


def _references(
    node: Any, place: tuple[object, ...], *, names: bool = False
) -> Iterator[tuple[tuple[object, ...], str]]:
    """Where each is, and what it says; `names`: keys here are names of properties, and one may be "default"."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _references(item, (*place, index))
    elif isinstance(node, dict):
        for name, value in node.items():
            if not names and name in _REFERENCES and isinstance(value, str):
                yield (*place, name), value
            elif names or name not in _DATA:
                yield from _references(value, (*place, name), names=not names and name in _OF_NAMES)


def _under_id(schema: dict[str, Any], place: tuple[object, ...]) -> bool:
    """Whether an `$id` below the root gives a reference another document to lead into."""
    node: Any = schema
    for part in place[:-1]:
        node = node[part]
        if isinstance(node, dict) and isinstance(node.get("$id"), str):
            return True
    return False


def _ends(target: str, look_up: Callable[[str], Any], ends: set[str], seen: tuple[str, ...]) -> bool:
    """Whether a value can be held to what is there; `ends` has the references of which that is known."""
    if target in ends:
        return True
    if target in seen:
        return False
    if not all(_ends(other, look_up, ends, (*seen, target)) for other in _of_the_same(look_up(target))):
        return False
    ends.add(target)
    return True


def _of_the_same(node: Any) -> Iterator[str]:
    """The references that hold for the same value as this schema."""
    if not isinstance(node, dict):
        return
    yield from (node[name] for name in _REFERENCES if isinstance(node.get(name), str))
    for name in _OF_THE_SAME:
        inner = node.get(name, ())
        for item in inner if isinstance(inner, list) else (inner,):
            yield from _of_the_same(item)
    dependent = node.get("dependentSchemas")
    for item in dependent.values() if isinstance(dependent, dict) else ():
        yield from _of_the_same(item)
