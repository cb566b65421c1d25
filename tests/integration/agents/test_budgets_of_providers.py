"""A budget in cents stops a run on every provider that has prices, by what its own replies say of usage."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import alloy_actors as alloy
from alloy_actors.models import facts

INPUT, OUTPUT = 40_000, 2_000  # tokens of each reply
CALL = {"a": 1, "b": 2}


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def messages(number: int) -> dict[str, Any]:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "tool_use", "id": f"c{number}", "name": "add", "input": CALL}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT},
    }


def responses(number: int) -> dict[str, Any]:
    call = {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"c{number}",
        "name": "add",
        "arguments": json.dumps(CALL),
        "status": "completed",
    }
    usage = {"input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    return {"id": f"r{number}", "object": "response", "status": "completed", "output": [call], "usage": usage}


def generate(_number: int) -> dict[str, Any]:
    part = {"functionCall": {"name": "add", "args": CALL}}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT},
    }


def chat(number: int) -> dict[str, Any]:
    call = {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "add", "arguments": json.dumps(CALL)},
    }
    return {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": None, "tool_calls": [call]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": INPUT, "completion_tokens": OUTPUT},
    }


def preset(name: str, **more: str) -> Callable[..., alloy.OpenAICompat]:
    return lambda **options: alloy.OpenAICompat(preset=name, **more, **options)


WIRES: dict[str, tuple[Callable[..., Any], str, str, Callable[[int], dict[str, Any]]]] = {
    "Anthropic": (alloy.Anthropic, "anthropic", "claude-sonnet-5", messages),
    "OpenAI": (alloy.OpenAI, "openai", "gpt-5.4", responses),
    "Gemini": (alloy.Gemini, "google", "gemini-3.5-flash", generate),
    "XAI": (alloy.XAI, "x-ai", "grok-4.7", responses),
    "openrouter": (preset("openrouter"), "openrouter", "openai/gpt-4o", chat),
    "deepseek": (preset("deepseek"), "deepseek", "deepseek-chat", chat),
    "mistral": (preset("mistral"), "mistral", "mistral-large-latest", chat),
    "groq": (preset("groq"), "groq", "llama-3.3-70b-versatile", chat),
    "together": (preset("together"), "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", chat),
    "azure": (preset("azure", api_url="https://mine.example"), "azure", "gpt-4o", chat),
}


@pytest.mark.parametrize("name", WIRES)
def test_a_run_ends_before_the_request_that_would_pass_its_budget(name: str) -> None:
    make, vendor, model, body = WIRES[name]
    known = facts(vendor, model)
    assert known is not None
    assert known.prices is not None
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=body(len(asked)))

    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    provider = make(model=model, api_key="sk-test-key", http_client=client)
    one = known.prices.cost(alloy.Usage(INPUT, OUTPUT))
    # The input of the fourth request, by the count of the third reply, would pass it; that of the third does not.
    limit = 3 * one + known.prices.input_cost(INPUT) / 2
    result = alloy.run("1 + 2?", provider=provider, tools=[add], max_budget_cents=limit, max_turns=10)
    assert result.status == "budget_exceeded"
    assert len(asked) == result.turns == 3
    assert result.cost_cents == pytest.approx(3 * one)
    error = result.error
    assert isinstance(error, alloy.BudgetExceededError)
    assert error.spent_cents is not None
    assert error.estimate_cents is not None
    assert error.spent_cents == pytest.approx(3 * one)
    assert error.spent_cents < limit <= error.spent_cents + error.estimate_cents
    assert one > known.prices.input_cost(INPUT) > 0, "each kind of token has its price"
    assert [call.error for call in result.tool_calls] == [None] * 3
