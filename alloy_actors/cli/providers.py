"""Which model answers: from flags, else from the usual environment variables.

The providers are those of model strings (`alloy_actors.providers.model_strings`), and two of the command's own.
"""

from __future__ import annotations

import difflib
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from alloy_actors.errors import ConfigError
from alloy_actors.providers import model_strings
from alloy_actors.providers.openai_compat import OpenAICompat

if TYPE_CHECKING:
    from types import TracebackType

    from alloy_actors.provider import Provider

DEMO = "demo"  # the embedded server, started when it is chosen
SERVER = "openai-compat"  # any server of Chat Completions, by --api-url
ALIASES = {"local": DEMO}
MODELS = {DEMO: "scripted-demo", "anthropic": "claude-sonnet-4-6", "openai": "gpt-5.4"}
"""Asked when none is named; of the others one has to be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the flags say; None is not said."""

    provider: str | None = None
    model: str | None = None
    api_url: str | None = None
    api_key_env: str | None = None

    @property
    def said(self) -> bool:
        """Whether any flag said anything."""
        return self != Choice()


def names() -> list[str]:
    """What `--provider` takes, and a model's name in front of a colon."""
    return [DEMO, *model_strings.names(), SERVER]


def chosen(choice: Choice) -> Choice:
    """Fill in what was not said: `--model provider:model`, `--api-url` alone, or the provider whose key is set.

    Raises:
        ConfigError: There is no such provider, or nothing says which, or which model.
    """
    choice = with_provider(choice)
    model = choice.model or MODELS.get(choice.provider or "")
    if model is None:
        raise ConfigError(f"which model of {choice.provider}? Name one with --model")
    return replace(choice, model=model)


def with_provider(choice: Choice) -> Choice:
    """As `chosen`, but the model may stay unsaid."""
    provider, model = choice.provider, choice.model
    prefix, colon, rest = (model or "").partition(":")
    if provider is None and colon and is_provider(prefix):
        provider, model = prefix, rest or None
    if provider is None:
        provider = SERVER if choice.api_url is not None else _provider_with_key()
    provider = ALIASES.get(provider, provider)
    if not is_provider(provider):
        near = difflib.get_close_matches(provider, names(), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"there is no provider {provider!r}{hint}; there are {', '.join(names())}")
    return replace(choice, provider=provider, model=model)


def is_provider(name: str) -> bool:
    """Whether `--provider` takes it."""
    return name in ALIASES or name in names()


def found_keys() -> dict[str, bool]:
    """Every variable that may hold a key, and whether it does; never the key."""
    return {
        variable: bool(os.environ.get(variable))
        for name in _with_keys()
        for variable in model_strings.key_variables(name)
    }


class Providers:
    """Makes providers; a context manager, since the embedded server has to end."""

    def __init__(self) -> None:
        self._exits = ExitStack()
        self._server_url: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.close()

    def make(self, choice: Choice) -> Provider:
        """The provider for a choice that `chosen` made.

        Raises:
            ConfigError: No key, no URL, or a wrong one.
            LocalServerError: The embedded server did not start.
        """
        model, url, key = choice.model or "", choice.api_url, _key(choice)
        if choice.provider == DEMO:
            if url is not None:
                raise ConfigError(
                    f"--provider {DEMO} starts a server of its own: leave --api-url out, or name another provider"
                )
            return OpenAICompat(model, key, self._local_server())
        if choice.provider == SERVER:
            if url is None:
                raise ConfigError(
                    "which server? Name its address with --api-url, for example http://localhost:8000"
                )
            return OpenAICompat(model, key, url)
        given = {"api_key": key, "api_url": url}
        options = {name: value for name, value in given.items() if value is not None}
        return model_strings.provider_from(f"{choice.provider}:{model}", **options)

    def make_fallback(self, model: str) -> Provider:
        """The provider for a value of `--fallback`, whose key is in its usual variable.

        Raises:
            ConfigError: As `chosen` and `make`; the message names the flag.
            LocalServerError: The embedded server did not start.
        """
        provider, colon, name = model.partition(":")
        try:
            if not colon and not is_provider(provider):
                raise ConfigError(
                    f"write provider and model, PROVIDER:MODEL; providers are {', '.join(names())}"
                )
            return self.make(chosen(Choice(provider=provider, model=name or None)))
        except ConfigError as error:
            raise ConfigError(f"--fallback {model}: {error}") from None

    def _local_server(self) -> str:
        from alloy_actors.local import LocalServer

        if self._server_url is None:
            self._server_url = self._exits.enter_context(LocalServer()).url
        return self._server_url


def _key(choice: Choice) -> str | None:
    """The key from the environment; None where none is needed and none was named.

    Raises:
        ConfigError: There is none, and one is needed.
    """
    if choice.api_key_env is not None:
        key = os.environ.get(choice.api_key_env)
        if not key:
            raise ConfigError(f"--api-key-env {choice.api_key_env}: this environment variable is not set")
        return key
    variables = model_strings.key_variables(choice.provider or "")
    for variable in variables:
        if key := os.environ.get(variable):
            return key
    if variables:
        raise ConfigError(
            f"no key for {choice.provider}: set {' or '.join(variables)}, or name another variable with --api-key-env"
        )
    return None


def _provider_with_key() -> str:
    for name in _with_keys():
        if any(os.environ.get(variable) for variable in model_strings.key_variables(name)):
            return name
    raise ConfigError(
        f"which provider? Name one with --provider or --api-url, or set a key ({', '.join(found_keys())}); "
        "`--provider demo` is a scripted stand-in that needs neither key nor network"
    )


def _with_keys() -> list[str]:
    """The providers that need a key, the best known first."""
    known = model_strings.names()
    first = [name for name in model_strings.KEYS if name in known]
    return first + [name for name in known if name not in first and model_strings.key_variables(name)]
