"""JSON schemas for Gemini's function declarations and structured output, which know a part of JSON Schema.

What the API has no word for, but the model can read, becomes a part of the description: whoever asked checks what
comes back anyway. What cannot be put otherwise is refused before anything is sent.

Source: Gemini API reference, GenerationConfig.responseJsonSchema (the words that are supported, and that references
may only form a cycle outside of required properties) and FunctionDeclaration.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from alloy_actors.tooldef import Tool

    Schema = dict[str, Any]

KEPT = ("type", "description", "minItems", "maxItems", "minimum", "maximum")
TOLD = (
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "default",
    "examples",
)
"""What becomes a part of the description."""
REFUSED = (
    "not",
    "if",
    "patternProperties",
    "dependentSchemas",
    "dependentRequired",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
)
DEFINITIONS = ("$defs", "definitions")
FORMATS = frozenset(("date-time", "date", "time", "float", "double", "int32", "int64"))
MOST_PARTS = 10_000  # definitions written out where they are described double with each level
WORDS_ALONE = frozenset(("$ref", "title", "description", "default", "examples", "deprecated"))
_REFERENCE = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")


def declaration(tool: Tool) -> Schema:
    """A function declaration.

    Raises:
        ConfigError: Its name or its parameters are none that the API takes.
    """
    if not _NAME.fullmatch(tool.name):
        raise ConfigError(
            f"tool {tool.name!r}: Gemini wants a name that begins with a letter or an underscore, "
            "of at most 64 letters, digits, underscores, dots, colons and dashes; pass name= to @tool"
        )
    declared: Schema = {"name": tool.name, "description": tool.description}
    if tool.input_schema.get("properties"):  # an object without any is refused; none at all is meant for it
        declared["parametersJsonSchema"] = translated(tool.input_schema, f"tool {tool.name!r}")
    return declared


def translated(schema: Mapping[str, Any], what: str) -> Schema:
    """The schema in the API's words.

    Args:
        schema: JSON Schema.
        what: Whose it is, for messages.

    Raises:
        ConfigError: It says what the API cannot be told; the message names the place.
    """
    return _Translation(schema, what).whole()


class _Translation:
    def __init__(self, schema: Mapping[str, Any], what: str) -> None:
        self._what = what
        self._root = {word: value for word, value in schema.items() if word not in DEFINITIONS}
        self._definitions: Schema = {**schema.get("definitions", {}), **schema.get("$defs", {})}
        self._reached = {name: self._reach(name) for name in self._definitions}
        self._used: list[str] = []  # definitions that a reference was left to
        self._inside: str | None = None
        self._parts = 0

    def whole(self) -> Schema:
        root = self._root
        if "$ref" in root:  # a recursive model is a reference to one of its own definitions
            name = self._target(root["$ref"], "")
            root = {**self._definitions[name], **{word: root[word] for word in root if word != "$ref"}}
        put = self._put(root, "")
        definitions: Schema = {}
        for name in self._used:  # grows while it is walked
            self._inside = name
            definitions[name] = self._put(self._definitions[name], name)
        return {**put, "$defs": definitions} if definitions else put

    def _put(self, node: Any, where: str) -> Schema:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise self._refusal("", f"has more than {MOST_PARTS} parts with its references written out")
        if node is True:
            return {}
        if not isinstance(node, dict):
            raise self._refusal(where, f"{node!r} describes no value; give it a type")
        if "$ref" in node:
            return self._reference(node, where)
        if "allOf" in node:
            return self._put(self._merged(node, where), where)
        for word in REFUSED:
            if word in node:
                raise self._refusal(where, f"uses {word!r}, which Gemini does not know")
        put: Schema = {word: node[word] for word in KEPT if word in node}
        if node.get("format") in FORMATS:
            put["format"] = node["format"]
        told = list(_told(node, put))
        self._put_variants(put, node, where)
        values = [node["const"]] if "const" in node else node.get("enum")
        if values is not None:
            told += self._put_values(put, values, where)
        self._put_inner(put, node, where)
        if told:
            put["description"] = " ".join(filter(None, (put.get("description"), f"({'; '.join(told)})")))
        return put

    def _put_inner(self, put: Schema, node: Schema, where: str) -> None:
        if isinstance(node.get("items"), dict):
            put["items"] = self._put(node["items"], f"{where}[]")
        first = node["items"] if isinstance(node.get("items"), list) else node.get("prefixItems")
        if first:  # older drafts had them in `items`
            put["prefixItems"] = [self._put(item, f"{where}[{at}]") for at, item in enumerate(first)]
        members = node.get("properties")
        if members:
            put["properties"] = {
                name: self._put(value, f"{where}.{name}" if where else name)
                for name, value in members.items()
            }
        if "additionalProperties" in node:
            others = node["additionalProperties"]
            put["additionalProperties"] = (
                others if isinstance(others, bool) else self._put(others, f"{where}.*")
            )
        required = [
            name for name in node.get("required", ()) if not self._in_cycle((members or {}).get(name))
        ]
        if required:
            put["required"] = required

    def _put_variants(self, put: Schema, node: Schema, where: str) -> None:
        if "anyOf" in node and "oneOf" in node:
            raise self._refusal(where, "has both 'anyOf' and 'oneOf'")
        variants = node.get("anyOf", node.get("oneOf"))
        if variants is not None:
            put["anyOf"] = [self._put(item, where) for item in variants]

    def _put_values(self, put: Schema, values: Iterable[Any], where: str) -> Iterator[str]:
        """An enumeration: the API has it for strings and for numbers, of one kind each."""
        kinds: dict[str, list[Any]] = {}
        for value in values:
            kinds.setdefault(_kind(value), []).append(value)
        if "" in kinds:
            raise self._refusal(
                where, f"has {kinds[''][0]!r} among its values; Gemini takes text and numbers"
            )
        groups = [
            {"type": kind} if kind in ("null", "boolean") else {"type": kind, "enum": found}
            for kind, found in kinds.items()
        ]
        if len(groups) == 1:
            put.update(groups[0])
        elif "anyOf" in put:
            raise self._refusal(where, "has both 'anyOf' and values of several kinds")
        else:
            put.pop("type", None)
            put["anyOf"] = groups
        if len(kinds.get("boolean", ())) == 1:
            yield f"always {dumps(kinds['boolean'][0]).decode()}"

    def _reference(self, node: Schema, where: str) -> Schema:
        name = self._target(node["$ref"], where)
        beside = {word: value for word, value in node.items() if word != "$ref"}
        recursive = name in self._reached[name]
        if not recursive and beside:
            return self._put({**self._definitions[name], **beside}, where)
        if more := sorted(beside.keys() - WORDS_ALONE):
            raise self._refusal(where, f"has {more[0]!r} beside a reference to itself")
        if name not in self._used:
            self._used.append(name)
        return {"$ref": f"#/$defs/{name}"}

    def _target(self, reference: Any, where: str) -> str:
        found = _REFERENCE.fullmatch(str(reference))
        if found is None or found[1] not in self._definitions:
            raise self._refusal(where, f"refers to {reference!r}; Gemini follows references into $defs alone")
        return found[1]

    def _merged(self, node: Schema, where: str) -> Schema:
        parts = node["allOf"]
        if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
            raise self._refusal(where, "uses 'allOf' with several parts; write them as one")
        return {**parts[0], **{word: value for word, value in node.items() if word != "allOf"}}

    def _in_cycle(self, member: Any) -> bool:
        """Whether a property leads back to the definition that it stands in: the API takes it as an optional one only."""
        return self._inside is not None and any(
            name == self._inside or self._inside in self._reached.get(name, ())
            for name in _references(member)
        )

    def _reach(self, name: str) -> set[str]:
        """The definitions that can be come to from this one."""
        found: set[str] = set()
        ahead = list(_references(self._definitions[name]))
        while ahead:
            other = ahead.pop()
            if other not in found and other in self._definitions:
                found.add(other)
                ahead += _references(self._definitions[other])
        return found

    def _refusal(self, where: str, problem: str) -> ConfigError:
        return ConfigError(f"{self._what}: {where or 'its schema'} {problem}")


def _told(node: Schema, put: Schema) -> Iterator[str]:
    """What the description has to say; bounds of whole numbers are put as the bounds that the API knows."""
    for word in TOLD:
        value = node.get(word)
        if value is None or word in put:
            continue
        whole = node.get("type") == "integer" and type(value) is int
        if word == "exclusiveMinimum" and whole:
            put["minimum"] = max(value + 1, put.get("minimum", value + 1))
        elif word == "exclusiveMaximum" and whole:
            put["maximum"] = min(value - 1, put.get("maximum", value - 1))
        else:
            yield f"{word}: {dumps(value).decode()}"


def _kind(value: Any) -> str:
    """The JSON type of a value that may be enumerated, else ""."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    return ""


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        found = _REFERENCE.fullmatch(str(node.get("$ref", "")))
        if found:
            yield found[1]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
