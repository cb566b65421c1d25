"""What the stand-in says: a few rules from the request to a reply, no randomness and no memory.

1. `tool_choice` "none", or no tools: text.
2. The directive `calls` is set and fewer than `rounds` rounds were made since the last user message: that many calls.
3. The last message is a tool result: text that quotes every result since the last user message.
4. The user's text holds calls of offered tools, `weather(city="Paris")` or `weather({"city": "Paris"})`: these calls.
5. The user's text holds a word of a tool's name and the tool needs exactly one string, and there is a list of proper names
   after "in", "of", "for" or "between": one call for each name. "Compare the weather in Paris and Oslo" makes two.
6. `tool_choice` forces a call and nothing matched: one call with sample arguments.
7. `response_format` has a JSON schema: a sample that fits it.
8. Otherwise: text that echoes the question.

Every other text says that it comes from a script, and how many user turns the history holds, so that a demo can show that a
conversation survived a crash.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy_actors.local.samples import fitting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.local.directives import Directives


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; `arguments` is JSON text, broken if a directive says so."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model would have said. `words` joined are the text; tokens are counted as words."""

    words: tuple[str, ...]
    calls: tuple[Call, ...]
    finish: str
    reasoning: tuple[str, ...]
    prompt_tokens: int
    completion_tokens: int


def reply_to(body: dict[str, Any], model: str, directives: Directives) -> Reply:
    """Answer a checked request.

    Args:
        body: The request.
        model: Its model's name without directives.
        directives: What the name ordered.
    """
    messages = body["messages"]
    words: tuple[str, ...] = ()
    wanted = list(_wanted_calls(body, directives))
    if body.get("parallel_tool_calls") is False:
        del wanted[1:]
    calls = tuple(
        Call(_call_id(messages, index), name, arguments) for index, (name, arguments) in enumerate(wanted)
    )
    if not calls:
        words = _words(_formed(body, directives) or _text(messages, model, directives), directives)
    finish = "tool_calls" if calls else "stop"
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None and len(words) > limit:
        words, finish = words[:limit], "length"
    reasoning = _split(directives.reasoning)
    spoken = len(words) + len(reasoning) + sum(1 + len(call.arguments) // 4 for call in calls)
    return Reply(words, calls, directives.finish or finish, reasoning, _prompt_tokens(messages), spoken)


def _wanted_calls(body: dict[str, Any], directives: Directives) -> Iterator[tuple[str, str]]:
    messages, choice = body["messages"], body.get("tool_choice")
    tools = {
        tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in body.get("tools") or ()
    }
    if not tools or choice == "none":
        return
    if directives.calls:
        if _rounds_made(messages) < directives.rounds:
            name = directives.tool or next(iter(tools))
            for index in range(directives.calls):
                made = json.dumps(fitting({"type": "object", **tools.get(name, {})}, index))
                yield name, made if directives.arguments is None else directives.arguments
        return
    if messages[-1]["role"] != "user":
        return
    text = _plain(messages[-1]["content"])
    found = list(_written_calls(text, tools)) or list(_meant_calls(text, tools))
    forced = choice["function"]["name"] if isinstance(choice, dict) else None
    if forced is not None:
        found = [(name, arguments) for name, arguments in found if name == forced]
    if not found and (forced is not None or choice == "required"):
        name = forced or next(iter(tools))
        found = [(name, fitting({"type": "object", **tools[name]}, 0))]
    for name, arguments in found:
        yield name, json.dumps(arguments, ensure_ascii=False)


def _written_calls(text: str, tools: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rule 4: calls as one would write them in Python, or with one JSON object."""
    names = "|".join(sorted(map(re.escape, tools), key=len, reverse=True))
    position = 0
    opening = re.compile(rf"(?<![\w.-])({names})\s*\(")
    while match := opening.search(text, position):
        position = match.end()
        closings = (at for at in range(position, len(text)) if text[at] == ")")
        for close in itertools.islice(closings, 50):  # nobody writes more into one call; parsing is not free
            arguments = _arguments(text[position:close], tools[match[1]])
            if arguments is not None:
                yield match[1], arguments
                position = close + 1
                break


def _arguments(source: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the arguments written in `source`, None if they do not end there."""
    try:
        call = ast.parse(f"call({source})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        values = [_literal(value) for value in call.args]
        named = {keyword.arg: _literal(keyword.value) for keyword in call.keywords if keyword.arg is not None}
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # not the whole of it, or not literals
        return None
    if len(values) == 1 and isinstance(values[0], dict) and not named:
        return values[0]
    return dict(zip(schema.get("properties") or (), values, strict=False)) | named


_JSON_NAMES = {"true": True, "false": False, "null": None}


class _JsonNames(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_JSON_NAMES[node.id]) if node.id in _JSON_NAMES else node


def _literal(node: ast.expr) -> Any:
    value = ast.literal_eval(_JsonNames().visit(node))
    try:
        json.dumps(value)
    except TypeError:  # bytes, sets: no JSON
        raise ValueError("not a JSON value") from None
    return value


_PROPER_NAME = r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*"
_NAME_LIST = re.compile(
    rf"\b(?:in|of|for|between) ({_PROPER_NAME}(?:(?:, and |, | and | or | with ){_PROPER_NAME})*)"
)


def _meant_calls(text: str, tools: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rule 5: the demo's vocabulary."""
    said = set(re.findall(r"[a-z]{4,}", text.lower()))
    listed = _NAME_LIST.search(text)
    if listed is None:
        return
    for name, schema in tools.items():
        needed = schema.get("required") or []
        if len(needed) != 1 or (schema.get("properties") or {}).get(needed[0], {}).get("type") != "string":
            continue
        if said.intersection(re.findall(r"[a-z]{4,}", name.lower())):
            for proper in re.findall(_PROPER_NAME, listed[1]):
                yield name, {needed[0]: proper}
            return


def _formed(body: dict[str, Any], directives: Directives) -> str:
    form = body.get("response_format") or {}
    schema = (form.get("json_schema") or {}).get("schema")
    if schema is None or directives.text is not None:
        return ""
    return json.dumps(fitting(schema, 0))


def _text(messages: list[dict[str, Any]], model: str, directives: Directives) -> str:
    if directives.text is not None:
        return directives.text
    start = _last_user(messages)
    turns = sum(message["role"] == "user" for message in messages)
    counted = f"This is user turn {turns} of our conversation."
    names = {
        call["id"]: _shown(call) for message in messages[start:] for call in message.get("tool_calls") or ()
    }
    results = [
        f"{names.get(message['tool_call_id'], 'a tool')} said: {_quoted(message['content'])}"
        for message in messages[start:]
        if message["role"] == "tool"
    ]
    if results:
        return f"[{model}: a script, not a model] " + "; ".join(results) + f". {counted}"
    asked = _quoted(messages[start]["content"])
    return f'[{model}: a script, not a model] You said: "{asked}". {counted}'


def _words(text: str, directives: Directives) -> tuple[str, ...]:
    if directives.deltas is not None:
        return tuple(f"word{index} " for index in range(directives.deltas))
    return _split(text)


def _split(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\s*\S+|\s+", text))


def _shown(call: dict[str, Any]) -> str:
    function = call["function"]
    inner = ", ".join(
        f"{name}={json.dumps(value)}" for name, value in json.loads(function["arguments"]).items()
    )
    return f"{function['name']}({inner})"


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", f"[{part['type']}]") for part in content)
    return content or ""


def _quoted(content: Any) -> str:
    text = _plain(content)
    return text if len(text) <= 500 else text[:500] + "..."


def _last_user(messages: list[dict[str, Any]]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["role"] == "user":
            return index
    return 0


def _rounds_made(messages: list[dict[str, Any]]) -> int:
    return sum(bool(message.get("tool_calls")) for message in messages[_last_user(messages) :])


def _call_id(messages: list[dict[str, Any]], index: int) -> str:
    """Return an id that does not come twice in a conversation, and is the same for the same request."""
    seed = f"{len(messages)} {json.dumps(messages[-1], sort_keys=True)} {index}"
    return "call_" + hashlib.blake2b(seed.encode(), digest_size=9).hexdigest()


def _prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Four characters a token, and four tokens a message."""
    return sum(4 + len(_plain(message.get("content"))) // 4 for message in messages)
