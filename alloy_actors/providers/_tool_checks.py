"""What is refused of a tool before anything is sent, because its provider would."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from alloy_actors.errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.tooldef import Tool


def refuse_at_the_top(tool: Tool, vendor: str, words: tuple[str, ...]) -> None:
    """Refuse a schema whose outermost object has one of these words.

    Raises:
        ConfigError: Naming tool and word.
    """
    for word in words:
        if word in tool.input_schema:
            raise ConfigError(
                f"tool {tool.name!r}: {vendor} takes no {word!r} at the top of an input schema; make it a property of an object"
            )


@contextmanager
def strictly(tool: Tool, vendor: str) -> Iterator[None]:
    """Say of a schema that the strict mode does not know that it is this tool's, and what to do.

    Raises:
        ConfigError: Instead of `InvalidRequestError`.
    """
    try:
        yield
    except InvalidRequestError as error:
        raise ConfigError(f"tool {tool.name!r}: strict=True is not for {vendor}: {error}") from error
