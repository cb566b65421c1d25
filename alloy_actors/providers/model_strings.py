"""`"anthropic:claude-sonnet-4-6"`: a provider as one word, accepted wherever a provider object is."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers._dialects import PRESETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alloy_actors.provider import Provider

CLASSES: dict[str, tuple[str, str]] = {
    "anthropic": ("anthropic", "Anthropic"),
    "gemini": ("gemini", "Gemini"),
    "openai": ("openai", "OpenAI"),
    "xai": ("xai", "XAI"),
}
"""What stands before the colon, beside the presets of `OpenAICompat`: module and class."""

KEYS: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "xai": ("XAI_API_KEY",),
}
"""The environment variables of the keys of `CLASSES`; a preset names its own."""


def names() -> list[str]:
    """What may stand before the colon, sorted."""
    return sorted((*CLASSES, *PRESETS))


def key_variables(name: str) -> tuple[str, ...]:
    """The environment variables that may hold the key of one of `names()`; empty where it needs none."""
    preset = PRESETS.get(name)
    if preset is not None:
        return () if preset.variable is None else (preset.variable,)
    return KEYS.get(name, ())


def vendor_of(name: str) -> str | None:
    """Whose models one of `names()` asks, in the words of the price catalogue; None where nobody can know."""
    preset = PRESETS.get(name)
    vendor: str | None = preset.vendor if preset is not None else _class(*CLASSES[name]).vendor
    return vendor


def address_of(name: str) -> str | None:
    """Where one of `names()` asks unless told otherwise; None where everyone has an address of their own."""
    preset = PRESETS.get(name)
    if preset is not None:
        return preset.api_url
    address: str = _class(*CLASSES[name])(model="any", api_key="none").api_url
    return address


def provider_from(text: str, **options: Any) -> Provider:
    """The provider that `"name:model"` means; its key is that of the usual environment variable.

    Args:
        text: A name of `names()`, a colon, and the model as the vendor spells it (which may hold colons itself).
        options: For the provider's constructor.

    Raises:
        ConfigError: There is no such name, no model, or no key where one is needed.
    """
    name, colon, model = text.partition(":")
    name = name.strip().lower()
    if not colon or not model.strip():
        msg = (
            # Not what it is: whoever gives a key in place of it shall not find it in a log.
            "provider is a str that is no model string: write provider and model, for example "
            f"'ollama:llama3.2', with one of {', '.join(names())} before the colon"
        )
        raise ConfigError(msg)
    made: Provider | None = None
    if name in PRESETS:
        made = _class("openai_compat", "OpenAICompat")(model=model.strip(), preset=name, **options)
    elif name in CLASSES:
        made = _class(*CLASSES[name])(model=model.strip(), **options)
    if made is not None:
        return made
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigError(f"provider={text!r}: {name!r} is not known{hint}; there are {', '.join(names())}")


def as_provider(value: Any) -> Any:
    """A model string as the provider that it means; anything else as it is."""
    return provider_from(value) if isinstance(value, str) else value


def with_providers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose model strings are replaced by the providers that they mean.

    Raises:
        ConfigError: One means none; among fallbacks it is named by its place.
    """
    given = dict(options)
    if "provider" in given:
        given["provider"] = as_provider(given["provider"])
    fallbacks = given.get("fallback_providers")
    if isinstance(fallbacks, list | tuple):
        made = []
        for index, fallback in enumerate(fallbacks):
            try:
                made.append(as_provider(fallback))
            except ConfigError as error:
                raise ConfigError(f"fallback_providers[{index}]: {error}") from None
        given["fallback_providers"] = made
    return given


def _class(module: str, name: str) -> Any:
    return getattr(import_module(f"alloy_actors.providers.{module}"), name)
