"""Middleware that could not do what it is meant to do is refused before anything starts."""

from __future__ import annotations

import functools
from typing import Any, get_args

import pytest

import alloy_actors as alloy
from alloy_actors.errors import ConfigError
from alloy_actors.middleware import HOOKS, HookName, Middleware
from alloy_actors.middleware_check import check_middleware
from alloy_actors.testing import tool_call
from tests.world.one_run import Scene


def test_every_hook_has_its_name_in_the_type_of_names() -> None:
    assert set(HOOKS) == set(get_args(HookName))


def refused(one: object) -> str:
    with pytest.raises(ConfigError) as caught:
        check_middleware([one], "run")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("before_tool_cal", "before_tool_call"),
        ("beforeToolCall", "before_tool_call"),
        ("after_tool_requests", "after_tool_request"),
        ("on_errors", "on_error"),
        ("session_started", "session_start"),
    ],
)
def test_a_misspelled_hook_is_refused_and_the_right_name_said(name: str, meant: str) -> None:
    made = type("Careful", (Middleware,), {name: lambda self, *facts: None})()
    said = refused(made)
    assert f"run: middleware Careful.{name} is no hook" in said
    assert f"did you mean {meant!r}?" in said


def test_a_hook_that_does_not_exist_is_refused_and_the_hooks_listed() -> None:
    class Mixin:
        async def after_everything(self) -> None: ...

    class Careful(Mixin, Middleware):
        pass

    said = refused(Careful())
    assert "Careful.after_everything is no hook and would never be asked" in said
    assert all(hook in said for hook in HOOKS)
    assert "_after_everything" in said


def test_methods_of_ones_own_are_nobodys_business() -> None:
    class Careful(Middleware):
        limit = 3
        before_tools = ("add",)  # no method

        def approve(self) -> None: ...

        def _before_anything(self) -> None: ...

        @property
        def after_all(self) -> int:
            return self.limit

    one = Careful()
    assert check_middleware([one], "run") == (one,)


@pytest.mark.parametrize(
    ("hook", "method", "said"),
    [
        ("before_completion", lambda self: None, "with (run), but takes ()"),
        ("before_tool_call", lambda self, run: None, "with (run, call), but takes (run)"),
        ("after_completion", lambda self, run, message, more: None, "but takes (run, message, more)"),
        ("on_error", lambda self, run, *, error: None, "with (run, error), but takes (run, *, error)"),
        ("session_end", lambda self, run, why: None, "with (session), but takes (run, why)"),
        ("before_completion", 5, "must be a method, got int"),
    ],
)
def test_a_hook_that_cannot_take_what_it_is_asked_about_is_refused(
    hook: str, method: object, said: str
) -> None:
    made = type("Careful", (Middleware,), {hook: method})()
    assert f"run: middleware Careful.{hook} " in refused(made)
    assert said in refused(made)


def test_hooks_may_be_static_partial_attributes_or_take_more_than_they_must() -> None:
    def extra(tag: str, run: object, call: object) -> None: ...

    class Careful(Middleware):
        @staticmethod
        def before_completion(run: object) -> None: ...

        def after_completion(self, *facts: object, **more: object) -> None: ...

        async def on_error(self, run: object, error: object, verbose: bool = False) -> None: ...

        def __init__(self) -> None:
            self.before_tool_call = functools.partial(extra, "x")  # type: ignore[method-assign]

    one = Careful()
    assert check_middleware([one], "run") == (one,)


class Decides(Middleware):
    def __init__(self, decision: Any) -> None:
        self.decision = decision

    def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
        return self.decision


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (alloy.Edit([1, 2]), "Edit.input must be a dict"),  # type: ignore[arg-type]
        (alloy.Edit(alloy.ToolCall("other", "add", {})), "a ToolCall: Edit.input must be a dict"),  # type: ignore[arg-type]
        (alloy.Edit({"a": {1, 2}}), "no plain JSON data: Edit.input: Object of type set"),
        (alloy.Edit({"a": float("nan")}), "no plain JSON data: Edit.input"),
        (alloy.Block(""), "Block.reason must be a text"),
        (alloy.Halt(None), "Halt(None): Halt.reason must be a text"),  # type: ignore[arg-type]
        (alloy.ToolCall("other", "add", {}), "returned ToolCall: return None, Block(reason)"),
        (True, "returned bool: return None, Block(reason)"),
    ],
)
def test_a_decision_that_makes_no_sense_ends_the_run_and_says_why(decision: object, said: str) -> None:
    """T41 and T96: an edit cannot change a call's id or name, it carries the arguments alone."""
    scene = Scene(
        [tool_call("add", a=1, b=2), "x"], listen=False, tools=[add], middleware=[Decides(decision)]
    )
    result = scene.play()
    assert isinstance(result.error, ConfigError)
    assert "middleware Decides.before_tool_call returned" in str(result.error)
    assert said in str(result.error)


def test_a_plain_hook_may_hand_back_what_is_to_be_awaited() -> None:
    class Wrapped(Middleware):
        def before_completion(self, run: alloy.RunView) -> Any:
            return self._decide()

        async def _decide(self) -> alloy.Halt:
            return alloy.Halt("after a while")

    result = Scene(["x"], listen=False, middleware=[Wrapped()]).play()
    assert result.status == "halted"


def test_a_hook_given_as_an_attribute_of_the_object_is_asked() -> None:
    one = Middleware()
    one.before_completion = lambda run: alloy.Halt("by hand")  # type: ignore[method-assign]
    assert Scene(["x"], listen=False, middleware=[one]).play().status == "halted"
