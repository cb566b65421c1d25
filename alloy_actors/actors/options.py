"""What was given to a call, checked: the options of a run or an agent, and what they begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.config import AgentConfig, RunConfig, check_name, make_config, user_message
from alloy_actors.errors import ConfigError
from alloy_actors.providers.model_strings import with_providers
from alloy_actors.session import take_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alloy_actors.content import Message
    from alloy_actors.session import Session


def run_options(
    call: str, message: str | Message | None, options: Mapping[str, Any]
) -> tuple[RunConfig, Message | None]:
    """The options of a run without an agent, and what the user says; None goes on from `messages`.

    Raises:
        ConfigError: An option is unknown or wrong, or there is nothing to answer.
    """
    config = make_config(RunConfig, with_providers(options), where=call)
    said = user_message(message, call) if message is not None else None
    if said is None and not config.messages:
        text = f"{call}: give a message, or messages= to go on from"
        raise ConfigError(text)
    return config, said


def agent_options(name: str | None, options: Mapping[str, Any]) -> tuple[AgentConfig, Session | None]:
    """The options of an agent, and the session that is to be its beginning.

    Raises:
        ConfigError: An option is unknown or wrong, or the name is none.
    """
    given = with_providers(options)
    if name is not None:
        check_name("spawn", "name", name)
    session = given.pop("session", None)
    if session is not None:
        take_session(session, given)
    return make_config(AgentConfig, given, where="spawn", also=("name", "session")), session
