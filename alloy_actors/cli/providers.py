"""Which model answers: from flags, else from the usual environment variables.

A new vendor is one line of `VENDORS`.
"""

from __future__ import annotations

import difflib
import importlib
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, cast

from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

    from alloy_actors.provider import Provider

COMPAT = "alloy_actors.providers.openai_compat:OpenAICompat"
DEMO = "demo"


@dataclass(frozen=True, slots=True)
class Vendor:
    """Someone who runs models.

    Args:
        provider: "module:Class", imported when it is chosen.
        keys: Environment variables that may hold the key; the first that is set wins. None: no key is needed.
        api_url: None: the provider's own, or `--api-url` has to say it.
        model: Asked when none is named; None: one has to be named.
    """

    provider: str
    keys: tuple[str, ...] = ()
    api_url: str | None = None
    model: str | None = None


VENDORS = {
    DEMO: Vendor(COMPAT, model="scripted-demo"),  # the embedded server, started when it is chosen
    "openai": Vendor(COMPAT, ("OPENAI_API_KEY",), "https://api.openai.com", "gpt-5.4"),
    "xai": Vendor(COMPAT, ("XAI_API_KEY",), "https://api.x.ai"),
    "openrouter": Vendor(COMPAT, ("OPENROUTER_API_KEY",), "https://openrouter.ai/api"),
    "ollama": Vendor(COMPAT, api_url="http://localhost:11434"),
    "openai-compat": Vendor(COMPAT),  # any server, by --api-url
}
ALIASES = {"local": DEMO}
NAMES = (*VENDORS, *ALIASES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the flags say; None is not said."""

    provider: str | None = None
    model: str | None = None
    api_url: str | None = None
    api_key_env: str | None = None

    @property
    def vendor(self) -> Vendor:
        """The line of the table, for a choice that `chosen` made."""
        return VENDORS[self.provider or ""]

    @property
    def said(self) -> bool:
        """Whether any flag said anything."""
        return self != Choice()


def chosen(choice: Choice) -> Choice:
    """Fill in what was not said: `--model vendor:model`, `--api-url` alone, or the vendor whose key is set.

    Raises:
        ConfigError: There is no such vendor, or nothing says which.
    """
    choice = with_vendor(choice)
    model = choice.model or choice.vendor.model
    if model is None:
        raise ConfigError(f"which model of {choice.provider}? Name one with --model")
    return replace(choice, model=model)


def with_vendor(choice: Choice) -> Choice:
    """As `chosen`, but the model may stay unsaid."""
    provider, model = choice.provider, choice.model
    prefix, colon, rest = (model or "").partition(":")
    if provider is None and colon and prefix in NAMES:
        provider, model = prefix, rest or None
    if provider is None:
        provider = "openai-compat" if choice.api_url is not None else _vendor_with_key()
    provider = ALIASES.get(provider, provider)
    if provider not in VENDORS:
        near = difflib.get_close_matches(provider, NAMES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"there is no provider {provider!r}{hint}; there are {', '.join(NAMES)}")
    return replace(choice, provider=provider, model=model)


def found_keys() -> dict[str, bool]:
    """Every variable that may hold a key, and whether it does; never the key."""
    return {name: bool(os.environ.get(name)) for vendor in VENDORS.values() for name in vendor.keys}


def key_for(choice: Choice) -> str | None:
    """The key from the environment; None where none is needed and none was named.

    Raises:
        ConfigError: There is none, and one is needed.
    """
    if choice.api_key_env is not None:
        key = os.environ.get(choice.api_key_env)
        if not key:
            raise ConfigError(f"--api-key-env {choice.api_key_env}: this environment variable is not set")
        return key
    names = choice.vendor.keys
    for name in names:
        if key := os.environ.get(name):
            return key
    if names:
        raise ConfigError(
            f"no key for {choice.provider}: set {' or '.join(names)}, or name another variable with --api-key-env"
        )
    return None


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
        api_url = choice.api_url or choice.vendor.api_url
        if choice.provider == DEMO:
            if api_url is not None:
                raise ConfigError(
                    f"--provider {DEMO} starts a server of its own: leave --api-url out, or name another provider"
                )
            api_url = self._local_server()
        elif choice.provider == "openai-compat" and api_url is None:
            raise ConfigError(
                "which server? Name its address with --api-url, for example http://localhost:8000"
            )
        module, _, name = choice.vendor.provider.partition(":")
        make = getattr(importlib.import_module(module), name)
        return cast("Provider", make(model=choice.model, api_key=key_for(choice), api_url=api_url))

    def _local_server(self) -> str:
        from alloy_actors.local import LocalServer

        if self._server_url is None:
            self._server_url = self._exits.enter_context(LocalServer()).url
        return self._server_url


def _vendor_with_key() -> str:
    for name, vendor in VENDORS.items():
        if any(os.environ.get(key) for key in vendor.keys):
            return name
    keys = ", ".join(found_keys())
    raise ConfigError(
        f"which provider? Name one with --provider or --api-url, or set a key ({keys}); "
        "`--provider demo` is a scripted stand-in that needs neither key nor network"
    )
